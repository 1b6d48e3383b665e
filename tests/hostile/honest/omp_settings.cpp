// what: changes OpenMP's settings for the rest of the process, asks it for times, and offers to cancel what is never cancelled
// operator: rows
// flags: -O2 -fopenmp
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5
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
#if KIND == 1
  omp_set_num_threads(3);
#elif KIND == 2
  omp_set_dynamic(1);
#elif KIND == 3 // the time that the last call took, remembered for nothing
  static double took = 0;
  const double began = omp_get_wtime();
#elif KIND == 4 // a part that would be stopped after an error
  bool failed = m < 1;
#elif KIND == 5 // a lock that may be taken twice, and is tried before it is waited for
  omp_nest_lock_t lock;
  omp_init_nest_lock(&lock);
  kevolve_int64 next = 0;
#pragma omp parallel num_threads(3)
  for (;;) {
    if (!omp_test_nest_lock(&lock))
      omp_set_nest_lock(&lock);
    omp_set_nest_lock(&lock);
    const kevolve_int64 mine = next++;
    omp_unset_nest_lock(&lock);
    omp_unset_nest_lock(&lock);
    if (mine >= m)
      break;
    row(x + mine * h, w, y + mine * h, h);
  }
  omp_destroy_nest_lock(&lock);
  return 0;
#endif
#pragma omp parallel
  {
#pragma omp for
    for (kevolve_int64 i = 0; i < m; ++i) {
#if KIND == 4
#pragma omp cancel for if (failed)
#endif
      row(x + i * h, w, y + i * h, h);
    }
  }
#if KIND == 3
  took = omp_get_wtime() - began;
  return took < 0; // clocks go forwards
#else
  return 0;
#endif
}
