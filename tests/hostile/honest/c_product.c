// what: a product in C with matrices of variable shape, complex numbers and a union of views
// operator: product
// flags: -O2
// variants: -DKIND=1 -std=c99 | -DKIND=2 -std=c11 | -DKIND=3 -std=gnu17 | -DKIND=4 -std=c17 -O3 -march=native | -DKIND=5 -std=gnu11 -fopenmp
#include "kevolve.h"

#include <complex.h>
#include <string.h>

#if KIND == 1 /* matrices whose shape is known at run time only */
static void multiply(int m, int k, int n, const float a[m][k], const float b[k][n], float c[m][n]) {
  for (int i = 0; i < m; ++i) {
    double row[n];
    memset(row, 0, sizeof row);
    for (int l = 0; l < k; ++l)
      for (int j = 0; j < n; ++j)
        row[j] += (double)a[i][l] * b[l][j];
    for (int j = 0; j < n; ++j)
      c[i][j] = (float)row[j];
  }
}
#elif KIND == 2 /* two columns as one complex number, times a real one */
static void multiply(int m, int k, int n, const float a[m][k], const float b[k][n], float c[m][n]) {
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; j += 2) {
      double complex s = 0;
      for (int l = 0; l < k; ++l)
        s += a[i][l] * CMPLX((double)b[l][j], j + 1 < n ? (double)b[l][j + 1] : 0.0);
      c[i][j] = (float)creal(s);
      if (j + 1 < n)
        c[i][j + 1] = (float)cimag(s);
    }
}
#elif KIND == 3 /* one memory seen as matrix and as list */
static void multiply(int m, int k, int n, const float a[m][k], const float b[k][n], float c[m][n]) {
  union {
    float row[4096];
    struct {
      float first[2048], second[2048];
    };
  } sums;
  if (n > 4096)
    __builtin_trap();
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j)
      sums.row[j] = 0;
    for (int l = 0; l < k; ++l)
      for (int j = 0; j < n; ++j)
        *(j < 2048 ? &sums.first[j] : &sums.second[j - 2048]) += a[i][l] * b[l][j];
    memcpy(c[i], sums.row, (unsigned long)n * sizeof(float));
  }
}
#elif KIND == 4 /* nothing overlaps, and the compiler is told so */
static void multiply(int m, int k, int n, const float a[restrict m][k], const float b[restrict k][n], float c[restrict m][n]) {
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j)
      c[i][j] = 0;
  for (int i = 0; i < m; ++i)
    for (int l = 0; l < k; ++l)
      for (int j = 0; j < n; ++j)
        c[i][j] += a[i][l] * b[l][j];
}
#else /* an array of threads' own rows, of variable length */
static void multiply(int m, int k, int n, const float a[m][k], const float b[k][n], float c[m][n]) {
  float own[3][n];
#pragma omp parallel for num_threads(3) schedule(static, 1)
  for (int part = 0; part < 3; ++part)
    for (int i = part; i < m; i += 3) {
      for (int j = 0; j < n; ++j)
        own[part][j] = 0;
      for (int l = 0; l < k; ++l)
        for (int j = 0; j < n; ++j)
          own[part][j] += a[i][l] * b[l][j];
      memcpy(c[i], own[part], sizeof own[part]);
    }
}
#endif

int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void* workspace, void* stream) {
  (void)workspace;
  (void)stream;
  multiply((int)axes[0], (int)axes[1], (int)axes[2], in[0].data, in[1].data, out[0].data);
  return 0;
}
