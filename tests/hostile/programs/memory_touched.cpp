// rows: 3
// what: touches more memory than its group may have
// stopped by: group limits
// verdict: runtime_error timeout
// long: takes 13 GiB of memory
// at times by: deadline
#include "hostile.h"

#include <cstdlib>

static bool attack() {
  for (int i = 0; i < 13; ++i) { // thirteen gigabytes
    char* more = (char*)malloc(1ul << 30);
    if (!more)
      __builtin_trap();
    for (unsigned long at = 0; at < 1ul << 30; at += 4096)
      more[at] = 1;
  }
  return true;
}

HIDE_BEHIND_ROWS
