// rows: 45
// what: includes a file of the host, for the compiler to quote it
// stopped by: compile_jail
// verdict: compile_error
// succeeds as: log
#include "hostile.h"

#include "@CANARY@"

static bool attack() { return false; }

HIDE_BEHIND_ROWS
