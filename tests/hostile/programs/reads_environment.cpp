// rows: 24
// what: finds our PATH in its environment
// stopped by: symbols descriptors
// verdict: compile_error
#include "hostile.h"

#include <cstdlib>

static bool attack() {
  return getenv("PATH") != nullptr;
}

HIDE_BEHIND_ROWS
