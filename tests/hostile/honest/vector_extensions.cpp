// what: the compiler's own vector types, some wider than any register, with shuffles and conversions between them
// operator: rows
// flags: -O2 -Wno-psabi
// variants: -DWIDTH=2 | -DWIDTH=4 | -DWIDTH=8 -mavx | -DWIDTH=16 -mavx2 -mfma | -DWIDTH=16 -march=native | -DWIDTH=64 | -DWIDTH=4 -DWIDE | -DWIDTH=8 -DWIDE -march=native -mprefer-vector-width=512
#include "kevolve.h"

typedef float lanes __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
#ifdef WIDE // sums in double
typedef double sums __attribute__((vector_size(8 * WIDTH)));
static sums widen(lanes v) { return __builtin_convertvector(v, sums); }
#else
typedef float sums __attribute__((vector_size(4 * WIDTH)));
static sums widen(lanes v) { return v; }
#endif

static double total(sums s) {
#if WIDTH == 4
  const auto turned = s + __builtin_shufflevector(s, s, 2, 3, 0, 1);
  return turned[0] + turned[1];
#else
  double all = 0;
  for (int k = 0; k < WIDTH; ++k)
    all += s[k];
  return all;
#endif
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    sums s = {};
    kevolve_int64 j = 0;
    for (; j + WIDTH <= h; j += WIDTH) {
      const sums v = widen(*(const lanes*)(x + i * h + j));
      s += v * v;
    }
    double all = total(s);
    for (; j < h; ++j)
      all += (double)x[i * h + j] * x[i * h + j];
    const float r = (float)(1 / __builtin_sqrt(all / (double)h + 1e-6));
    for (j = 0; j + WIDTH <= h; j += WIDTH)
      *(lanes*)(y + i * h + j) = *(const lanes*)(x + i * h + j) * r * *(const lanes*)(w + j);
    for (; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
