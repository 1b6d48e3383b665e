// what: shows the entry point only and hides the rest, or the other way round; odd names, aliases, sections and weak definitions
// operator: rows
// flags: -O2
// variants: -DKIND=1 -fvisibility=hidden | -DKIND=2 | -DKIND=3 | -DKIND=4 -fno-plt -fno-semantic-interposition | -DKIND=5 | -DKIND=6 -fvisibility=protected
#include "kevolve.h"

#if KIND == 1 || KIND == 6
#define SHOWN __attribute__((visibility("default")))
#else
#define SHOWN
#endif

#if KIND == 2 // a name that no source could spell without this
float sum(const float* x, kevolve_int64 h) __asm__("sum.of$squares");
#elif KIND == 3
__attribute__((weak)) float sum(const float* x, kevolve_int64 h);
#elif KIND == 5 // code and data in sections of their own
__attribute__((section(".text.of.the.sum"), noinline)) float sum(const float* x, kevolve_int64 h);
__attribute__((section(".table"))) static float small[] = {1e-6f};
#else
float sum(const float* x, kevolve_int64 h);
#endif

float sum(const float* x, kevolve_int64 h) {
  float s = 0;
  for (kevolve_int64 j = 0; j < h; ++j)
    s += x[j] * x[j];
  return s;
}

#if KIND == 5
#define SMALL small[0]
#else
#define SMALL 1e-6f
#endif

static int run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = 1.0f / __builtin_sqrtf(sum(x + i * h, h) / (float)h + SMALL);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}

#if KIND == 3 // the entry point is another name of a function
extern "C" int real_entry(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) { return run(in, out, axes); }
extern "C" int kevolve_run(const kevolve_tensor*, kevolve_tensor*, const kevolve_int64*, void*, void*) __attribute__((alias("real_entry")));
#else
extern "C" SHOWN int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  return run(in, out, axes);
}
#endif
