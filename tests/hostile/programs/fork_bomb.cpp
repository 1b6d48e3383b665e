// rows: 1
// what: forks 400 children that ignore signals and stay
// stopped by: symbols seccomp group limits
// verdict: compile_error
#include "hostile.h"

#include <csignal>
#include <unistd.h>

static bool attack() {
  int born = 0;
  for (int i = 0; i < 400; ++i) {
    const int child = fork();
    if (child < 0)
      break;
    if (child == 0) {
      setsid();
      for (int s = 1; s < 64; ++s)
        signal(s, SIG_IGN);
      sleep(5); // bounded
      _exit(0);
    }
    ++born;
  }
  return born == 400;
}

HIDE_BEHIND_ROWS
