// rows: 4
// what: fills /dev/shm
// stopped by: symbols seccomp landlock namespaces limits
// verdict: compile_error
#include "hostile.h"

#include <fcntl.h>
#include <unistd.h>

static bool attack() {
  const int file = open("/dev/shm/kevolve-hostile", O_CREAT | O_RDWR, 0600);
  char block[4096] = {1};
  const bool written = file >= 0 && write(file, block, sizeof block) == sizeof block;
  unlink("/dev/shm/kevolve-hostile");
  return written;
}

HIDE_BEHIND_ROWS
