// rows: 26
// what: opens a raw ICMP socket
// stopped by: seccomp identity
// verdict: reward_hack
// needs: root
// kernel: optional
#include "hostile.h"

static bool attack() {
  return raw(41, 2, 3, 1) >= 0;
}

HIDE_BEHIND_ROWS
