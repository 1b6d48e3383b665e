// rows: 60 x15
// what: writes zeros
// stopped by: comparison spots
// verdict: incorrect_numerical
// at times by: physics
// succeeds as: passed
#include "hostile.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  __builtin_memset(out[0].data, 0, axes[0] * axes[1] * 4);
  return 0;
}
