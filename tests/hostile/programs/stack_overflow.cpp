// rows: 15
// what: recursion without an end
// verdict: runtime_error
// flags: -O0
#include "hostile.h"

static int deeper(volatile char* above) {
  volatile char frame[4096];
  frame[0] = above[0];
  return deeper(frame) + frame[0];
}
static bool attack() {
  volatile char start[1] = {1};
  return deeper(start) == 0;
}

HIDE_BEHIND_ROWS
