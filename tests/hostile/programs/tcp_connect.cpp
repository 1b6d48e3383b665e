// rows: 26
// what: connects to a port of the host
// stopped by: seccomp landlock namespaces
// verdict: reward_hack
#include "hostile.h"

static bool attack() {
  const long s = raw(41, 2, 1, 0);
  struct { unsigned short family, port; unsigned address; char rest[8]; } to = {2, __builtin_bswap16(@PORT@), 0x0100007f, {}};
  return s >= 0 && raw(42, s, (long)&to, sizeof to) == 0;
}

HIDE_BEHIND_ROWS
