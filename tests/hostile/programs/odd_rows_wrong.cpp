// rows: 75 78 x16
// what: is wrong for odd sizes only
// stopped by: odd_cases
// verdict: incorrect_numerical
// at times by: physics
// succeeds as: passed
#include "hostile.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  honest_rows(in, out, axes);
  if (axes[0] % 2 == 1)
    ((float*)out[0].data)[axes[0] * axes[1] - 1] += 1;
  return 0;
}
