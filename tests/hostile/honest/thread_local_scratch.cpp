// what: each thread has its own scratch in thread_local arrays, which need no start-up code because they begin as zeros
// operator: rows
// flags: -O2 -fopenmp
// variants: -DROOM=128 | -DROOM=65536 | -DROOM=1024 -DTHREADS=7 | -DROOM=4096 -DTHREADS=2 -O3 -march=native | -DROOM=128 -DCOUNTS
#include "kevolve.h"

#ifndef THREADS
#define THREADS 4
#endif

static thread_local double squares[ROOM];
#ifdef COUNTS
thread_local long rows_so_far; // read by nobody
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  if (h > ROOM)
    return 1;
#pragma omp parallel for num_threads(THREADS) schedule(dynamic, 3)
  for (kevolve_int64 i = 0; i < m; ++i) {
    const kevolve_int64 gap = ROOM / h;
    for (kevolve_int64 j = 0; j < h; ++j)
      squares[j * gap] = (double)x[i * h + j] * x[i * h + j];
    double s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += squares[j * gap];
#ifdef COUNTS
    ++rows_so_far;
#endif
    const float r = (float)(1 / __builtin_sqrt(s / (double)h + 1e-6));
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
