// what: times its own variants by the cycle counter in its first calls and keeps to the fastest; each of them does all the work
// operator: product
// flags: -O3
// variants: -DTRIALS=1 | -DTRIALS=5 -march=native | -DTRIALS=1000000 | -DTRIALS=3 -DBY_SIZE
#include "kevolve.h"

struct shape {
  kevolve_int64 m, k, n;
};

static void by_rows(const float* a, const float* b, float* c, const shape& s) {
  for (kevolve_int64 i = 0; i < s.m; ++i) {
    for (kevolve_int64 j = 0; j < s.n; ++j)
      c[i * s.n + j] = 0;
    for (kevolve_int64 l = 0; l < s.k; ++l)
      for (kevolve_int64 j = 0; j < s.n; ++j)
        c[i * s.n + j] += a[i * s.k + l] * b[l * s.n + j];
  }
}
static void by_elements(const float* a, const float* b, float* c, const shape& s) {
  for (kevolve_int64 i = 0; i < s.m; ++i)
    for (kevolve_int64 j = 0; j < s.n; ++j) {
      float sum = 0;
      for (kevolve_int64 l = 0; l < s.k; ++l)
        sum += a[i * s.k + l] * b[l * s.n + j];
      c[i * s.n + j] = sum;
    }
}
static void by_fours(const float* a, const float* b, float* c, const shape& s) {
  kevolve_int64 i = 0;
  for (; i + 4 <= s.m; i += 4)
    for (kevolve_int64 j = 0; j < s.n; ++j) {
      float sums[4] = {};
      for (kevolve_int64 l = 0; l < s.k; ++l)
        for (int e = 0; e < 4; ++e)
          sums[e] += a[(i + e) * s.k + l] * b[l * s.n + j];
      for (int e = 0; e < 4; ++e)
        c[(i + e) * s.n + j] = sums[e];
    }
  by_elements(a + i * s.k, b, c + i * s.n, {s.m - i, s.k, s.n});
}

static void (*const ways[])(const float*, const float*, float*, const shape&) = {by_rows, by_elements, by_fours};

struct tuner {
  unsigned long least[3] = {~0ul, ~0ul, ~0ul};
  unsigned long calls = 0;
  unsigned next() {
    if (calls++ < 3ul * TRIALS)
      return (unsigned)(calls % 3);
    return least[0] <= least[1] && least[0] <= least[2] ? 0 : least[1] <= least[2] ? 1 : 2;
  }
};

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
#ifdef BY_SIZE // one for each power of two
  static tuner all[64];
  tuner& t = all[63 - __builtin_clzl((unsigned long)axes[0])];
#else
  static tuner t;
#endif
  const unsigned way = t.next();
  const unsigned long began = __builtin_ia32_rdtsc();
  ways[way]((const float*)in[0].data, (const float*)in[1].data, (float*)out[0].data, {axes[0], axes[1], axes[2]});
  const unsigned long took = __builtin_ia32_rdtsc() - began;
  if (took < t.least[way])
    t.least[way] = took;
  return 0;
}
