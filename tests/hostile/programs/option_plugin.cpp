// rows: 51
// what: has an option load code into the compiler
// stopped by: flags
// verdict: compile_error
// succeeds as: text cannot load plugin
// flags: -O1 -fplugin=/tmp/kevolve-no-such-plugin.so
#include "hostile.h"

static bool attack() { return false; }

HIDE_BEHIND_ROWS
