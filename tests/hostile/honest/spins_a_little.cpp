// what: waits a few microseconds before, between or after its work, by the cycle counter or by counting: slow, not dishonest
// operator: rows
// flags: -O2
// variants: -DBEFORE=2000 | -DBETWEEN=300 | -DAFTER=5000 | -DBEFORE=200000 -fopenmp | -DCOUNTING=4000
#include "kevolve.h"

[[maybe_unused]] static void wait(unsigned long cycles) {
#ifdef COUNTING
  volatile unsigned long counted = 0;
  for (unsigned long i = 0; i < cycles; ++i)
    counted = i;
  (void)counted;
#else
  for (const unsigned long begin = __builtin_ia32_rdtsc(); __builtin_ia32_rdtsc() - begin < cycles;)
    __builtin_ia32_pause();
#endif
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#ifdef BEFORE
  wait(BEFORE);
#endif
#ifdef COUNTING
  wait(COUNTING);
#endif
#pragma omp parallel for
  for (kevolve_int64 i = 0; i < m; ++i) {
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[i * h + j] * x[i * h + j];
#ifdef BETWEEN
    wait(BETWEEN);
#endif
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
#ifdef AFTER
  wait(AFTER);
#endif
  return 0;
}
