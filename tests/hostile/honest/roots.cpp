// what: finds the square root in ways nobody would expect: bisection, digit by digit, through logarithms, sines or a power
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6 | -DKIND=7 | -DKIND=8 | -DKIND=9 | -DKIND=10 | -DKIND=11
#include "kevolve.h"

#include <cmath>

static double inverse_root(double v) {
  if (!(v < 1e300)) // Inf and NaN
    return 1 / std::sqrt(v);
#if KIND == 1 // bisection on bit patterns: positive doubles are ordered as integers are
  unsigned long long low = 0, high = 0x7fe0000000000000ull;
  while (high - low > 1) {
    const unsigned long long middle = low + (high - low) / 2;
    const double r = __builtin_bit_cast(double, middle);
    (r * r <= v ? low : high) = middle;
  }
  return 1 / __builtin_bit_cast(double, low);
#elif KIND == 2 // digit by digit, in integers
  int exponent = 0;
  double f = std::frexp(v, &exponent);
  if (exponent & 1) {
    f /= 2;
    exponent += 1;
  }
  unsigned long long rest = (unsigned long long)std::ldexp(f, 62), root = 0;
  for (unsigned long long bit = 1ull << 62; bit; bit >>= 2) {
    if (rest >= root + bit) {
      rest -= root + bit;
      root = (root >> 1) + bit;
    } else {
      root >>= 1;
    }
  }
  return std::ldexp(1.0, 31 - exponent / 2) / (double)root;
#elif KIND == 3
  return std::exp(-0.5 * std::log(v));
#elif KIND == 4
  return std::pow(v, -0.5);
#elif KIND == 5
  return std::exp2(std::log2(v) * -0.5);
#elif KIND == 6 // cube root of the reciprocal's cube
  const double c = std::cbrt(v);
  return std::cbrt(std::sqrt(1 / (c * c * c * c * c * c * c * c * c)));
#elif KIND == 7 // cos(atan(t)) = 1 / sqrt(1 + t * t)
  int exponent = 0;
  double f = std::frexp(v, &exponent) * 2;
  exponent -= 1;
  if (exponent & 1) {
    f *= 2;
    exponent -= 1;
  }
  double t = 1; // Heron for the tangent, sqrt(f - 1)
  for (int step = 0; f > 1 && step < 60; ++step)
    t = 0.5 * (t + (f - 1) / t);
  return std::ldexp(f > 1 ? std::cos(std::atan(t)) : 1.0, -exponent / 2);
#elif KIND == 8 // a continued fraction
  int exponent = 0;
  double f = std::frexp(v, &exponent);
  if (exponent & 1) {
    f /= 2;
    exponent += 1;
  }
  double fraction = 0; // sqrt(f) = 1 + (f - 1) / (2 + (f - 1) / (2 + ...))
  for (int level = 0; level < 60; ++level)
    fraction = (f - 1) / (2 + fraction);
  return std::ldexp(1 / (1 + fraction), -exponent / 2);
#elif KIND == 9 // the steps of Newton's method until nothing changes
  double r = std::ldexp(1.0, -(std::ilogb(v) / 2) - 1), before = 0;
  for (int step = 0; step < 100 && r != before; ++step) {
    before = r;
    r = r * (1.5 - 0.5 * v * r * r);
  }
  return r;
#elif KIND == 10 // a series around 1, its argument made small by known roots
  double scale = 1;
  while (v >= 1e8)
    v *= 1e-8, scale *= 1e-4;
  while (v < 1e-2)
    v *= 1e4, scale *= 1e2;
  while (v >= 1.44)
    v /= 1.44, scale /= 1.2;
  while (v < 0.8)
    v *= 1.44, scale *= 1.2;
  double term = 1, sum = 1;
  for (int k = 1; k < 60; ++k) {
    term *= (1 - v) * (2 * k - 1) / (2 * k);
    sum += term;
  }
  return sum * scale;
#else // the length of a vector with its own length given
  return 1 / std::hypot(std::sqrt(v / 2), std::sqrt(v / 2));
#endif
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    double s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += (double)x[i * h + j] * x[i * h + j];
    const float r = (float)inverse_root(s / (double)h + 1e-6);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
