// rows: 33
// what: makes a user namespace to become root in
// stopped by: seccomp symbols
// verdict: compile_error
// libc: _GNU_SOURCE
// kernel: optional
#include "hostile.h"

#include <sched.h>

static bool attack() {
  return unshare(CLONE_NEWUSER) == 0;
}

HIDE_BEHIND_ROWS
