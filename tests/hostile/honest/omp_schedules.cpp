// what: every schedule that OpenMP knows, chunks of odd sizes included, rows in ordered turns and collapsed loops
// operator: rows
// flags: -O2 -fopenmp
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6 | -DKIND=7 | -DKIND=8 -O3 | -DKIND=9 | -DKIND=10
#include "kevolve.h"

#include <omp.h>

static void row(const float* x, const float* w, float* y, kevolve_int64 h) {
  float s = 0;
  for (kevolve_int64 j = 0; j < h; ++j)
    s += x[j] * x[j];
  const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
  for (kevolve_int64 j = 0; j < h; ++j)
    y[j] = x[j] * r * w[j];
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#if KIND == 6
  omp_set_schedule(omp_sched_guided, 5);
#endif
#if KIND == 1
#pragma omp parallel for schedule(static, 1)
#elif KIND == 2
#pragma omp parallel for schedule(static, 1000)
#elif KIND == 3
#pragma omp parallel for schedule(dynamic) num_threads(5)
#elif KIND == 4
#pragma omp parallel for schedule(guided, 7)
#elif KIND == 5
#pragma omp parallel for schedule(auto)
#elif KIND == 6
#pragma omp parallel for schedule(runtime)
#elif KIND == 7
#pragma omp parallel for ordered schedule(monotonic : dynamic, 2)
#elif KIND == 8
#pragma omp parallel for schedule(nonmonotonic : dynamic, 3)
#elif KIND == 10 // parallel only where it pays
#pragma omp parallel for if (m > 16)
#endif
#if KIND == 9 // sums first, then all elements as one loop
  float* factors = new float[(unsigned long)m];
#pragma omp parallel
  {
#pragma omp for nowait
    for (kevolve_int64 i = m - 1; i >= 0; --i) {
      float s = 0;
      for (kevolve_int64 j = 0; j < h; ++j)
        s += x[i * h + j] * x[i * h + j];
      factors[i] = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    }
#pragma omp barrier
#pragma omp for collapse(2) schedule(static, 13)
    for (kevolve_int64 i = 0; i < m; ++i)
      for (kevolve_int64 j = 0; j < h; ++j)
        y[i * h + j] = x[i * h + j] * factors[i] * w[j];
  }
  delete[] factors;
#else
  for (kevolve_int64 i = 0; i < m; ++i) {
#if KIND == 7
#pragma omp ordered
#endif
    row(x + i * h, w, y + i * h, h);
  }
#endif
  return 0;
}
