// rows: 17
// what: stops its own process for ever
// stopped by: seccomp
// verdict: reward_hack
// succeeds as: outcome timeout
#include "hostile.h"

static bool attack() {
  return raw(62, raw(39), 19) != 0; // kill(getpid(), SIGSTOP)
}

HIDE_BEHIND_ROWS
