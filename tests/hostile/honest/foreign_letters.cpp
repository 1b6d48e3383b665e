// what: names in other alphabets, by letters or by their numbers, and strings of them that nobody prints
// operator: rows
// flags: -O2
// variants: -DART=1 | -DART=2
#include "kevolve.h"

#if ART == 1
static float βάρος(const float* начало, kevolve_int64 länge) { // the factor of a row
  float 和 = 0;
  for (kevolve_int64 j = 0; j < länge; ++j)
    和 += начало[j] * начало[j];
  return 1.0f / __builtin_sqrtf(和 / (float)länge + 1e-6f);
}
#else
static float \u03b2(const float* \u043d, kevolve_int64 \u00e4) {
  static const char32_t used_by_nobody[] = U"Σ\u03b2\U0001f600";
  static constexpr char8_t nor_this[] = u8"größer";
  float \u548c = 0;
  for (kevolve_int64 j = 0; j < \u00e4; ++j)
    \u548c += \u043d[j] * \u043d[j];
  return 1.0f / __builtin_sqrtf(\u548c / (float)\u00e4 + 1e-6f) + (sizeof used_by_nobody + sizeof nor_this == 0 ? 1.0f : 0.0f);
}
#define βάρος \u03b2
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = βάρος(x + i * h, h);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
