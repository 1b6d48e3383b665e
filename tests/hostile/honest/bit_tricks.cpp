// what: the root's reciprocal from the bits of its argument and a magic number, refined until it is exact enough
// operator: rows
// flags: -O2
// variants: -DKIND=1 -DSTEPS=4 | -DKIND=2 -DSTEPS=4 | -DKIND=3 -DSTEPS=2 | -DKIND=4 -DSTEPS=4 | -DKIND=1 -DSTEPS=3 -O3 -march=native | -DKIND=5 -DSTEPS=5
#include "kevolve.h"

static float inverse_root(float v) {
  if (!(v < 1e37f))
    return 1 / __builtin_sqrtf(v);
#if KIND == 1 // Newton
  float r = __builtin_bit_cast(float, 0x5f375a86u - (__builtin_bit_cast(unsigned, v) >> 1));
  for (int step = 0; step < STEPS; ++step)
    r *= 1.5f - 0.5f * v * r * r;
  return r;
#elif KIND == 2 // in double
  double r = __builtin_bit_cast(double, 0x5fe6eb50c7b537a9ull - (__builtin_bit_cast(unsigned long long, (double)v) >> 1));
  for (int step = 0; step < STEPS; ++step)
    r *= 1.5 - 0.5 * v * r * r;
  return (float)r;
#elif KIND == 3 // Halley: each step makes three times as many digits
  float r = __builtin_bit_cast(float, 0x5f375a86u - (__builtin_bit_cast(unsigned, v) >> 1));
  for (int step = 0; step < STEPS; ++step) {
    const float d = v * r * r;
    r *= (15 - d * (10 - 3 * d)) / 8;
  }
  return r;
#elif KIND == 4 // Goldschmidt: root and reciprocal together
  float r = __builtin_bit_cast(float, 0x5f375a86u - (__builtin_bit_cast(unsigned, v) >> 1));
  float g = v * r, h = 0.5f * r;
  for (int step = 0; step < STEPS; ++step) {
    const float rest = 0.5f - g * h;
    g += g * rest;
    h += h * rest;
  }
  return 2 * h;
#else // Heron's root, then a division; the first guess halves the exponent
  float g = __builtin_bit_cast(float, (__builtin_bit_cast(unsigned, v) >> 1) + 0x1fbd1df5u);
  for (int step = 0; step < STEPS; ++step)
    g = 0.5f * (g + v / g);
  return 1 / g;
#endif
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[i * h + j] * x[i * h + j];
    const float r = inverse_root(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
