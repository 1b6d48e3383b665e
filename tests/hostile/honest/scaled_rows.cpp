// what: scales rows by powers of two, or by their largest element, before it squares them, so that nothing can overflow
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5
#include "kevolve.h"

#include <cmath>

/// The reciprocal of the root of the mean square, plus a little.
static double factor_of(const float* x, kevolve_int64 h) {
  const double n = (double)h;
#if KIND == 1 // the exponent of the largest element
  int most = -200;
  for (kevolve_int64 j = 0; j < h; ++j)
    if (x[j] != 0 && std::isfinite(x[j]))
      most = std::max(most, std::ilogb(x[j]));
  float s = 0;
  for (kevolve_int64 j = 0; j < h; ++j)
    s += std::scalbn(x[j], -most) * std::scalbn(x[j], -most);
  return 1 / std::sqrt(std::ldexp((double)s / n, 2 * most) + 1e-6);
#elif KIND == 2 // a running norm of any length; hypot forgets NaN where there is Inf
  double norm = 0, plain = 0;
  for (kevolve_int64 j = 0; j < h; ++j) {
    norm = std::hypot(norm, (double)x[j]);
    plain += x[j];
  }
  if (std::isnan(plain - plain) && !std::isfinite(norm)) {
    norm = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      norm += std::fabs(x[j]);
  }
  return 1 / std::hypot(norm / std::sqrt(n), 1e-3);
#elif KIND == 3 // largest and sum of squares of quotients, updated together
  double most = 0, s = 1;
  bool ordinary = true;
  for (kevolve_int64 j = 0; j < h; ++j) {
    const double v = std::fabs((double)x[j]);
    ordinary &= std::isfinite(v);
    if (v == 0)
      continue;
    if (most < v) {
      s = 1 + s * (most / v) * (most / v);
      most = v;
    } else {
      s += (v / most) * (v / most);
    }
  }
  if (!ordinary || most == 0) {
    double all = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      all += (double)x[j] * x[j];
    return 1 / std::sqrt(all / n + 1e-6);
  }
  return 1 / std::sqrt(most * most * s / n + 1e-6); // s began with one too many, at a largest element of zero
#elif KIND == 4 // big, middle and small numbers apart
  double big = 0, middle = 0, small = 0;
  for (kevolve_int64 j = 0; j < h; ++j) {
    const double v = std::fabs((double)x[j]);
    if (v < 1e-10)
      small += v * 1e20 * (v * 1e20);
    else if (v > 1e10)
      big += v * 1e-20 * (v * 1e-20);
    else
      middle += v * v;
  }
  return 1 / std::sqrt((big * 1e40 + middle + small * 1e-40) / n + 1e-6);
#else // means of means: each element moves the mean a little
  double mean = 0;
  for (kevolve_int64 j = 0; j < h; ++j) {
    const double square = (double)x[j] * x[j];
    mean = std::isfinite(square) && std::isfinite(mean) ? mean + (square - mean) / (double)(j + 1) : mean + square;
  }
  return 1 / std::sqrt(mean + 1e-6);
#endif
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = (float)factor_of(x + i * h, h);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
