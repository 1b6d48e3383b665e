// rows: 1 16
// what: starts a process by clone without CLONE_THREAD
// stopped by: seccomp
// verdict: reward_hack
#include "hostile.h"

static bool attack() {
  const long child = raw(56, 17 /* SIGCHLD */);
  if (child == 0)
    raw(60, 0);
  return child > 0;
}

HIDE_BEHIND_ROWS
