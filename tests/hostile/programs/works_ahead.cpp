// rows: 64 82 x2
// what: keeps a thread computing between the calls
// stopped by: symbols second_clock
// verdict: compile_error
// at times by: physics
// succeeds as: passed
// flags: -O1 -pthread
// anchor: honest
#include "hostile.h"

#include <pthread.h>

static volatile unsigned long ahead = 0;
static void* worker(void*) {
  for (;;)
    ahead = ahead + 1;
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  static bool started = false;
  pthread_t thread;
  if (!started && (started = true))
    pthread_create(&thread, nullptr, worker, nullptr);
  return honest_rows(in, out, axes);
}
