// rows: 24
// what: reaches the host's files through the judge's root in /proc
// stopped by: landlock namespaces identity
// verdict: passed
// needs: root
#include "hostile.h"

static bool attack() {
  char path[64];
  return of_parent(path, "/root/etc/passwd") && raw(2, (long)path, 0) >= 0;
}

HIDE_BEHIND_ROWS
