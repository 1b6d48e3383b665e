// rows: 80
// what: raises its priority above the baseline's
// stopped by: symbols seccomp identity
// verdict: compile_error
// needs: root
#include "hostile.h"

#include <sys/resource.h>

static bool attack() {
  return setpriority(PRIO_PROCESS, 0, -10) == 0;
}

HIDE_BEHIND_ROWS
