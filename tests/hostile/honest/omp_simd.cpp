// what: loops declared vectors by OpenMP's simd directives, functions in vector form and scans among them, without threads
// operator: rows
// flags: -O2 -fopenmp-simd
// variants: -DKIND=1 | -DKIND=2 -mavx2 | -DKIND=3 -march=native | -DKIND=4 | -DKIND=5 -fopenmp -mavx2 | -DKIND=6 -fopenmp
#include "kevolve.h"

#include <cmath>

#if KIND == 2
#pragma omp declare simd notinbranch uniform(r) simdlen(8)
__attribute__((noinline)) static float scaled(float x, float r, float w) { return x * r * w; }
#elif KIND == 3
#pragma omp declare simd linear(p : 1) uniform(limit) inbranch
__attribute__((noinline)) static float square_at(const float* p, float limit) { return *p * *p < limit ? *p * *p : *p * *p + 0.0f; }
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#if KIND == 5 // the reciprocal roots of all rows by the library's vector functions
  float* factors = new float[(unsigned long)m];
#pragma omp parallel for
  for (kevolve_int64 i = 0; i < m; ++i) {
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[i * h + j] * x[i * h + j];
    factors[i] = s / (float)h + 1e-6f;
  }
#pragma omp simd
  for (kevolve_int64 i = 0; i < m; ++i)
    factors[i] = powf(factors[i], -0.5f);
  for (kevolve_int64 i = 0; i < m; ++i)
#pragma omp simd
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * factors[i] * w[j];
  delete[] factors;
#else
#if KIND == 6
#pragma omp parallel for simd schedule(simd : static, 5)
#endif
  for (kevolve_int64 i = 0; i < m; ++i) {
    float s = 0;
#if KIND == 1
#pragma omp simd reduction(+ : s) simdlen(4) safelen(16)
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[i * h + j] * x[i * h + j];
#elif KIND == 3
#pragma omp simd reduction(+ : s)
    for (kevolve_int64 j = 0; j < h; ++j)
      if (j < h)
        s += square_at(x + i * h + j, 1.0f);
#elif KIND == 4 // running sums go through the output
#pragma omp simd reduction(inscan, + : s)
    for (kevolve_int64 j = 0; j < h; ++j) {
      s += x[i * h + j] * x[i * h + j];
#pragma omp scan inclusive(s)
      y[i * h + j] = s;
    }
    s = y[i * h + h - 1];
#else
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[i * h + j] * x[i * h + j];
#endif
    const float r = 1.0f / std::sqrt(s / (float)h + 1e-6f);
#if KIND != 6
#pragma omp simd
#endif
    for (kevolve_int64 j = 0; j < h; ++j)
#if KIND == 2
      y[i * h + j] = scaled(x[i * h + j], r, w[j]);
#else
      y[i * h + j] = x[i * h + j] * r * w[j];
#endif
  }
#endif
  return 0;
}
