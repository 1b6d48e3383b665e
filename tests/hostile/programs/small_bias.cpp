// rows: 75 x15
// what: adds a little everywhere
// stopped by: comparison spots
// verdict: incorrect_numerical
// at times by: physics
// succeeds as: passed
#include "hostile.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  honest_rows(in, out, axes);
  for (kevolve_int64 i = 0; i < axes[0] * axes[1]; ++i)
    ((float*)out[0].data)[i] *= 1.002f;
  return 0;
}
