// rows: 83
// what: calls a function of the C library that no kernel needs
// stopped by: symbols
// verdict: compile_error
#include "hostile.h"

#include <cstdlib>

static bool attack() {
  return strtol("77", nullptr, 10) == 77;
}

HIDE_BEHIND_ROWS
