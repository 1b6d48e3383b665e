// what: lets the compiler reorder sums and forget about errors, signs of zeros and traps, as far as Inf and NaN still come out right
// operator: rows
// flags: -O3
// variants: -DREAL=double -ffast-math | -DREAL=float -ffast-math -fno-finite-math-only -mavx2 | -DREAL=float -fassociative-math -fno-signed-zeros -fno-trapping-math | -DREAL=double -Ofast -march=native | -DREAL=float -freciprocal-math -fno-math-errno | -DREAL=double -funsafe-math-optimizations -fno-math-errno -mavx2 -mfma | -DREAL=float -ffp-contract=off -fsignaling-nans | -DREAL=float -ffast-math -ftrapping-math -fno-associative-math -msse4.2
#include "kevolve.h"

#include <cmath>

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    REAL s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += (REAL)x[i * h + j] * x[i * h + j];
    const REAL r = 1 / std::sqrt(s / (REAL)h + (REAL)1e-6);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = (float)(x[i * h + j] * r * w[j]);
  }
  return 0;
}
