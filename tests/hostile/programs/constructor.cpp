// rows: 52
// what: runs before anybody calls it
// stopped by: symbols
// verdict: compile_error
#include "hostile.h"

static int ran = 0;
__attribute__((constructor)) static void early() { ran = 1; }
static bool attack() { return ran == 1; }

HIDE_BEHIND_ROWS
