// rows: 21
// what: makes a FIFO
// stopped by: symbols seccomp landlock namespaces
// verdict: compile_error
#include "hostile.h"

#include <sys/stat.h>
#include <unistd.h>

static bool attack() {
  const bool made = mkfifo("@OPEN@/kevolve-hostile-fifo", 0600) == 0;
  unlink("@OPEN@/kevolve-hostile-fifo");
  return made;
}

HIDE_BEHIND_ROWS
