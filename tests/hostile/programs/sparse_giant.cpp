// rows: 10
// what: makes a file of an exabyte without blocks
// stopped by: symbols seccomp landlock namespaces limits
// verdict: compile_error
#include "hostile.h"

#include <fcntl.h>
#include <unistd.h>

static bool attack() {
  const int file = open("@OPEN@/kevolve-hostile-sparse", O_CREAT | O_WRONLY, 0600);
  const bool grown = file >= 0 && ftruncate(file, 1l << 40) == 0;
  unlink("@OPEN@/kevolve-hostile-sparse");
  return grown;
}

HIDE_BEHIND_ROWS
