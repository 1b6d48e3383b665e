// what: asks the processor what it can do and calls the function made for it; all of them are in the file
// operator: product
// flags: -O3
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 -O2
#include "kevolve.h"

#define BODY \
  for (kevolve_int64 j = 0; j < n; ++j) \
    c[j] = 0; \
  for (kevolve_int64 l = 0; l < k; ++l) \
    for (kevolve_int64 j = 0; j < n; ++j) \
      c[j] += a[l] * b[l * n + j];

typedef void product_row(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, kevolve_int64 k, kevolve_int64 n);

static void plain(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, kevolve_int64 k, kevolve_int64 n) { BODY }
__attribute__((target("avx2,fma"))) static void wide(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, kevolve_int64 k,
                                                      kevolve_int64 n) {
  BODY
}
__attribute__((target("avx512f,prefer-vector-width=512"))) static void widest(const float* __restrict__ a, const float* __restrict__ b,
                                                                               float* __restrict__ c, kevolve_int64 k, kevolve_int64 n) {
  BODY
}
#if KIND == 3
#pragma GCC push_options
#pragma GCC optimize("O1", "unroll-loops")
#pragma GCC target("sse4.2")
static void small(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, kevolve_int64 k, kevolve_int64 n) { BODY }
#pragma GCC pop_options
#endif

static product_row* choose() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") ? widest : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? wide : plain;
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
#if KIND == 1
  static product_row* const chosen = choose();
#elif KIND == 2 // a different one for each row
  product_row* const best = choose();
  product_row* const all[] = {plain, best, best == widest ? wide : plain};
#else
  product_row* const chosen = __builtin_cpu_is("intel") && __builtin_cpu_supports("sse4.2") ? small : choose();
#endif
  for (kevolve_int64 i = 0; i < m; ++i)
#if KIND == 2
    all[i % 3](a + i * k, b, c + i * n, k, n);
#else
    chosen(a + i * k, b, c + i * n, k, n);
#endif
  return 0;
}
