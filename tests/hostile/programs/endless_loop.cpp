// rows: 6
// what: never comes back (well: after three seconds)
// stopped by: deadline
// verdict: timeout
// at times by: physics
// succeeds as: passed
#include "hostile.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  static bool done = false;
  long began[2], now[2];
  if (!done && (done = true)) {
    raw(228, 1, (long)began); // clock_gettime
    do
      raw(228, 1, (long)now);
    while (now[0] - began[0] < 4);
  }
  return honest_rows(in, out, axes);
}
