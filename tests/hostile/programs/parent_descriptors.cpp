// rows: 25
// what: lists the descriptors of the judge
// stopped by: landlock namespaces identity
// verdict: passed
// needs: root
#include "hostile.h"

static bool attack() {
  char path[64];
  return of_parent(path, "/fd") && raw(2, (long)path, 0200000) >= 0;
}

HIDE_BEHIND_ROWS
