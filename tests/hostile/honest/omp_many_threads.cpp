// what: more threads than cores, or than rows, each with its own share by hand; some have nothing to do
// operator: rows
// flags: -O2 -fopenmp
// variants: -DTHREADS=1 | -DTHREADS=3 | -DTHREADS=16 | -DTHREADS=64 | -DTHREADS=13 -DBY_COLUMNS | -DTHREADS=100 -DFROM_ROWS
#include "kevolve.h"

#include <omp.h>

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#ifdef FROM_ROWS // one for each row, up to a limit
  const int threads = (int)(m < THREADS ? m : THREADS);
#else
  const int threads = THREADS;
#endif
#pragma omp parallel num_threads(threads)
  {
    const kevolve_int64 me = omp_get_thread_num(), all = omp_get_num_threads();
#ifdef BY_COLUMNS // every thread adds every row up, and writes some columns of it
    const kevolve_int64 from = h * me / all, to = h * (me + 1) / all, first = 0, last = m;
#else
    const kevolve_int64 from = 0, to = h, first = m * me / all, last = m * (me + 1) / all;
#endif
    for (kevolve_int64 i = first; i < last; ++i) {
      float s = 0;
      for (kevolve_int64 j = 0; j < h; ++j)
        s += x[i * h + j] * x[i * h + j];
      const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
      for (kevolve_int64 j = from; j < to; ++j)
        y[i * h + j] = x[i * h + j] * r * w[j];
    }
  }
  return 0;
}
