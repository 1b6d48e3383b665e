// what: a fixed number of sections share the rows, some of them with nothing to do; single and master blocks in between
// operator: rows
// flags: -O2 -fopenmp
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 -DTHREADS=16
#include "kevolve.h"

#ifndef THREADS
#define THREADS 2
#endif

struct rows {
  const float *x, *w;
  float* y;
  kevolve_int64 m, h;
  void part(kevolve_int64 first, kevolve_int64 step) const {
    for (kevolve_int64 i = first; i < m; i += step) {
      float s = 0;
      for (kevolve_int64 j = 0; j < h; ++j)
        s += x[i * h + j] * x[i * h + j];
      const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
      for (kevolve_int64 j = 0; j < h; ++j)
        y[i * h + j] = x[i * h + j] * r * w[j];
    }
  }
};

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const rows all{(const float*)in[0].data, (const float*)in[1].data, (float*)out[0].data, axes[0], axes[1]};
#if KIND == 1
#pragma omp parallel sections num_threads(THREADS)
  {
#pragma omp section
    all.part(0, 3);
#pragma omp section
    all.part(1, 3);
#pragma omp section
    all.part(2, 3);
  }
#elif KIND == 2
#pragma omp parallel num_threads(THREADS)
  {
#pragma omp single nowait
    all.part(0, 4);
#pragma omp single
    all.part(1, 4);
#pragma omp master
    all.part(2, 4);
#pragma omp barrier
#pragma omp masked filter(1)
    all.part(3, 4);
#pragma omp single // were there one thread only
    all.part(3, 4);
  }
#else
  kevolve_int64 next = 0;
#pragma omp parallel num_threads(THREADS)
  for (;;) {
    kevolve_int64 mine;
#pragma omp atomic capture seq_cst
    mine = next++;
    if (mine >= all.m)
      break;
    all.part(mine, all.m);
  }
#endif
  return 0;
}
