// rows: 9
// what: writes a file in /tmp
// stopped by: symbols seccomp landlock namespaces limits
// verdict: compile_error
#include "hostile.h"

#include <fcntl.h>
#include <unistd.h>

static bool attack() {
  const int file = open("@OPEN@/kevolve-hostile-file", O_CREAT | O_WRONLY, 0600);
  char block[4096] = {1};
  const bool written = file >= 0 && write(file, block, sizeof block) == sizeof block;
  unlink("@OPEN@/kevolve-hostile-file");
  return written;
}

HIDE_BEHIND_ROWS
