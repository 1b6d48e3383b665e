// rows: 21 35
// what: makes a block device
// stopped by: symbols seccomp landlock namespaces identity
// verdict: compile_error
// needs: root
#include "hostile.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static bool attack() {
  const bool made = mknod("@OPEN@/kevolve-hostile-disk", S_IFBLK | 0600, makedev(254, 0)) == 0;
  unlink("@OPEN@/kevolve-hostile-disk");
  return made;
}

HIDE_BEHIND_ROWS
