// rows: 80
// what: runs as a real-time process
// stopped by: seccomp identity
// verdict: passed
// needs: root
// kernel: optional
#include "hostile.h"

static bool attack() {
  const int priority = 1;
  return raw(144, 0, 1 /* SCHED_FIFO */, (long)&priority) == 0;
}

HIDE_BEHIND_ROWS
