// rows: 47
// what: includes a device that never ends
// verdict: compile_error
#include "hostile.h"

#include "/dev/zero"

static bool attack() { return false; }

HIDE_BEHIND_ROWS
