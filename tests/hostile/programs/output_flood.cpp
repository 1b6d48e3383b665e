// rows: 11 12
// what: writes a gigabyte to stdout and stderr in odd bytes
// verdict: passed
#include "hostile.h"

static bool attack() {
  static char block[1 << 20];
  for (unsigned i = 0; i < sizeof block; ++i)
    block[i] = (char)(i % 3 ? 27 : 0);
  for (int i = 0; i < 1024; ++i)
    for (int fd = 1; fd <= 2; ++fd)
      raw(1, fd, (long)block, sizeof block);
  return false;
}

HIDE_BEHIND_ROWS
