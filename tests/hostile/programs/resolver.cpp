// rows: 52
// what: runs as the loader resolves a symbol (IFUNC)
// stopped by: symbols
// verdict: compile_error
// flags: -O0
#include "hostile.h"

static int ran = 0;
extern "C" {
int one() { return 1; }
int (*choose())() { return ran = 1, one; }
int chosen() __attribute__((ifunc("choose")));
}
static bool attack() { return chosen() == 1 && ran == 1; }

HIDE_BEHIND_ROWS
