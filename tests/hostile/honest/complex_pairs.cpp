// what: two rows at a time as real and imaginary parts, which never meet because the other factor is real
// operator: product
// flags: -O2
// variants: -DREAL=float | -DREAL=double | -DREAL=long_double | -DREAL=float -O3 -march=native -fcx-limited-range
#include "kevolve.h"

#include <complex>
#include <vector>

using long_double [[maybe_unused]] = long double;
using number = std::complex<REAL>;

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
  std::vector<number> sums((unsigned long)n);
  for (kevolve_int64 i = 0; i < m; i += 2) {
    const bool paired = i + 1 < m;
    std::fill(sums.begin(), sums.end(), number());
    for (kevolve_int64 l = 0; l < k; ++l) {
      const number both(a[i * k + l], paired ? a[(i + 1) * k + l] : 0.0f);
      for (kevolve_int64 j = 0; j < n; ++j)
        sums[(unsigned long)j] += both * (REAL)b[l * n + j];
    }
    for (kevolve_int64 j = 0; j < n; ++j) {
      c[i * n + j] = (float)sums[(unsigned long)j].real();
      if (paired)
        c[(i + 1) * n + j] = (float)sums[(unsigned long)j].imag();
    }
  }
  return 0;
}
