// what: reciprocal square roots from a table that the compiler computes, with as many Newton steps as its size asks for
// operator: rows
// flags: -O2
// variants: -DSIZE=8 -DSTEPS=4 | -DSIZE=64 -DSTEPS=3 | -DSIZE=1024 -DSTEPS=2 | -DSIZE=16384 -DSTEPS=1 | -DSIZE=256 -DSTEPS=2 -DTWO_TABLES -O3
#include "kevolve.h"

struct table {
  float of[SIZE];
  consteval table(double from, double to) : of() {
    for (int i = 0; i < SIZE; ++i) {
      const double v = from + (i + 0.5) * (to - from) / SIZE;
      double r = 0.7; // between the roots of 1 and 1/4
      for (int step = 0; step < 8; ++step)
        r *= 1.5 - 0.5 * v * r * r;
      of[i] = (float)r;
    }
  }
};

#ifdef TWO_TABLES
static constexpr table low(1, 2), high(2, 4);
#else
static constexpr table both(1, 4);
#endif

static float inverse_root(float v) {
  if (!(v < 1e37f))
    return 1 / __builtin_sqrtf(v);
  const unsigned bits = __builtin_bit_cast(unsigned, v);
  const int exponent = (int)(bits >> 23) - 127, odd = exponent & 1;
  const float f = __builtin_bit_cast(float, (bits & 0x7fffffu) | (unsigned)(127 + odd) << 23); // 1 to 4
#ifdef TWO_TABLES
  float r = odd ? high.of[(unsigned)((f - 2) / 2 * SIZE) % SIZE] : low.of[(unsigned)((f - 1) * SIZE) % SIZE];
#else
  float r = both.of[(unsigned)((f - 1) / 3 * SIZE) % SIZE];
#endif
  for (int step = 0; step < STEPS; ++step)
    r *= 1.5f - 0.5f * f * r * r;
  return r * __builtin_bit_cast(float, (unsigned)(127 - (exponent - odd) / 2) << 23);
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
