// rows: 7
// what: sleeps and burns no CPU time
// stopped by: deadline
// verdict: timeout
// at times by: physics
// succeeds as: passed
#include "hostile.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  static bool done = false;
  const long three_seconds[2] = {3, 0};
  if (!done && (done = true))
    raw(35, (long)three_seconds); // nanosleep
  return honest_rows(in, out, axes);
}
