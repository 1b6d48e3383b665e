// what: sums of products under -ffast-math in its several strengths, some with unrolling and wide vectors; plain sums keep NaN and Inf
// operator: product
// flags: -O3
// variants: -ffast-math | -Ofast -march=native | -ffast-math -funroll-loops -mavx2 -mfma | -ffast-math -mprefer-vector-width=128 -march=native -DTURNED | -ffast-math -fno-tree-vectorize -DTURNED | -ffast-math -fopenmp -DTURNED
#include "kevolve.h"

#include <vector>

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
  const float* __restrict__ a = (const float*)in[0].data;
  const float* __restrict__ b = (const float*)in[1].data;
  float* __restrict__ c = (float*)out[0].data;
#ifdef TURNED
  std::vector<float> turned((unsigned long)(k * n));
  for (kevolve_int64 l = 0; l < k; ++l)
    for (kevolve_int64 j = 0; j < n; ++j)
      turned[(unsigned long)(j * k + l)] = b[l * n + j];
#endif
#pragma omp parallel for num_threads(2)
  for (kevolve_int64 i = 0; i < m; ++i)
#ifdef TURNED
    for (kevolve_int64 j = 0; j < n; ++j) {
      float s = 0;
      for (kevolve_int64 l = 0; l < k; ++l)
        s += a[i * k + l] * turned[(unsigned long)(j * k + l)];
      c[i * n + j] = s;
    }
#else
  {
    for (kevolve_int64 j = 0; j < n; ++j)
      c[i * n + j] = a[i * k] * b[j];
    for (kevolve_int64 l = 1; l < k; ++l)
      for (kevolve_int64 j = 0; j < n; ++j)
        c[i * n + j] += a[i * k + l] * b[l * n + j];
  }
#endif
  return 0;
}
