// rows: 10
// what: makes files until there are no inodes left
// stopped by: symbols seccomp landlock namespaces
// verdict: compile_error
#include "hostile.h"

#include <fcntl.h>
#include <unistd.h>

static bool attack() {
  char name[] = "@OPEN@/kevolve-hostile-00";
  int made = 0;
  for (int i = 0; i < 20; ++i) {
    name[sizeof name - 3] = (char)('0' + i / 10), name[sizeof name - 2] = (char)('0' + i % 10);
    const int file = open(name, O_CREAT | O_WRONLY, 0600);
    made += file >= 0;
    if (file >= 0)
      close(file), unlink(name);
  }
  return made == 20;
}

HIDE_BEHIND_ROWS
