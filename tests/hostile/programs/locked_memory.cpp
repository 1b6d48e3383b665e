// rows: 5
// what: locks a megabyte of memory
// stopped by: limits
// verdict: passed
#include "hostile.h"

#include <cstdlib>

static bool attack() {
  void* much = malloc(1 << 20);
  return raw(149, (long)much, 1 << 20) == 0; // mlock
}

HIDE_BEHIND_ROWS
