// what: does several rows at once, a lane for each, and leaves those that fill no register to a plain loop
// operator: rows
// flags: -O2 -Wno-psabi
// variants: -DABREAST=2 | -DABREAST=4 | -DABREAST=8 -mavx2 | -DABREAST=16 -march=native | -DABREAST=32 -O3 -march=native
#include "kevolve.h"

typedef float lanes __attribute__((vector_size(4 * ABREAST)));

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  kevolve_int64 i = 0;
  for (; i + ABREAST <= m; i += ABREAST) {
    lanes s = {};
    for (kevolve_int64 j = 0; j < h; ++j) {
      lanes v;
      for (int e = 0; e < ABREAST; ++e)
        v[e] = x[(i + e) * h + j];
      s += v * v;
    }
    s = s / (float)h + 1e-6f;
    for (int e = 0; e < ABREAST; ++e)
      s[e] = 1.0f / __builtin_sqrtf(s[e]);
    for (kevolve_int64 j = 0; j < h; ++j)
      for (int e = 0; e < ABREAST; ++e)
        y[(i + e) * h + j] = x[(i + e) * h + j] * s[e] * w[j];
  }
  for (; i < m; ++i) {
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[i * h + j] * x[i * h + j];
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
