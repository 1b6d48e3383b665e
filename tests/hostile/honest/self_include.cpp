// what: includes itself to unroll its loop; the recursion ends, as the preprocessor's depth grows with the width only
// operator: rows
// flags: -O2
// variants: -DLEVELS=2 | -DLEVELS=4 | -DLEVELS=6
#ifndef LEVEL
#include "kevolve.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float* w = (const float*)in[1].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float* x = (const float*)in[0].data + i * h;
    float *y = (float*)out[0].data + i * h, s = 0;
    kevolve_int64 j = 0;
    for (; j + (1 << LEVELS) <= h;) {
#define LEVEL LEVELS
#include __FILE__
#undef LEVEL
    }
    for (; j < h; ++j)
      s += x[j] * x[j];
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (j = 0; j < h; ++j)
      y[j] = x[j] * r * w[j];
  }
  return 0;
}
#elif LEVEL == 0
s += x[j] * x[j], ++j;
#elif LEVEL == 1
#undef LEVEL
#define LEVEL 0
#include __FILE__
#include __FILE__
#undef LEVEL
#define LEVEL 1
#elif LEVEL == 2
#undef LEVEL
#define LEVEL 1
#include __FILE__
#include __FILE__
#undef LEVEL
#define LEVEL 2
#elif LEVEL == 3
#undef LEVEL
#define LEVEL 2
#include __FILE__
#include __FILE__
#undef LEVEL
#define LEVEL 3
#elif LEVEL == 4
#undef LEVEL
#define LEVEL 3
#include __FILE__
#include __FILE__
#undef LEVEL
#define LEVEL 4
#elif LEVEL == 5
#undef LEVEL
#define LEVEL 4
#include __FILE__
#include __FILE__
#undef LEVEL
#define LEVEL 5
#else
#undef LEVEL
#define LEVEL 5
#include __FILE__
#include __FILE__
#undef LEVEL
#define LEVEL 6
#endif
