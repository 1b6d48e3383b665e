// rows: 34
// what: runs a program that it has written into memory
// stopped by: seccomp
// verdict: reward_hack
// kernel: optional
#include "hostile.h"

static bool attack() {
  return raw(319, (long)"x", 0) >= 0; // memfd_create
}

HIDE_BEHIND_ROWS
