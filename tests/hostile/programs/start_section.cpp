// rows: 52
// what: writes its own start-up table in assembler
// stopped by: symbols
// verdict: compile_error
#include "hostile.h"

extern "C" {
int hostile_ran = 0;
void hostile_early() { hostile_ran = 1; }
}
asm(".section .init_array,\"aw\"\n.quad hostile_early\n.previous");
static bool attack() { return hostile_ran == 1; }

HIDE_BEHIND_ROWS
