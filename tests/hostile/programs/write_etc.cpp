// rows: 19
// what: makes a file in /etc
// stopped by: symbols seccomp landlock namespaces identity
// verdict: compile_error
// needs: root
#include "hostile.h"

#include <fcntl.h>
#include <unistd.h>

static bool attack() {
  const int file = open("/etc/kevolve-hostile", O_CREAT | O_WRONLY, 0600);
  unlink("/etc/kevolve-hostile");
  return file >= 0;
}

HIDE_BEHIND_ROWS
