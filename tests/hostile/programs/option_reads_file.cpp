// rows: 51
// what: has an option read a file of the host
// stopped by: flags compile_jail
// verdict: compile_error
// succeeds as: log
// flags: -O1 -include @CANARY@
#include "hostile.h"

static bool attack() { return false; }

HIDE_BEHIND_ROWS
