// rows: 69 x17
// what: writes just before its output
// stopped by: canaries
// verdict: runtime_error
// at times by: physics
// succeeds as: passed
#include "hostile.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  honest_rows(in, out, axes);
  ((float*)out[0].data)[-1] = 1;
  return 0;
}
