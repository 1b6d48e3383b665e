// what: teams within teams of threads, up to 64 threads on two levels
// operator: rows
// flags: -O2 -fopenmp
// variants: -DOUTER=2 -DINNER=2 | -DOUTER=4 -DINNER=4 | -DOUTER=8 -DINNER=8 | -DOUTER=1 -DINNER=3 | -DOUTER=3 -DINNER=2 -DDEEPER=2
#include "kevolve.h"

#include <omp.h>

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  omp_set_max_active_levels(3);
#pragma omp parallel num_threads(OUTER)
  {
    const kevolve_int64 from = m * omp_get_thread_num() / omp_get_num_threads(), to = m * (omp_get_thread_num() + 1) / omp_get_num_threads();
#pragma omp parallel for num_threads(INNER) schedule(static, 1)
    for (kevolve_int64 i = from; i < to; ++i) {
      float s = 0;
#ifdef DEEPER
#pragma omp parallel for num_threads(DEEPER) reduction(+ : s)
#endif
      for (kevolve_int64 j = 0; j < h; ++j)
        s += x[i * h + j] * x[i * h + j];
      const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
      for (kevolve_int64 j = 0; j < h; ++j)
        y[i * h + j] = x[i * h + j] * r * w[j];
    }
  }
  return 0;
}
