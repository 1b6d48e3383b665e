// what: copies its inputs into panels in a static buffer, in each call anew, and multiplies small blocks of registers
// operator: product
// flags: -O2 -Wno-psabi
// variants: -DROWS=4 -DLANES=4 | -DROWS=6 -DLANES=8 -mavx2 -mfma | -DROWS=8 -DLANES=16 -march=native | -DROWS=14 -DLANES=16 -march=native -O3 | -DROWS=1 -DLANES=32 -mavx2 | -DROWS=3 -DLANES=4 -DPACK_A
#include "kevolve.h"

typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

alignas(64) static float panels[1 << 20];
#ifdef PACK_A
alignas(64) static float strips[1 << 20];
#endif

/// ROWS rows of one panel of columns.
static void block(const float* a, kevolve_int64 next_row, kevolve_int64 next_term, const float* panel, float* c, kevolve_int64 k, kevolve_int64 n,
                  kevolve_int64 rows, kevolve_int64 columns) {
  lanes sums[ROWS] = {};
  for (kevolve_int64 l = 0; l < k; ++l) {
    const lanes terms = *(const lanes*)(panel + l * LANES);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i)
      sums[i] += a[(i < rows ? i : 0) * next_row + l * next_term] * terms; // the first row once more where there are fewer
  }
  for (kevolve_int64 i = 0; i < rows; ++i)
    if (columns == LANES)
      *(loose*)(c + i * n) = sums[i];
    else
      for (kevolve_int64 j = 0; j < columns; ++j)
        c[i * n + j] = sums[i][j];
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
  if ((n + LANES) * k > 1 << 20)
    return 1;
  for (kevolve_int64 j = 0; j < n; j += LANES)
    for (kevolve_int64 l = 0; l < k; ++l)
      for (kevolve_int64 e = 0; e < LANES; ++e)
        panels[j * k + l * LANES + e] = j + e < n ? b[l * n + j + e] : 0;
  for (kevolve_int64 i = 0; i < m; i += ROWS) {
    const kevolve_int64 rows = m - i < ROWS ? m - i : ROWS;
#ifdef PACK_A
    for (kevolve_int64 l = 0; l < k; ++l)
      for (kevolve_int64 e = 0; e < rows; ++e)
        strips[l * ROWS + e] = a[(i + e) * k + l];
#endif
    for (kevolve_int64 j = 0; j < n; j += LANES)
#ifdef PACK_A
      block(strips, 1, ROWS, panels + j * k, c + i * n + j, k, n, rows, n - j < LANES ? n - j : LANES);
#else
      block(a + i * k, k, 1, panels + j * k, c + i * n + j, k, n, rows, n - j < LANES ? n - j : LANES);
#endif
  }
  return 0;
}
