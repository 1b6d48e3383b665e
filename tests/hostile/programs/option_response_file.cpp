// rows: 51
// what: has an option read more options from a file
// stopped by: flags compile_jail
// verdict: compile_error
// succeeds as: log
// flags: -O1 @@CANARY_OPTION@
#include "hostile.h"

static bool attack() { return false; }

HIDE_BEHIND_ROWS
