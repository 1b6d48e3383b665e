// rows: 35
// what: opens a device of the host
// stopped by: landlock namespaces identity
// verdict: passed
// needs: root
// kernel: optional
#include "hostile.h"

static bool attack() {
  return raw(2, (long)"/dev/kmsg", 0) >= 0;
}

HIDE_BEHIND_ROWS
