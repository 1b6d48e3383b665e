// what: one plain kernel under flags that turn the optimiser's passes on and off one by one
// operator: rows
// flags: -O2
// variants: -Og | -Os | -Oz -fno-inline | -O3 -fno-tree-loop-vectorize -fmodulo-sched -frename-registers | -O3 -fselective-scheduling2 -fsched-pressure | -O1 -fgcse -fgcse-las -fgcse-sm -fweb | -O3 -funroll-all-loops -fsplit-loops --param=max-unroll-times=16 | -O3 -fvect-cost-model=unlimited -mtune=haswell | -O2 -fwrapv -fno-strict-aliasing -mstackrealign | -O2 -march=x86-64-v3 -mvzeroupper -falign-loops=64 | -pthread -pipe -g0 -w -pedantic -std=c++17 | -O0 -mno-red-zone -fno-omit-frame-pointer
#include "kevolve.h"

static inline float square(float v) { return v * v; }

static float sum(const float* x, kevolve_int64 h) {
  float s = 0;
  for (kevolve_int64 j = 0; j < h; ++j)
    s += square(x[j]);
  return s;
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = 1.0f / __builtin_sqrtf(sum(x + i * h, h) / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
