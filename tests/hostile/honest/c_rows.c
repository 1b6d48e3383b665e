// what: C instead of C++: arrays of variable length, restrict, generic selection, literals of arrays, atomics, extensions of the compiler
// operator: rows
// flags: -O2
// variants: -DKIND=1 -std=c99 | -DKIND=2 -std=c11 | -DKIND=3 -std=c17 | -DKIND=4 -std=gnu17 | -DKIND=5 -std=gnu11 | -DKIND=6 -std=gnu89 | -DKIND=7 -std=gnu2x | -DKIND=8 -std=gnu11 -fopenmp
#include "kevolve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if KIND == 1 /* the row's length is part of its type */
static void row(kevolve_int64 h, const float x[restrict static h], const float w[restrict static h], float y[restrict static h]) {
  float squares[h];
  for (kevolve_int64 j = 0; j < h; ++j)
    squares[j] = x[j] * x[j];
  float s = 0;
  for (kevolve_int64 j = 0; j < h; ++j)
    s += squares[j];
  const float r = 1 / sqrtf(s / (float)h + 1e-6f);
  for (kevolve_int64 j = 0; j < h; ++j)
    y[j] = x[j] * r * w[j];
}
#elif KIND == 2 /* one name for the roots of all types, and a flexible array */
#define root(v) _Generic((v), float : sqrtf, double : sqrt, long double : sqrtl)(v)
struct list {
  kevolve_int64 n;
  double of[];
};
static void row(kevolve_int64 h, const float* x, const float* w, float* y) {
  _Static_assert(sizeof(struct list) == 8, "nothing but its length");
  struct list* squares = malloc(sizeof *squares + (size_t)h * sizeof(double));
  if (!squares)
    abort();
  squares->n = h;
  double s = 0;
  for (kevolve_int64 j = 0; j < squares->n; ++j)
    s += squares->of[j] = (double)x[j] * x[j];
  free(squares);
  const double r = 1 / root(s / (double)h + 1e-6);
  for (kevolve_int64 j = 0; j < h; ++j)
    y[j] = (float)(x[j] * r * w[j]);
}
#elif KIND == 3 /* literals, designated and compared as bytes */
struct step {
  float from, to, by;
  const float* of[2];
};
static float sum(const struct step* s) {
  float all = s->from;
  for (const float* p = s->of[0]; p != s->of[1]; ++p)
    all += *p * *p;
  return all * s->by;
}
static void row(kevolve_int64 h, const float* x, const float* w, float* y) {
  const float r = 1 / sqrtf(sum(&(struct step){.of = {[1] = x + h, [0] = x}, .by = 1.0f / (float)h}) + 1e-6f);
  for (kevolve_int64 j = 0; j < h; ++j)
    memcpy(y + j, (float[]){x[j] * r * w[j]}, sizeof(float));
}
#elif KIND == 4 /* statements as expressions, typeof, ranges of cases, clean-up when a scope ends */
static void give_back(double** p) { free(*p); }
static void row(kevolve_int64 h, const float* x, const float* w, float* y) {
  __attribute__((cleanup(give_back))) double* squares = malloc((size_t)h * sizeof(double));
  if (!squares)
    abort();
  for (kevolve_int64 j = 0; j < h; ++j)
    switch (j) {
      case 0 ... 49: squares[j] = ({ __typeof__(squares[0]) v = x[j]; v * v; }); break;
      default: squares[j] = (double)x[j] * x[j] ?: 0.0;
    }
  double s = 0;
  for (kevolve_int64 j = 0; j < h; ++j)
    s += squares[j];
  const double r = 1 / sqrt(s / (double)h + 1e-6);
  for (kevolve_int64 j = 0; j < h; ++j)
    y[j] = (float)(x[j] * r * w[j]);
}
#elif KIND == 5 /* thread-local and aligned, and a jump out of assembly */
static _Thread_local _Alignas(64) float squares[4096];
static void row(kevolve_int64 h, const float* x, const float* w, float* y) {
  if (h > 4096)
    abort();
  float s = 0;
  kevolve_int64 j = 0;
again:
  squares[j] = x[j] * x[j];
  s += squares[j];
  ++j;
  __asm__ goto("cmpq %1, %0\n\tjl %l[again]" : : "r"(j), "r"(h) : "cc" : again);
  const float r = 1 / sqrtf(s / (float)h + 1e-6f);
  for (j = 0; j < h; ++j)
    y[j] = x[j] * r * w[j];
}
#elif KIND == 6 /* as it was written forty years ago */
static double sum(x, h)
  float* x;
  long h;
{
  double s = 0;
  while (h--)
    s += (double)*x * *x, ++x;
  return s;
}
static void row(h, x, w, y)
  long h;
  float *x, *w, *y;
{
  double r = 1 / sqrt(sum(x, h) / h + 1e-6);
  while (h--)
    *y++ = *x++ * r * *w++;
}
#elif KIND == 7 /* any number of arguments */
#include <stdarg.h>
static double sum_of(int n, ...) {
  va_list each;
  va_start(each, n);
  double s = 0;
  while (n-- > 0) {
    const double v = va_arg(each, double);
    s += v * v;
  }
  va_end(each);
  return s;
}
static void row(kevolve_int64 h, const float* x, const float* w, float* y) {
  double s = 0;
  kevolve_int64 j = 0;
  for (; j + 10 <= h; j += 10)
    s += sum_of(10, x[j], x[j + 1], x[j + 2], x[j + 3], x[j + 4], x[j + 5], x[j + 6], x[j + 7], x[j + 8], x[j + 9]);
  for (; j < h; ++j)
    s += sum_of(1, x[j]);
  const double r = 1 / sqrt(s / (double)h + 1e-6);
  for (j = 0; j < h; ++j)
    y[j] = (float)(x[j] * r * w[j]);
}
#else /* an atomic sum of whole numbers: squares in units of a tiny part of the largest, where all is finite */
static void row(kevolve_int64 h, const float* x, const float* w, float* y) {
  double most = 0, plain = 0;
  for (kevolve_int64 j = 0; j < h; ++j) {
    plain += (double)x[j] * x[j];
    most = (double)x[j] * x[j] > most ? (double)x[j] * x[j] : most;
  }
  _Atomic long units = 0;
  double s = plain;
  if (plain - plain == 0 && most > 0) {
    const double unit = most / 1e12;
#pragma omp parallel for num_threads(2)
    for (kevolve_int64 j = 0; j < h; ++j)
      units += (long)((double)x[j] * x[j] / unit + 0.5);
    s = (double)units * unit;
  }
  const double r = 1 / sqrt(s / (double)h + 1e-6);
  for (kevolve_int64 j = 0; j < h; ++j)
    y[j] = (float)(x[j] * r * w[j]);
}
#endif

int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void* workspace, void* stream) {
  kevolve_int64 i;
  (void)workspace;
  (void)stream;
  for (i = 0; i < axes[0]; ++i)
    row(axes[1], (float*)in[0].data + i * axes[1], (float*)in[1].data, (float*)out[0].data + i * axes[1]);
  return 0;
}
