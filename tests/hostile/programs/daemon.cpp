// rows: 16
// what: leaves a daemon behind by a double fork
// stopped by: symbols seccomp
// verdict: compile_error
#include "hostile.h"

#include <unistd.h>

static bool attack() {
  const int child = fork();
  if (child == 0) {
    setsid();
    if (fork() == 0)
      sleep(20);
    _exit(0);
  }
  return child > 0;
}

HIDE_BEHIND_ROWS
