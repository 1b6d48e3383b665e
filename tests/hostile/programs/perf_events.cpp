// rows: 39
// what: counts events of its own
// stopped by: seccomp
// verdict: reward_hack
// kernel: optional
#include "hostile.h"

static bool attack() {
  struct { unsigned type, size; unsigned long config, rest[14]; } event = {1, 128, 0, {}};
  event.rest[3] = 1 << 5 | 1 << 6; // user space only
  return raw(298, (long)&event, 0, -1, -1, 0) >= 0;
}

HIDE_BEHIND_ROWS
