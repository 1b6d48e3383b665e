// what: the six orders of the three loops, some of which add to the output from the outside
// operator: product
// flags: -O2
// variants: -DORDER=1 | -DORDER=2 | -DORDER=3 | -DORDER=4 | -DORDER=5 | -DORDER=6 | -DORDER=2 -O3 -march=native -funroll-loops
#include "kevolve.h"

#define I for (kevolve_int64 i = 0; i < m; ++i)
#define J for (kevolve_int64 j = 0; j < n; ++j)
#define L for (kevolve_int64 l = 0; l < k; ++l)

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
  for (kevolve_int64 e = 0; e < m * n; ++e)
    c[e] = 0;
#if ORDER == 1
  I J L
#elif ORDER == 2
  I L J
#elif ORDER == 3
  J I L
#elif ORDER == 4
  J L I
#elif ORDER == 5
  L I J
#else
  L J I
#endif
  c[i * n + j] += a[i * k + l] * b[l * n + j];
  return 0;
}
