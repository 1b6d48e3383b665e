// rows: 39
// what: handles its own page faults
// stopped by: seccomp identity
// verdict: reward_hack
// needs: root
// kernel: optional
#include "hostile.h"

static bool attack() {
  return raw(323, 0) >= 0;
}

HIDE_BEHIND_ROWS
