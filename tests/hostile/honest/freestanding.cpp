// what: needs nothing from any library: its own copying, root and memory, under flags that take the compiler's knowledge of them away
// operator: rows
// flags: -O2 -fno-builtin -fno-exceptions -fno-rtti
// variants: -DKIND=1 | -DKIND=1 -fno-tree-loop-distribute-patterns -O3 | -DKIND=2 -fno-asynchronous-unwind-tables -fomit-frame-pointer
#include "kevolve.h"

static char pool[1 << 20];
static unsigned long used;

static void* take(unsigned long bytes) {
  const unsigned long at = (used + 63) / 64 * 64;
  if (at + bytes > sizeof pool)
    return nullptr;
  used = at + bytes;
  return pool + at;
}
static void copy(void* to, const void* from, unsigned long bytes) {
  for (unsigned long i = 0; i < bytes; ++i)
    ((char*)to)[i] = ((const char*)from)[i];
}

static float inverse_root(float v) {
#if KIND == 1 // Heron, from a guess by the exponent
  if (!(v < 1e37f))
    return v == v ? 0 : v;
  double g = 1;
  while (g * g < v)
    g *= 2;
  while (g * g > v)
    g *= 0.5;
  for (int step = 0; step < 8; ++step)
    g = 0.5 * (g + v / g);
  return (float)(1 / g);
#else // the processor's
  float r;
  __asm__("sqrtss %1, %0" : "=x"(r) : "x"(v));
  return 1 / r;
#endif
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  used = 0;
  float *row = (float*)take((unsigned long)h * sizeof(float)), *w = (float*)take((unsigned long)h * sizeof(float));
  if (!row || !w)
    return 1;
  copy(w, in[1].data, (unsigned long)h * sizeof(float));
  for (kevolve_int64 i = 0; i < m; ++i) {
    copy(row, (const float*)in[0].data + i * h, (unsigned long)h * sizeof(float));
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += row[j] * row[j];
    const float r = inverse_root(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      row[j] *= r * w[j];
    copy((float*)out[0].data + i * h, row, (unsigned long)h * sizeof(float));
  }
  return 0;
}
