// what: computes in the registers of the old coprocessor, with long double as wide as the flags say, even without vector registers at all
// operator: rows
// flags: -O2
// variants: -mfpmath=387 | -mlong-double-64 -DLONG | -mlong-double-80 -DLONG | -mlong-double-128 -DLONG | -mfpmath=387 -mno-sse -fno-math-errno | -mfpmath=both -ffp-contract=fast | -mfpmath=387 -fexcess-precision=fast -DLONG -mfancy-math-387
#include "kevolve.h"

#ifdef LONG
typedef long double real;
#else
typedef float real;
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    real s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += (real)x[i * h + j] * x[i * h + j];
    const double v = (double)(s / (real)h) + 1e-6;
#ifdef __SSE__
    const double r = 1 / __builtin_sqrt(v);
#else // no register to return a root in
    long double root;
    __asm__("fsqrt" : "=t"(root) : "0"((long double)v));
    const double r = (double)(1 / root);
#endif
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = (float)(x[i * h + j] * r * w[j]);
  }
  return 0;
}
