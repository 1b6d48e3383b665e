// what: has hundreds of megabytes of static memory, of which each call touches a few pages, or many
// operator: rows
// flags: -O2
// variants: -DMEBI=64 | -DMEBI=1024 | -DMEBI=256 -DALIGNED=2097152 | -DMEBI=16 -DFILLED
#include "kevolve.h"

#ifndef ALIGNED
#define ALIGNED 64
#endif

constexpr kevolve_int64 room = (kevolve_int64)MEBI * (1 << 20) / 8;
alignas(ALIGNED) static double memory[room];

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1], gap = room / h;
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#ifdef FILLED
  for (kevolve_int64 i = 0; i < room; i += 512)
    memory[i] = 1;
#endif
  for (kevolve_int64 i = 0; i < m; ++i) {
    for (kevolve_int64 j = 0; j < h; ++j)
      memory[j * gap] = (double)x[i * h + j] * x[i * h + j];
    double s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += memory[j * gap];
    const float r = (float)(1 / __builtin_sqrt(s / (double)h + 1e-6));
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
