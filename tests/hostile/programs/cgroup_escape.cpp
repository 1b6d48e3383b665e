// rows: 40
// what: opens the list of a control group to leave its own
// stopped by: symbols seccomp landlock namespaces identity
// verdict: compile_error
// needs: root
// kernel: optional
#include "hostile.h"

#include <fcntl.h>

static bool attack() {
  return open("/sys/fs/cgroup/@CGROUP@cgroup.procs", O_WRONLY) >= 0;
}

HIDE_BEHIND_ROWS
