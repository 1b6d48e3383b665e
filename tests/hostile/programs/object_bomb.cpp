// rows: 49
// what: initialises a gigabyte
// verdict: compile_error
#include "hostile.h"

extern "C" char much[1u << 30];
char much[1u << 30] = {1};
static bool attack() { return much[1] != 0; }

HIDE_BEHIND_ROWS
