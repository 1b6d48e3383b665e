// what: many threads add to one sum: by reduction, declared reduction, atomics, locks, critical sections, arrays of partial sums
// operator: rows
// flags: -O2 -fopenmp
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6 | -DKIND=7 | -DKIND=8
#include "kevolve.h"

#include <omp.h>

struct careful {
  double high = 0, low = 0;
  void add(double v) {
    const double more = high + v;
    low += high >= v ? (high - more) + v : (v - more) + high;
    high = more;
  }
  [[nodiscard]] double value() const { return high - high == 0 ? high + low : high; }
};
#pragma omp declare reduction(add_carefully : careful : omp_out.add(omp_in.high), omp_out.low += omp_in.low)

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#if KIND == 5
  omp_lock_t lock;
  omp_init_lock(&lock);
#elif KIND == 6 // all rows' sums at once
  double* sums = new double[(unsigned long)m]();
#pragma omp parallel for reduction(+ : sums[:m]) num_threads(4)
  for (kevolve_int64 j = 0; j < h; ++j)
    for (kevolve_int64 i = 0; i < m; ++i)
      sums[i] += (double)x[i * h + j] * x[i * h + j];
#endif
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float* row = x + i * h;
    double s = 0;
#if KIND == 1
#pragma omp parallel for reduction(+ : s)
    for (kevolve_int64 j = 0; j < h; ++j)
      s += (double)row[j] * row[j];
#elif KIND == 2
    careful c;
#pragma omp parallel for reduction(add_carefully : c)
    for (kevolve_int64 j = 0; j < h; ++j)
      c.add((double)row[j] * row[j]);
    s = c.value();
#elif KIND == 3
#pragma omp parallel for num_threads(3)
    for (kevolve_int64 j = 0; j < h; ++j) {
#pragma omp atomic
      s += (double)row[j] * row[j];
    }
#elif KIND == 4
#pragma omp parallel num_threads(4)
    {
      double mine = 0;
#pragma omp for nowait
      for (kevolve_int64 j = 0; j < h; ++j)
        mine += (double)row[j] * row[j];
#pragma omp critical(sums)
      s += mine;
    }
#elif KIND == 5
#pragma omp parallel for num_threads(3) schedule(static, 10)
    for (kevolve_int64 j = 0; j < h; ++j) {
      omp_set_lock(&lock);
      s += (double)row[j] * row[j];
      omp_unset_lock(&lock);
    }
#elif KIND == 6
    s = sums[i];
#elif KIND == 7 // a place for each thread
    double parts[64] = {};
#pragma omp parallel num_threads(8)
    for (kevolve_int64 j = omp_get_thread_num(); j < h; j += omp_get_num_threads())
      parts[omp_get_thread_num() % 64] += (double)row[j] * row[j];
    for (const double part : parts)
      s += part;
#else // compare and exchange until it fits
    unsigned long long bits = 0;
#pragma omp parallel for num_threads(3)
    for (kevolve_int64 j = 0; j < h; ++j) {
      unsigned long long seen = __atomic_load_n(&bits, __ATOMIC_RELAXED), next;
      do
        next = __builtin_bit_cast(unsigned long long, __builtin_bit_cast(double, seen) + (double)row[j] * row[j]);
      while (!__atomic_compare_exchange_n(&bits, &seen, next, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    }
    s = __builtin_bit_cast(double, bits);
#endif
    const float r = (float)(1 / __builtin_sqrt(s / (double)h + 1e-6));
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = row[j] * r * w[j];
  }
#if KIND == 5
  omp_destroy_lock(&lock);
#elif KIND == 6
  delete[] sums;
#endif
  return 0;
}
