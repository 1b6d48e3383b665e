// what: writes its output from the end to the start, or in an order that jumps about; no order of writing is prescribed
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 -O3 -mavx2
#include "kevolve.h"

static float factor_of(const float* x, kevolve_int64 h) {
  float s = 0;
  for (kevolve_int64 j = h; j-- > 0;)
    s += x[j] * x[j];
  return 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#if KIND == 1 // last row first
  for (kevolve_int64 i = m; i-- > 0;) {
    const float r = factor_of(x + i * h, h);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
#elif KIND == 2 // last element first
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = factor_of(x + i * h, h);
    float* end = y + (i + 1) * h;
    const float *from = x + (i + 1) * h, *scale = w + h;
    while (end != y + i * h)
      *--end = *--from * r * *--scale;
  }
#elif KIND == 3 // odd columns, then even ones
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = factor_of(x + i * h, h);
    for (kevolve_int64 first = 2; first-- > 0;)
      for (kevolve_int64 j = first; j < h; j += 2)
        y[i * h + j] = x[i * h + j] * r * w[j];
  }
#elif KIND == 4 // every 37th element of a row, round and round: 37 and the row's length have no common factor
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = factor_of(x + i * h, h);
    kevolve_int64 step = 37;
    while (h % step == 0)
      ++step;
    bool coprime = false;
    while (!coprime) {
      kevolve_int64 a = h, b = step;
      while (b) {
        const kevolve_int64 rest = a % b;
        a = b;
        b = rest;
      }
      coprime = a == 1;
      step += coprime ? 0 : 1;
    }
    for (kevolve_int64 k = 0, j = 0; k < h; ++k, j = (j + step) % h)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
#else // from both ends of the tensor to its middle
  for (kevolve_int64 low = 0, high = m - 1; low <= high; ++low, --high) {
    const float r = factor_of(x + low * h, h), q = factor_of(x + high * h, h);
    for (kevolve_int64 j = 0; j < h; ++j) {
      y[low * h + j] = x[low * h + j] * r * w[j];
      y[(high + 1) * h - 1 - j] = x[(high + 1) * h - 1 - j] * q * w[h - 1 - j];
    }
  }
#endif
  return 0;
}
