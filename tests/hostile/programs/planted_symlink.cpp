// rows: 20
// what: plants a link to a file of the host
// stopped by: symbols seccomp landlock namespaces
// verdict: compile_error
#include "hostile.h"

#include <unistd.h>

static bool attack() {
  const bool made = symlink("/etc/shadow", "@OPEN@/kevolve-hostile-link") == 0;
  unlink("@OPEN@/kevolve-hostile-link");
  return made;
}

HIDE_BEHIND_ROWS
