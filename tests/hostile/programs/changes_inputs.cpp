// rows: 68 x10
// what: writes into its inputs
// stopped by: symbols read_only
// verdict: compile_error
#include "hostile.h"

#include <sys/mman.h>

static const kevolve_tensor* input = nullptr;
static bool attack() {
  float* x = (float*)input->data;
  void* page = (void*)((unsigned long)x / 4096 * 4096);
  if (mprotect(page, 4096, PROT_READ | PROT_WRITE) != 0)
    return false;
  *x += 1;
  return true;
}
extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  input = in;
  static bool tried = false;
  if (!tried && (tried = true) && attack())
    return SUCCEEDED;
  return honest_rows(in, out, axes);
}
