// rows: 34
// what: becomes another program
// stopped by: symbols seccomp landlock namespaces
// verdict: compile_error
// succeeds as: text ended its process with status 0
#include "hostile.h"

#include <unistd.h>

static bool attack() {
  char* const argv[] = {(char*)"true", nullptr};
  execv("/bin/true", argv);
  return false;
}

HIDE_BEHIND_ROWS
