// what: threads that wait for one another in a fixed order: a sum handed from thread to thread, rows that follow rows, places and affinity
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
#if KIND == 1 // a row begins when the one before it has ended
#pragma omp parallel for ordered(1) schedule(static, 16) num_threads(2)
  for (kevolve_int64 i = 0; i < m; ++i) {
#pragma omp ordered depend(sink : i - 1)
    row(x + i * h, w, y + i * h, h);
#pragma omp ordered depend(source)
  }
#elif KIND == 2 // parts of a row's sum, from the first thread to the last
  double s = 0;
  for (kevolve_int64 i = 0; i < m; ++i) {
    s = 0;
#pragma omp parallel for ordered schedule(static, 25) num_threads(4)
    for (kevolve_int64 j = 0; j < h; ++j) {
      const double square = (double)x[i * h + j] * x[i * h + j];
#pragma omp ordered
      s += square;
    }
    const float r = (float)(1 / __builtin_sqrt(s / (double)h + 1e-6));
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
#elif KIND == 3 // one thread makes factors, another one uses them as they come
  float* factors = new float[(unsigned long)m];
  kevolve_int64 made = 0;
#pragma omp parallel num_threads(2)
  {
    if (omp_get_thread_num() == 0)
      for (kevolve_int64 i = 0; i < m; ++i) {
        float s = 0;
        for (kevolve_int64 j = 0; j < h; ++j)
          s += x[i * h + j] * x[i * h + j];
        factors[i] = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
        __atomic_store_n(&made, i + 1, __ATOMIC_RELEASE);
      }
    if (omp_get_thread_num() == omp_get_num_threads() - 1)
      for (kevolve_int64 i = 0; i < m; ++i) {
        while (__atomic_load_n(&made, __ATOMIC_ACQUIRE) <= i) {
#pragma omp taskyield
          __builtin_ia32_pause();
        }
        for (kevolve_int64 j = 0; j < h; ++j)
          y[i * h + j] = x[i * h + j] * factors[i] * w[j];
      }
  }
  delete[] factors;
#elif KIND == 4 // asks for places and processors, and lets them be
#pragma omp parallel num_threads(2) proc_bind(spread)
  {
    const int places = omp_get_num_places(), processors = omp_get_num_procs();
    const kevolve_int64 step = omp_get_num_threads() + (places < 0 || processors < 0);
    for (kevolve_int64 i = omp_get_thread_num(); i < m; i += step)
      row(x + i * h, w, y + i * h, h);
  }
#else // another number of threads in each call
  static int calls = 0;
  const int threads = 1 + calls++ % 6;
#pragma omp parallel for num_threads(threads) proc_bind(close)
  for (kevolve_int64 i = 0; i < m; ++i)
    row(x + i * h, w, y + i * h, h);
#endif
  return 0;
}
