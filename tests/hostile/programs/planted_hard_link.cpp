// rows: 21
// what: links a file of the host under another name
// stopped by: symbols seccomp landlock namespaces identity
// verdict: compile_error
// needs: root
#include "hostile.h"

#include <unistd.h>

static bool attack() {
  const bool made = link("@CANARY@", "@CANARY@-link") == 0;
  unlink("@CANARY@-link");
  return made;
}

HIDE_BEHIND_ROWS
