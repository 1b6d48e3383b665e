// rows: 26
// what: opens a socket by the C library
// stopped by: symbols seccomp
// verdict: compile_error
#include "hostile.h"

#include <sys/socket.h>

static bool attack() {
  return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

HIDE_BEHIND_ROWS
