// rows: 50
// what: doubles a macro thirty times
// verdict: compile_error
#include "hostile.h"

#define A(x) x x
#define B(x) A(A(A(A(x))))
#define C(x) B(B(B(B(x))))
static unsigned long count() {
  unsigned long n = 0;
  C(C(++n;))
  return n;
}
static bool attack() { return count() == 0; }

HIDE_BEHIND_ROWS
