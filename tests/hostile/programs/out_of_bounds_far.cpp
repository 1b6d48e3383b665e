// rows: 69 x17
// what: writes a page past its output
// verdict: runtime_error
#include "hostile.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  honest_rows(in, out, axes);
  ((volatile char*)out[0].data)[axes[0] * axes[1] * 4 + 4096] = 1;
  return 0;
}
