// rows: 3
// what: asks for nine gigabytes
// stopped by: limits
// verdict: passed
#include "hostile.h"

#include <cstdlib>

static bool attack() {
  char* most = (char*)malloc(9ul << 30);
  if (!most)
    return false;
  most[8ul << 30] = 1;
  const bool got = most[8ul << 30] == 1;
  free(most);
  return got;
}

HIDE_BEHIND_ROWS
