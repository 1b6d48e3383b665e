// rows: 23
// what: reads a file that only its owner may read
// stopped by: landlock namespaces identity
// verdict: passed
// needs: root
#include "hostile.h"

static bool attack() {
  const long file = raw(2, (long)"@SECRET@", 0);
  char byte;
  return file >= 0 && raw(0, file, (long)&byte, 1) == 1;
}

HIDE_BEHIND_ROWS
