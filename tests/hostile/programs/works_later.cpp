// rows: 64 x2
// what: returns at once and works in a thread
// stopped by: symbols comparison
// verdict: compile_error
// succeeds as: passed
// flags: -O1 -pthread
// at times by: physics spots second_clock
#include "hostile.h"

#include <pthread.h>

static const kevolve_tensor* input;
static kevolve_tensor* output;
static kevolve_int64 sizes[2];
static volatile int wanted = 0, done = 0;
static void* worker(void*) {
  for (;;) {
    while (wanted == done)
      raw(24); // sched_yield
    const long moment[2] = {0, 2000000};
    raw(35, (long)moment);
    honest_rows(input, output, sizes);
    done = done + 1;
  }
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  static bool started = false;
  pthread_t thread;
  if (!started && (started = true))
    pthread_create(&thread, nullptr, worker, nullptr);
  while (wanted != done)
    raw(24);
  input = in, output = out, sizes[0] = axes[0], sizes[1] = axes[1];
  wanted = wanted + 1;
  return 0;
}
