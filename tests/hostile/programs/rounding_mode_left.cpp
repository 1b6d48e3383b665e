// rows: 79
// what: leaves another rounding mode and flushed denormals behind
// verdict: passed incorrect_numerical
#include "hostile.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const int status = honest_rows(in, out, axes);
  __builtin_ia32_ldmxcsr(0x9fc0 | 0x6000); // to zero, flush
  return status;
}
