// what: results differ in their last bits from call to call: the order of a sum depends on the clock, on a counter or on threads
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 -fopenmp | -DKIND=4 -fopenmp
#include "kevolve.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#if KIND == 1
  unsigned long random = __builtin_ia32_rdtsc() | 1;
#elif KIND == 2
  static unsigned long calls = 0;
  const unsigned long start = ++calls;
#elif KIND == 3
  kevolve_int64 next = 0;
#endif
  for (kevolve_int64 i = 0; i < m; ++i) {
    float s = 0;
#if KIND == 1 // some elements from the left, some from the right
    for (kevolve_int64 left = 0, right = h; left < right;) {
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      const float v = random & 1 ? x[i * h + left++] : x[i * h + --right];
      s += v * v;
    }
#elif KIND == 2 // from another element on in each call
    for (kevolve_int64 k = 0; k < h; ++k) {
      const float v = x[i * h + (kevolve_int64)((start + (unsigned long)k) % (unsigned long)h)];
      s += v * v;
    }
#elif KIND == 3 // whichever thread comes first
    next = 0;
#pragma omp parallel num_threads(2)
    for (;;) {
      kevolve_int64 mine;
#pragma omp atomic capture
      mine = next++;
      if (mine * 10 >= h)
        break;
      float part = 0;
      for (kevolve_int64 j = mine * 10; j < mine * 10 + 10 && j < h; ++j)
        part += x[i * h + j] * x[i * h + j];
#pragma omp atomic
      s += part;
    }
#else // the reduction's order is nobody's business
#pragma omp parallel for reduction(+ : s) schedule(dynamic, 7) num_threads(3)
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[i * h + j] * x[i * h + j];
#endif
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
