// rows: 71
// what: throws out of the call
// verdict: runtime_error
#include "hostile.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  throw 1;
}
