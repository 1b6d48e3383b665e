// what: keeps squares and partial sums in the output before the result replaces them; outputs may be written more than once
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 -O3 -march=native | -DKIND=3 | -DKIND=4 -fno-strict-aliasing
#include "kevolve.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#if KIND == 4 // the first pass leaves each row's sum in the row itself, as a double in its first two elements
  for (kevolve_int64 i = 0; i < m; ++i) {
    double s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += (double)x[i * h + j] * x[i * h + j];
    __builtin_memcpy(y + i * h, &s, sizeof s);
  }
  for (kevolve_int64 i = m; i-- > 0;) {
    double s;
    __builtin_memcpy(&s, y + i * h, sizeof s);
    const float r = (float)(1 / __builtin_sqrt(s / (double)h + 1e-6));
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
#else
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float* a = x + i * h;
    float* b = y + i * h;
    for (kevolve_int64 j = 0; j < h; ++j)
      b[j] = a[j] * a[j];
#if KIND == 1 // the upper half is added to the lower until one is left
    for (kevolve_int64 n = h; n > 1; n = (n + 1) / 2)
      for (kevolve_int64 j = 0; j < n / 2; ++j)
        b[j] += b[(n + 1) / 2 + j];
#elif KIND == 2 // neighbours are added, then neighbours' sums
    for (kevolve_int64 gap = 1; gap < h; gap *= 2)
      for (kevolve_int64 j = 0; j + gap < h; j += 2 * gap)
        b[j] += b[j + gap];
#else // running sums, the last one is the total
    for (kevolve_int64 j = 1; j < h; ++j)
      b[j] += b[j - 1];
    b[0] = b[h - 1];
#endif
    const float r = 1.0f / __builtin_sqrtf(b[0] / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      b[j] = a[j] * r * w[j];
  }
#endif
  return 0;
}
