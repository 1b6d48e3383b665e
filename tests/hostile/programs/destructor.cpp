// rows: 73
// what: changes results as its process ends
// verdict: compile_error
#include "hostile.h"

static float* last = nullptr;
__attribute__((destructor)) static void late() { if (last) *last = 0; }
extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  last = (float*)out[0].data;
  return honest_rows(in, out, axes);
}
