// what: Winograd's inner products with half the multiplications, on rows and columns scaled to one size; what is not finite is done plainly
// operator: product
// flags: -O2
// variants: -DREAL=float | -DREAL=double | -DREAL=float -O3 -march=native -DPRECOMPUTED
#include "kevolve.h"

#include <cmath>
#include <vector>

/// Scaled by a power of two so that the largest is below one; the exponent that undoes it, or no success.
static bool scale(const float* from, kevolve_int64 step, kevolve_int64 k, REAL* to, int& exponent) {
  float most = 0;
  bool finite = true;
  for (kevolve_int64 l = 0; l < k; ++l) {
    finite &= from[l * step] - from[l * step] == 0;
    most = std::fmax(most, std::fabs(from[l * step]));
  }
  exponent = finite && most > 0 ? std::ilogb(most) + 1 : 0;
  for (kevolve_int64 l = 0; l < k; ++l)
    to[l] = (REAL)std::ldexp((double)from[l * step], -exponent);
  return finite;
}

static REAL pairs(const REAL* v, kevolve_int64 k) {
  REAL s = 0;
  for (kevolve_int64 l = 0; l + 1 < k; l += 2)
    s += v[l] * v[l + 1];
  return s;
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
  std::vector<REAL> row((unsigned long)k), columns((unsigned long)(k * n)), of_columns((unsigned long)n);
  std::vector<int> exponents((unsigned long)n);
  std::vector<char> good((unsigned long)n);
  for (kevolve_int64 j = 0; j < n; ++j) {
    const auto at = (unsigned long)j;
    good[at] = scale(b + j, n, k, columns.data() + j * k, exponents[at]);
#ifdef PRECOMPUTED
    of_columns[at] = pairs(columns.data() + j * k, k);
#endif
  }
  for (kevolve_int64 i = 0; i < m; ++i) {
    int exponent = 0;
    const bool fine = scale(a + i * k, 1, k, row.data(), exponent);
    const REAL of_row = pairs(row.data(), k);
    for (kevolve_int64 j = 0; j < n; ++j) {
      const auto at = (unsigned long)j;
      const REAL* column = columns.data() + j * k;
      if (!fine || !good[at]) {
        float s = 0;
        for (kevolve_int64 l = 0; l < k; ++l)
          s += a[i * k + l] * b[l * n + j];
        c[i * n + j] = s;
        continue;
      }
#ifndef PRECOMPUTED
      of_columns[at] = pairs(column, k);
#endif
      REAL s = 0;
      for (kevolve_int64 l = 0; l + 1 < k; l += 2)
        s += (row[(unsigned long)l] + column[l + 1]) * (row[(unsigned long)l + 1] + column[l]);
      s -= of_row + of_columns[at];
      if (k % 2)
        s += row[(unsigned long)k - 1] * column[k - 1];
      c[i * n + j] = (float)std::ldexp((double)s, exponent + exponents[at]);
    }
  }
  return 0;
}
