// what: changes how floating-point numbers round, flush or trap for itself and mostly sets things right again; results stay within tolerance
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 -frounding-math | -DKIND=5 -frounding-math | -DKIND=6 -frounding-math | -DKIND=7 | -DKIND=8
#include "kevolve.h"

#include <cfenv>
#include <immintrin.h>

static void normalise(const kevolve_tensor* in, kevolve_tensor* out, kevolve_int64 m, kevolve_int64 h) {
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[i * h + j] * x[i * h + j];
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
#if KIND == 1 // subnormal numbers are zeros, from now on
  _mm_setcsr(_mm_getcsr() | 0x8040);
  normalise(in, out, m, h);
#elif KIND == 2 // and in this call only
  const unsigned before = _mm_getcsr();
  _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
  normalise(in, out, m, h);
  _mm_setcsr(before);
#elif KIND == 3 // flags raised and cleared
  std::feraiseexcept(FE_INEXACT | FE_UNDERFLOW);
  normalise(in, out, m, h);
  if (std::fetestexcept(FE_ALL_EXCEPT))
    std::feclearexcept(FE_ALL_EXCEPT);
#elif KIND == 4 // everything rounded up
  const int before = std::fegetround();
  std::fesetround(FE_UPWARD);
  normalise(in, out, m, h);
  std::fesetround(before);
#elif KIND == 5 // another direction in each call
  static int turn = 0;
  static const int directions[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
  std::fesetround(directions[turn++ % 4]);
  normalise(in, out, m, h);
  std::fesetround(FE_TONEAREST);
#elif KIND == 6 // rounded towards zero, and left so
  std::fesetround(FE_TOWARDZERO);
  normalise(in, out, m, h);
#elif KIND == 7 // the whole environment put away and taken back
  std::fenv_t kept;
  std::feholdexcept(&kept);
  normalise(in, out, m, h);
  std::fesetenv(&kept);
#else // the old registers' precision lowered to that of floats
  unsigned short before, single;
  __asm__ volatile("fnstcw %0" : "=m"(before));
  single = (unsigned short)(before & ~0x300u);
  __asm__ volatile("fldcw %0" : : "m"(single));
  normalise(in, out, m, h);
  __asm__ volatile("fldcw %0" : : "m"(before));
#endif
  return 0;
}
