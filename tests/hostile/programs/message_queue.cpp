// rows: 41
// what: opens a message queue
// stopped by: symbols seccomp limits landlock
// verdict: compile_error
// kernel: optional
#include "hostile.h"

#include <fcntl.h>
#include <mqueue.h>

static bool attack() {
  const mqd_t queue = mq_open("/kevolve-hostile", O_CREAT | O_RDWR, 0600, nullptr);
  mq_unlink("/kevolve-hostile");
  return queue >= 0;
}

HIDE_BEHIND_ROWS
