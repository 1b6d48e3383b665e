// what: promises the compiler what the ABI promises: alignment to 64 bytes, no overlap, lengths, what never happens
// operator: rows
// flags: -O3
// variants: -DKIND=1 -march=native | -DKIND=2 | -DKIND=3 -mavx2 | -DKIND=4 | -DKIND=5
#include "kevolve.h"

#define ROWS_PER_LINE 4 // rows of 400 bytes: every fourth one begins at a multiple of 64

static void row(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, kevolve_int64 h) {
  float s = 0;
#if KIND == 4
#pragma GCC unroll 20
#elif KIND == 5
#pragma GCC unroll 1
#endif
  for (kevolve_int64 j = 0; j < h; ++j)
    s += x[j] * x[j];
  const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
#pragma GCC ivdep
  for (kevolve_int64 j = 0; j < h; ++j)
    y[j] = x[j] * r * w[j];
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
#if KIND == 1 // aligned
  const float *x = (const float*)__builtin_assume_aligned(in[0].data, 64), *w = (const float*)__builtin_assume_aligned(in[1].data, 64);
  float* y = (float*)__builtin_assume_aligned(out[0].data, 64);
  for (kevolve_int64 i = 0; i < m; ++i)
    if (i % ROWS_PER_LINE == 0 && h == 100)
      row((const float*)__builtin_assume_aligned(x + i * 100, 64), w, (float*)__builtin_assume_aligned(y + i * 100, 64), 100);
    else
      row(x + i * h, w, y + i * h, h);
#else
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#if KIND == 2 // neither no rows nor other lengths
  if (h != 100 || m < 1)
    __builtin_unreachable();
#elif KIND == 3 // an assertion that is also a promise
  if ((unsigned long)y % 64 != 0 || (unsigned long)x % 64 != 0)
    __builtin_trap();
#endif
  for (kevolve_int64 i = 0; __builtin_expect_with_probability(i < m, 1, 0.9); ++i)
    row(x + i * h, w, y + i * h, h);
#endif
  return 0;
}
