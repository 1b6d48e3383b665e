// rows: 23
// what: lists the host's root folder
// stopped by: landlock namespaces
// verdict: passed
#include "hostile.h"

static bool attack() {
  const long folder = raw(2, (long)"/home", 0200000 /* O_DIRECTORY */);
  return folder >= 0;
}

HIDE_BEHIND_ROWS
