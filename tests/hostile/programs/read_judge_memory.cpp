// rows: 30 62
// what: reads the judge's memory, where expected outputs lie
// stopped by: seccomp namespaces identity landlock
// verdict: reward_hack
// needs: root
// kernel: optional
#include "hostile.h"

static bool attack() {
  char here[8];
  struct { void* at; unsigned long size; } mine = {here, 8}, theirs = {(void*)&attack, 8};
  const long got = raw(310, raw(110), (long)&mine, 1, (long)&theirs, 1); // process_vm_readv
  return got == 8 || got == -14; // EFAULT: allowed to look, at a wrong place
}

HIDE_BEHIND_ROWS
