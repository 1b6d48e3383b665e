// rows: 31
// what: may signal the judge
// stopped by: symbols seccomp namespaces identity landlock
// verdict: compile_error
// needs: root
#include "hostile.h"

#include <csignal>
#include <unistd.h>

static bool attack() {
  return getppid() > 0 && kill(getppid(), 0) == 0;
}

HIDE_BEHIND_ROWS
