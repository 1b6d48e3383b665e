// what: prefetches far ahead, past the tensors' ends and from addresses that nothing is at; a prefetch never faults
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 -fprefetch-loop-arrays -O3
#include "kevolve.h"

#include <immintrin.h>

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j) {
#if KIND == 1 // past the end in the last rows
      if (j % 16 == 0)
        __builtin_prefetch(x + (i + 8) * h + j, 0, 0);
#elif KIND == 2 // for writing
      if (j % 16 == 0)
        __builtin_prefetch(y + (i + 4) * h + j, 1, 3);
#elif KIND == 3 // a random walk through the address space
      static unsigned long walk = 88172645463325252ul;
      walk ^= walk << 13, walk ^= walk >> 7, walk ^= walk << 17;
      _mm_prefetch((const char*)walk, _MM_HINT_NTA);
#elif KIND == 4 // lines are thrown out of the caches after use
      if (j % 16 == 0 && i > 0)
        _mm_clflush(x + (i - 1) * h + j);
#endif
      s += x[i * h + j] * x[i * h + j];
    }
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
