// rows: 14 76
// what: computes in half the precision
// stopped by: comparison spots
// verdict: incorrect_numerical
// at times by: physics
// succeeds as: passed
#include "hostile.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  honest_rows(in, out, axes);
  for (kevolve_int64 i = 0; i < axes[0] * axes[1]; ++i) {
    unsigned bits;
    __builtin_memcpy(&bits, (float*)out[0].data + i, 4);
    bits &= 0xffffe000u; // ten bits of the fraction
    __builtin_memcpy((float*)out[0].data + i, &bits, 4);
  }
  return 0;
}
