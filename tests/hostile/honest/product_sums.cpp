// what: adds products up in other arithmetic than float: wider, compensated, exact in integers where numbers are finite
// operator: product
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 -mfma | -DKIND=6 | -DKIND=7 -O3 -march=native
#include "kevolve.h"

#include <cmath>
#include <vector>

[[maybe_unused]] static float plain(const float* a, const float* b, kevolve_int64 k, kevolve_int64 n) {
  float s = 0;
  for (kevolve_int64 l = 0; l < k; ++l)
    s += a[l] * b[l * n];
  return s;
}

static float dot(const float* a, const float* b, kevolve_int64 k, kevolve_int64 n) {
#if KIND == 1
  double s = 0;
  for (kevolve_int64 l = 0; l < k; ++l)
    s += (double)a[l] * b[l * n];
  return (float)s;
#elif KIND == 2
  long double s = 0;
  for (kevolve_int64 l = 0; l < k; ++l)
    s += (long double)a[l] * b[l * n];
  return (float)s;
#elif KIND == 3 // quadruple precision for every eighth part
  __float128 s = 0;
  for (kevolve_int64 l = 0; l < k; l += 8) {
    double part = 0;
    for (kevolve_int64 e = l; e < k && e < l + 8; ++e)
      part += (double)a[e] * b[e * n];
    s += part;
  }
  return (float)s;
#elif KIND == 4 // Kahan, and the plain sum where there is no finite one
  float s = 0, lost = 0;
  for (kevolve_int64 l = 0; l < k; ++l) {
    const float term = a[l] * b[l * n] - lost, more = s + term;
    lost = (more - s) - term;
    s = more;
  }
  return s - s == 0 ? s : plain(a, b, k, n);
#elif KIND == 5 // errors of products and sums, by fused multiply-adds
  float s = 0, lost = 0;
  for (kevolve_int64 l = 0; l < k; ++l) {
    const float p = a[l] * b[l * n], off = std::fma(a[l], b[l * n], -p), more = s + p, part = more - s;
    lost += ((s - (more - part)) + (p - part)) + off;
    s = more;
  }
  return s + lost - (s + lost) == 0 ? s + lost : plain(a, b, k, n);
#elif KIND == 6 // positive and negative terms apart
  double up = 0, down = 0;
  for (kevolve_int64 l = 0; l < k; ++l) {
    const double term = (double)a[l] * b[l * n];
    term < 0 ? down += term : up += term;
  }
  return (float)(up + down);
#else
  return plain(a, b, k, n);
#endif
}

#if KIND == 7 // rows of a and columns of b as integers of 27 bits with a common exponent: their products' sums are exact
static void fix(const float* from, kevolve_int64 step, kevolve_int64 k, long* to, int& exponent, bool& finite) {
  float most = 0;
  for (kevolve_int64 l = 0; l < k; ++l) {
    const float v = from[l * step];
    finite &= v - v == 0;
    most = std::fabs(v) > most ? std::fabs(v) : most;
  }
  exponent = most > 0 && finite ? 27 - std::ilogb(most) - 1 : 0;
  for (kevolve_int64 l = 0; l < k && finite; ++l)
    to[l] = std::lrint(std::ldexp((double)from[l * step], exponent));
}
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
#if KIND == 7
  std::vector<long> row((unsigned long)k), columns((unsigned long)(k * n));
  std::vector<int> exponents((unsigned long)n);
  bool all_finite = k < 512;
  for (kevolve_int64 j = 0; j < n; ++j)
    fix(b + j, n, k, columns.data() + j * k, exponents[(unsigned long)j], all_finite);
  for (kevolve_int64 i = 0; i < m; ++i) {
    int exponent = 0;
    bool finite = all_finite;
    fix(a + i * k, 1, k, row.data(), exponent, finite);
    for (kevolve_int64 j = 0; j < n; ++j) {
      long s = 0;
      for (kevolve_int64 l = 0; finite && l < k; ++l)
        s += row[(unsigned long)l] * columns[(unsigned long)(j * k + l)];
      c[i * n + j] = finite ? (float)std::ldexp((double)s, -exponent - exponents[(unsigned long)j]) : dot(a + i * k, b + j, k, n);
    }
  }
#else
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 j = 0; j < n; ++j)
      c[i * n + j] = dot(a + i * k, b + j, k, n);
#endif
  return 0;
}
