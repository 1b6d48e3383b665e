// rows: 23
// what: reads /etc/shadow
// stopped by: symbols landlock namespaces identity
// verdict: compile_error
// needs: root
#include "hostile.h"

#include <fcntl.h>
#include <unistd.h>

static bool attack() {
  const int file = open("/etc/shadow", O_RDONLY);
  char byte;
  return file >= 0 && read(file, &byte, 1) == 1;
}

HIDE_BEHIND_ROWS
