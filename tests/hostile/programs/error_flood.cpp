// rows: 53
// what: is wrong ten thousand times
// verdict: compile_error
#include "hostile.h"

#define A(x) x x x x x x x x x x
#define NO undeclared_name;
void f() { A(A(A(A(NO)))) }

static bool attack() { return false; }

HIDE_BEHIND_ROWS
