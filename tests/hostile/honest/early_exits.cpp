// what: takes short cuts that change nothing: rows of zeros, rows equal to the one before, additions of zeros where all is finite
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4
#include "kevolve.h"

#include <cstring>

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float* w = (const float*)in[1].data;
  [[maybe_unused]] bool ordinary = true; // no weight that would make something else of a zero
  for (kevolve_int64 j = 0; j < h; ++j)
    ordinary &= w[j] - w[j] == 0;
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float* x = (const float*)in[0].data + i * h;
    float* y = (float*)out[0].data + i * h;
#if KIND == 1 // a row of zeros stays one
    bool zeros = ordinary;
    for (kevolve_int64 j = 0; zeros && j < h; ++j)
      zeros = x[j] == 0;
    if (zeros) {
      std::memset(y, 0, (unsigned long)h * sizeof(float));
      continue;
    }
#elif KIND == 2 // the same row again
    if (i > 0 && std::memcmp(x, x - h, (unsigned long)h * sizeof(float)) == 0) {
      std::memcpy(y, y - h, (unsigned long)h * sizeof(float));
      continue;
    }
#endif
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j) {
#if KIND == 3
      if (x[j] == 0)
        continue;
#elif KIND == 4 // once NaN, always NaN
      if (s != s)
        break;
#endif
      s += x[j] * x[j];
    }
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
#if KIND == 3
      y[j] = x[j] == 0 && ordinary && r == r ? x[j] : x[j] * r * w[j];
#else
      y[j] = x[j] * r * w[j];
#endif
  }
  return 0;
}
