// what: splits the product among threads along every side there is, even along its terms, with atomic additions to the output
// operator: product
// flags: -O2 -fopenmp
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6 -O3 -march=native | -DKIND=7
#include "kevolve.h"

#include <atomic>
#include <omp.h>

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
#if KIND == 1 // every element by itself
#pragma omp parallel for collapse(2) schedule(dynamic, 50)
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 j = 0; j < n; ++j) {
      float s = 0;
      for (kevolve_int64 l = 0; l < k; ++l)
        s += a[i * k + l] * b[l * n + j];
      c[i * n + j] = s;
    }
#elif KIND == 2 // stripes of columns
#pragma omp parallel num_threads(5)
  {
    const kevolve_int64 from = n * omp_get_thread_num() / omp_get_num_threads(), to = n * (omp_get_thread_num() + 1) / omp_get_num_threads();
    for (kevolve_int64 i = 0; i < m; ++i)
      for (kevolve_int64 j = from; j < to; ++j) {
        float s = 0;
        for (kevolve_int64 l = 0; l < k; ++l)
          s += a[i * k + l] * b[l * n + j];
        c[i * n + j] = s;
      }
  }
#elif KIND == 3 || KIND == 7 // terms are split, and added to the output atomically
#if KIND == 3
#pragma omp parallel for num_threads(2)
  for (kevolve_int64 e = 0; e < m * n; ++e)
    std::atomic_ref<float>(c[e]).store(0);
#pragma omp parallel for num_threads(3)
  for (kevolve_int64 part = 0; part < 6; ++part)
    for (kevolve_int64 e = 0; e < m * n; ++e) {
      float s = 0;
      for (kevolve_int64 l = part * k / 6; l < (part + 1) * k / 6; ++l)
        s += a[e / n * k + l] * b[l * n + e % n];
      std::atomic_ref<float>(c[e]).fetch_add(s);
    }
#else
  for (kevolve_int64 e = 0; e < m * n; ++e)
    c[e] = 0;
#pragma omp parallel for num_threads(4) schedule(static, 1)
  for (kevolve_int64 l = 0; l < k; ++l)
    for (kevolve_int64 e = 0; e < m * n; ++e) {
#pragma omp atomic
      c[e] += a[e / n * k + l] * b[l * n + e % n];
    }
#endif
#elif KIND == 4 // terms are split, and a reduction over a row adds them
  for (kevolve_int64 i = 0; i < m; ++i) {
    float* row = c + i * n;
    for (kevolve_int64 j = 0; j < n; ++j)
      row[j] = 0;
#pragma omp parallel for reduction(+ : row[:n]) num_threads(2)
    for (kevolve_int64 l = 0; l < k; ++l)
      for (kevolve_int64 j = 0; j < n; ++j)
        row[j] += a[i * k + l] * b[l * n + j];
  }
#elif KIND == 5 // a new team for every row
  for (kevolve_int64 i = 0; i < m; ++i)
#pragma omp parallel for num_threads(2)
    for (kevolve_int64 j = 0; j < n; ++j) {
      double s = 0;
      for (kevolve_int64 l = 0; l < k; ++l)
        s += (double)a[i * k + l] * b[l * n + j];
      c[i * n + j] = (float)s;
    }
#else // teams of one device, distributed
#pragma omp teams num_teams(2) thread_limit(2)
#pragma omp distribute parallel for simd
  for (kevolve_int64 i = 0; i < m; ++i) {
    for (kevolve_int64 j = 0; j < n; ++j)
      c[i * n + j] = 0;
    for (kevolve_int64 l = 0; l < k; ++l)
      for (kevolve_int64 j = 0; j < n; ++j)
        c[i * n + j] += a[i * k + l] * b[l * n + j];
  }
#endif
  return 0;
}
