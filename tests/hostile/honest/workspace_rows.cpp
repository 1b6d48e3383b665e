// what: asks for a workspace whose size depends on the number of rows and does each row's sum there, counters and all
// operator: rows
// flags: -O2
// variants: -DEACH=4 | -DEACH=64 -fopenmp | -DEACH=4096 -fopenmp | -DEACH=8 -DFROM_THE_END
#include "kevolve.h"

extern "C" kevolve_int64 kevolve_workspace_bytes(const kevolve_int64* axes) { return axes[0] * EACH; }

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void* workspace, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  if (!workspace || (unsigned long)workspace % 4096)
    return 1;
  const auto sum_of = [&](kevolve_int64 i) -> float& {
#ifdef FROM_THE_END
    return *(float*)((char*)workspace + (m - i) * EACH - 4);
#else
    return *(float*)((char*)workspace + i * EACH);
#endif
  };
#pragma omp parallel for num_threads(2)
  for (kevolve_int64 i = 0; i < m; ++i) {
    sum_of(i) = 0; // what an earlier call has left there
    for (kevolve_int64 j = 0; j < h; ++j)
      sum_of(i) += x[i * h + j] * x[i * h + j];
  }
#pragma omp parallel for num_threads(3)
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = 1.0f / __builtin_sqrtf(sum_of(i) / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
