// rows: 33
// what: may set the clock
// stopped by: seccomp identity
// verdict: reward_hack
// needs: root
// kernel: optional
#include "hostile.h"

static bool attack() {
  char state[256] = {0};
  return raw(159, (long)state) >= 0 && raw(305, 0, (long)state) >= 0 && raw(164, 0, 0) == 0; // reads, then settimeofday of nothing
}

HIDE_BEHIND_ROWS
