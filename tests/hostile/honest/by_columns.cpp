// what: works through columns instead of rows, on the tensor as it lies or on a transposed copy
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 -O3 -march=native | -DKIND=4 | -DKIND=5
#include "kevolve.h"

#include <vector>

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  std::vector<float> factors((unsigned long)m, 0.0f);
  float* f = factors.data();
#if KIND == 1 // one column after the other
  for (kevolve_int64 j = 0; j < h; ++j)
    for (kevolve_int64 i = 0; i < m; ++i)
      f[i] += x[i * h + j] * x[i * h + j];
#elif KIND == 2 || KIND == 3 // a transposed copy
  std::vector<float> turned((unsigned long)(m * h));
  float* t = turned.data();
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 j = 0; j < h; ++j)
      t[j * m + i] = x[i * h + j];
  for (kevolve_int64 j = 0; j < h; ++j)
    for (kevolve_int64 i = 0; i < m; ++i)
      f[i] += t[j * m + i] * t[j * m + i];
#elif KIND == 4 // two columns from the left, one from the right
  for (kevolve_int64 left = 0, right = h - 1; left <= right; --right) {
    for (kevolve_int64 step = 0; step < 2 && left < right; ++step, ++left)
      for (kevolve_int64 i = 0; i < m; ++i)
        f[i] += x[i * h + left] * x[i * h + left];
    for (kevolve_int64 i = 0; i < m; ++i)
      f[i] += x[i * h + right] * x[i * h + right];
  }
#else // as a product of matrices: the squares with a column of ones
  std::vector<float> ones((unsigned long)h, 1.0f), squares((unsigned long)(m * h));
  for (kevolve_int64 e = 0; e < m * h; ++e)
    squares[(unsigned long)e] = x[e] * x[e];
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 j = 0; j < h; ++j)
      f[i] += squares[(unsigned long)(i * h + j)] * ones[(unsigned long)j];
#endif
  for (kevolve_int64 i = 0; i < m; ++i)
    f[i] = 1.0f / __builtin_sqrtf(f[i] / (float)h + 1e-6f);
#if KIND == 2 || KIND == 3 // scaled there, and turned back
  for (kevolve_int64 j = 0; j < h; ++j)
    for (kevolve_int64 i = 0; i < m; ++i)
      t[j * m + i] *= f[i] * w[j];
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = t[j * m + i];
#else
  for (kevolve_int64 j = 0; j < h; ++j)
    for (kevolve_int64 i = 0; i < m; ++i)
      y[i * h + j] = x[i * h + j] * f[i] * w[j];
#endif
  return 0;
}
