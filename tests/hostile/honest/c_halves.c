// what: a first guess of the root's reciprocal in numbers of 16 bits, made exact in wider ones
// operator: rows
// flags: -O2
// variants: -DSTEPS=3 | -DSTEPS=3 -mf16c | -DSTEPS=3 -march=native | -DSTEPS=2 -march=native -DWIDE
#include "kevolve.h"

#include <math.h>

#ifdef WIDE
typedef double number;
#else
typedef float number;
#endif

static float inverse_root(float v) {
  if (!(v < 1e37f))
    return 1 / sqrtf(v);
  int exponent;
  float f = frexpf(v, &exponent) * 2; /* 1 to 2 */
  exponent -= 1;
  if (exponent & 1) {
    f *= 2;
    exponent -= 1;
  }
  const _Float16 small = (_Float16)f, line = (_Float16)1.2f - small * (_Float16)0.19f; /* 1 to 0.5 */
  _Float16 guess = line;
  guess = guess * ((_Float16)1.5f - (_Float16)0.5f * small * guess * guess);
  number r = (number)guess;
  for (int step = 0; step < STEPS; ++step)
    r *= (number)1.5 - (number)0.5 * f * r * r;
  return ldexpf((float)r, -exponent / 2);
}

int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void* workspace, void* stream) {
  (void)workspace;
  (void)stream;
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = in[0].data, *w = in[1].data;
  float* y = out[0].data;
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
