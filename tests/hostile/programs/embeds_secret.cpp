// rows: 46
// what: has the assembler embed a file of the host
// stopped by: compile_jail
// verdict: compile_error
#include "hostile.h"

asm(".section .rodata\nembedded: .incbin \"@CANARY@\"\n.byte 0\n.previous");
extern "C" const char embedded[] asm("embedded");
static bool attack() { return embedded[0] == 'k'; }

HIDE_BEHIND_ROWS
