// rows: 70
// what: ends its process in a call, all well
// verdict: runtime_error
#include "hostile.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  honest_rows(in, out, axes);
  raw(231, 0); // exit_group
  return 0;
}
