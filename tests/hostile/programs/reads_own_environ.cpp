// rows: 24
// what: reads /proc/self/environ and finds our HOME
// stopped by: landlock descriptors identity
// verdict: passed
#include "hostile.h"

static bool attack() {
  char text[8192];
  const long file = raw(2, (long)"/proc/self/environ", 0);
  const long n = file >= 0 ? raw(0, file, (long)text, sizeof text) : 0;
  for (long i = 0; i + 5 < n; ++i)
    if (__builtin_memcmp(text + i, "HOME=", 5) == 0)
      return true;
  return false;
}

HIDE_BEHIND_ROWS
