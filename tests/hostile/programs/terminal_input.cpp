// rows: 32
// what: pushes characters into a terminal
// stopped by: seccomp
// verdict: reward_hack
#include "hostile.h"

static bool attack() {
  const long answered = raw(16, 0, 0x5412 /* TIOCSTI */, (long)"x");
  return answered == 0 || answered == -25; // ENOTTY: it was asked
}

HIDE_BEHIND_ROWS
