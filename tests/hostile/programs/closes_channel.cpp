// rows: 72
// what: closes the judge's channel
// verdict: runtime_error
#include "hostile.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  raw(3, 3);
  return honest_rows(in, out, axes);
}
