// what: the product in blocks, of sizes that fit the shapes and of sizes that fit nothing, as a loop nest or by recursion
// operator: product
// flags: -O2
// variants: -DROWS=4 -DTERMS=4 -DCOLUMNS=4 | -DROWS=8 -DTERMS=32 -DCOLUMNS=16 -O3 -march=native | -DROWS=33 -DTERMS=7 -DCOLUMNS=13 | -DROWS=1000 -DTERMS=1 -DCOLUMNS=1000 | -DRECURSIVE=2048 | -DRECURSIVE=64 | -DRECURSIVE=1 -O3
#include "kevolve.h"

static void block(const float* a, const float* b, float* c, kevolve_int64 m, kevolve_int64 k, kevolve_int64 n, kevolve_int64 ka, kevolve_int64 nb) {
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 l = 0; l < k; ++l)
      for (kevolve_int64 j = 0; j < n; ++j)
        c[i * nb + j] += a[i * ka + l] * b[l * nb + j];
}

#ifdef RECURSIVE // the longest side is halved until little is left
static void halves(const float* a, const float* b, float* c, kevolve_int64 m, kevolve_int64 k, kevolve_int64 n, kevolve_int64 ka, kevolve_int64 nb) {
  if (m * k * n <= RECURSIVE)
    return block(a, b, c, m, k, n, ka, nb);
  if (m >= k && m >= n) {
    halves(a, b, c, m / 2, k, n, ka, nb);
    halves(a + m / 2 * ka, b, c + m / 2 * nb, m - m / 2, k, n, ka, nb);
  } else if (n >= k) {
    halves(a, b, c, m, k, n / 2, ka, nb);
    halves(a, b + n / 2, c + n / 2, m, k, n - n / 2, ka, nb);
  } else {
    halves(a, b, c, m, k / 2, n, ka, nb);
    halves(a + k / 2, b + k / 2 * nb, c, m, k - k / 2, n, ka, nb);
  }
}
#else
static kevolve_int64 least(kevolve_int64 a, kevolve_int64 b) { return a < b ? a : b; }
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
  for (kevolve_int64 e = 0; e < m * n; ++e)
    c[e] = 0;
#ifdef RECURSIVE
  halves(a, b, c, m, k, n, k, n);
#else
  for (kevolve_int64 j = 0; j < n; j += COLUMNS)
    for (kevolve_int64 l = 0; l < k; l += TERMS)
      for (kevolve_int64 i = 0; i < m; i += ROWS)
        block(a + i * k + l, b + l * n + j, c + i * n + j, least(ROWS, m - i), least(TERMS, k - l), least(COLUMNS, n - j), k, n);
#endif
  return 0;
}
