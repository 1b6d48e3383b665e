// rows: 55
// what: has the assembler read a file of the host
// stopped by: compile_jail
// verdict: compile_error
// succeeds as: log
#include "hostile.h"

asm(".include \"@CANARY@\"");

static bool attack() { return false; }

HIDE_BEHIND_ROWS
