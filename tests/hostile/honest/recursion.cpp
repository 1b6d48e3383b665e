// what: recursive where others loop: halves of halves, a frame per element, a frame per row, two functions in turn; the stack bears the depth
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 -O0 | -DKIND=3 | -DKIND=4 | -DKIND=5 -O1 | -DKIND=6
#include "kevolve.h"

static float factor_of(float s, kevolve_int64 h) { return 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f); }

#if KIND == 1 // halves of halves
static float sum(const float* x, kevolve_int64 n) { return n == 1 ? x[0] * x[0] : sum(x, n / 2) + sum(x + n / 2, n - n / 2); }
#elif KIND == 2 // a frame per element
static float sum(const float* x, kevolve_int64 n) { return n == 0 ? 0.0f : x[0] * x[0] + sum(x + 1, n - 1); }
#elif KIND == 3 // two in turn
static float sum(const float* x, kevolve_int64 n);
__attribute__((noinline)) static float other(const float* x, kevolve_int64 n) { return n <= 0 ? 0.0f : x[n - 1] * x[n - 1] + sum(x, n - 1); }
__attribute__((noinline)) static float sum(const float* x, kevolve_int64 n) { return n <= 0 ? 0.0f : other(x + 1, n - 1) + x[0] * x[0]; }
#elif KIND == 4 // a lambda that is handed itself
static float sum(const float* x, kevolve_int64 n) {
  const auto part = [](const auto& self, const float* p, kevolve_int64 k) -> float {
    return k < 3 ? (k == 0 ? 0.0f : k == 1 ? p[0] * p[0] : p[0] * p[0] + p[1] * p[1]) : self(self, p, k / 3) + self(self, p + k / 3, k - k / 3);
  };
  return part(part, x, n);
}
#else
static float sum(const float* x, kevolve_int64 n) {
  float s = 0;
  for (kevolve_int64 j = 0; j < n; ++j)
    s += x[j] * x[j];
  return s;
}
#endif

#if KIND == 5 // each frame holds a copy of its row, the deepest one writes first
__attribute__((noinline)) static void row(const float* x, const float* w, float* y, kevolve_int64 left, kevolve_int64 h) {
  if (left == 0)
    return;
  volatile float copy[256];
  for (kevolve_int64 j = 0; j < h && j < 256; ++j)
    copy[j] = x[j];
  row(x + h, w, y + h, left - 1, h);
  const float r = factor_of(sum(x, h), h);
  for (kevolve_int64 j = 0; j < h; ++j)
    y[j] = (j < 256 ? copy[j] : x[j]) * r * w[j];
}
#elif KIND == 6 // rows are halved down to one
static void row(const float* x, const float* w, float* y, kevolve_int64 left, kevolve_int64 h) {
  if (left > 1) {
    row(x + left / 2 * h, w, y + left / 2 * h, left - left / 2, h);
    row(x, w, y, left / 2, h);
    return;
  }
  const float r = factor_of(sum(x, h), h);
  for (kevolve_int64 j = 0; j < h; ++j)
    y[j] = x[j] * r * w[j];
}
#else
static void row(const float* x, const float* w, float* y, kevolve_int64 left, kevolve_int64 h) {
  for (; left > 0; --left, x += h, y += h) {
    const float r = factor_of(sum(x, h), h);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[j] = x[j] * r * w[j];
  }
}
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  row((const float*)in[0].data, (const float*)in[1].data, (float*)out[0].data, axes[0], axes[1]);
  return 0;
}
