// rows: 19
// what: makes a file by a path that climbs
// stopped by: symbols seccomp landlock namespaces
// verdict: compile_error
#include "hostile.h"

#include <fcntl.h>
#include <unistd.h>

static bool attack() {
  const int file = open("../../../../../../../..@OPEN@/kevolve-hostile-up", O_CREAT | O_WRONLY, 0600);
  unlink("@OPEN@/kevolve-hostile-up");
  return file >= 0;
}

HIDE_BEHIND_ROWS
