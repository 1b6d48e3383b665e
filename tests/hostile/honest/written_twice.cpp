// what: writes every element several times: zeros, wrong values, halves of the result, and the result last
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 -O1 | -DKIND=4 | -DKIND=5 -O3
#include "kevolve.h"

static void keep(float* p) { __asm__ volatile("" : : "r"(p) : "memory"); } // what has been written so far stays written

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#if KIND == 1
  __builtin_memset(y, 0, (unsigned long)(m * h) * sizeof(float));
#elif KIND == 2
  __builtin_memset(y, 0x5a, (unsigned long)(m * h) * sizeof(float));
#elif KIND == 3
  __builtin_memcpy(y, x, (unsigned long)(m * h) * sizeof(float)); // then normalised where it stands
#endif
  keep(y);
  for (kevolve_int64 i = 0; i < m; ++i) {
#if KIND == 3
    const float* a = y + i * h;
#else
    const float* a = x + i * h;
#endif
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += a[j] * a[j];
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
#if KIND == 4 // unscaled, then scaled twice where it stands
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = a[j];
    keep(y);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] *= r;
    keep(y);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] *= w[j];
#elif KIND == 5 // the same result seven times
    for (int again = 0; again < 7; ++again) {
      for (kevolve_int64 j = 0; j < h; ++j)
        y[i * h + j] = a[j] * r * w[j];
      keep(y);
    }
#else
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = a[j] * r * w[j];
#endif
  }
  return 0;
}
