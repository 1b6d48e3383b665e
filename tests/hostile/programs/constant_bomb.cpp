// rows: 48
// what: computes for ever at compile time
// verdict: compile_error
#include "hostile.h"

constexpr unsigned long spin(unsigned long n) {
  unsigned long x = n;
  for (unsigned long i = 0; i < ~0ul; ++i)
    x = x * 3 + i;
  return x;
}
static constexpr unsigned long forever = spin(1);
static bool attack() { return forever == 0; }

HIDE_BEHIND_ROWS
