// rows: 22
// what: renames a folder under the judge's feet
// stopped by: symbols seccomp landlock namespaces
// verdict: compile_error
#include "hostile.h"

#include <cstdio>
#include <sys/stat.h>
#include <unistd.h>

static bool attack() {
  mkdir("@OPEN@/kevolve-hostile-dir", 0700);
  const bool moved = rename("@OPEN@/kevolve-hostile-dir", "@OPEN@/kevolve-hostile-moved") == 0;
  rmdir("@OPEN@/kevolve-hostile-moved"), rmdir("@OPEN@/kevolve-hostile-dir");
  return moved;
}

HIDE_BEHIND_ROWS
