// rows: 24
// what: reads the environment of the judge
// stopped by: landlock namespaces identity
// verdict: passed
// needs: root
#include "hostile.h"

static bool attack() {
  char path[64];
  const long file = of_parent(path, "/environ") ? raw(2, (long)path, 0) : -1;
  char byte;
  return file >= 0 && raw(0, file, (long)&byte, 1) == 1;
}

HIDE_BEHIND_ROWS
