// rows: 8
// what: duplicates a descriptor 5000 times
// stopped by: symbols seccomp limits
// verdict: compile_error
#include "hostile.h"

#include <unistd.h>

static bool attack() {
  int got = 0;
  while (got < 5000 && dup(1) >= 0)
    ++got;
  return got == 5000;
}

HIDE_BEHIND_ROWS
