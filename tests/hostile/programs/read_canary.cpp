// rows: 23
// what: reads a file of the host that everybody may read
// stopped by: landlock namespaces
// verdict: passed
#include "hostile.h"

static bool attack() {
  const long file = raw(2, (long)"@CANARY@", 0);
  char byte;
  return file >= 0 && raw(0, file, (long)&byte, 1) == 1;
}

HIDE_BEHIND_ROWS
