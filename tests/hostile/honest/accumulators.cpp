// what: sums more carefully than anybody asked for: extended and quadruple precision, compensated, by size, exactly
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6 | -DKIND=7 | -DKIND=8 -march=native
#include "kevolve.h"

static double plain(const float* x, kevolve_int64 n) {
  double s = 0;
  for (kevolve_int64 j = 0; j < n; ++j)
    s += (double)x[j] * x[j];
  return s;
}

/// Corrections of a sum that has overflowed are not numbers: the plain sum is then the right answer.
[[maybe_unused]] static double or_plain(double s, const float* x, kevolve_int64 n) { return s - s == 0 ? s : plain(x, n); }

static double sum(const float* x, kevolve_int64 n) {
#if KIND == 1
  long double s = 0;
  for (kevolve_int64 j = 0; j < n; ++j)
    s += (long double)x[j] * x[j];
  return (double)s;
#elif KIND == 2
  __float128 s = 0;
  for (kevolve_int64 j = 0; j < n; ++j)
    s += (__float128)x[j] * x[j];
  return (double)s;
#elif KIND == 3 // Kahan
  float s = 0, lost = 0;
  for (kevolve_int64 j = 0; j < n; ++j) {
    const float term = x[j] * x[j] - lost, more = s + term;
    lost = (more - s) - term;
    s = more;
  }
  return or_plain(s, x, n);
#elif KIND == 4 // Neumaier
  float s = 0, lost = 0;
  for (kevolve_int64 j = 0; j < n; ++j) {
    const float term = x[j] * x[j], more = s + term;
    lost += s >= term ? (s - more) + term : (term - more) + s;
    s = more;
  }
  return or_plain(s + lost, x, n);
#elif KIND == 5 // pairs of sums, by a counter's bits: as merge sort would add
  float level[64];
  unsigned long filled = 0;
  for (kevolve_int64 j = 0; j < n; ++j) {
    float carry = x[j] * x[j];
    unsigned at = 0;
    for (; filled >> at & 1; ++at)
      carry += level[at];
    level[at] = carry;
    filled += 1;
  }
  float s = 0;
  for (unsigned at = 0; at < 64; ++at)
    if (filled >> at & 1)
      s += level[at];
  return s;
#elif KIND == 6 // a sum for each exponent, the small ones first
  double bin[2048] = {};
  for (kevolve_int64 j = 0; j < n; ++j) {
    const double term = (double)x[j] * x[j];
    bin[__builtin_bit_cast(unsigned long, term) >> 52 & 2047] += term;
  }
  double s = 0;
  for (const double& b : bin)
    s += b;
  return s;
#elif KIND == 7 // expansions: a list of numbers that do not overlap, exact
  double part[64];
  int parts = 0;
  for (kevolve_int64 j = 0; j < n; ++j) {
    double term = (double)x[j] * x[j];
    int kept = 0;
    for (int p = 0; p < parts; ++p) {
      const double more = term + part[p], virtual_part = more - term, rest = (term - (more - virtual_part)) + (part[p] - virtual_part);
      if (rest != 0)
        part[kept++] = rest;
      term = more;
    }
    if (kept == 63)
      return plain(x, n);
    part[kept++] = term;
    parts = kept;
  }
  double s = 0;
  for (int p = 0; p < parts; ++p)
    s += part[p];
  return or_plain(s, x, n);
#else // rounding errors of product and sum carried along, by fused multiply-adds
  float s = 0, lost = 0;
  for (kevolve_int64 j = 0; j < n; ++j) {
    const float p = x[j] * x[j], off = __builtin_fmaf(x[j], x[j], -p), more = s + p, part = more - s;
    lost += ((s - (more - part)) + (p - part)) + off;
    s = more;
  }
  return or_plain(s + lost, x, n);
#endif
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = (float)(1 / __builtin_sqrt(sum(x + i * h, h) / (double)h + 1e-6));
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
