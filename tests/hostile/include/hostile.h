/* What the programs of tests/hostile/ share: an honest kernel of each operator to hide behind, raw system calls, and how an attack says that it
   has succeeded. Given to each candidate as a source beside its own. */
#pragma once
#include "kevolve.h"

#define SUCCEEDED 77 /* returned by kevolve_run: the judge's log then says "returned 77" */

/* rows: out[i][j] = x[i][j] / sqrt(mean(x[i]^2) + 1e-6) * weight[j], 100 columns */
static inline int honest_rows(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes) {
  const kevolve_int64 m = axes[0], h = axes[1];
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float* x = (const float*)in[0].data + i * h;
    const float* w = (const float*)in[1].data;
    float* y = (float*)out[0].data + i * h;
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[j] * x[j];
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[j] = x[j] * r * w[j];
  }
  return 0;
}

/* product: out = a b, float32, slow on purpose */
static inline int honest_product(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 j = 0; j < n; ++j) {
      float s = 0;
      for (kevolve_int64 l = 0; l < k; ++l)
        s += a[i * k + l] * b[l * n + j];
      c[i * n + j] = s;
    }
  return 0;
}

/* A system call without the C library: no symbol gives it away. Negative results are -errno. */
static inline long raw(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  long result = number;
  __asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}

/* Writes "/proc/PARENT" and `rest` into `path` (64 bytes); false where there is no parent to be seen. */
static inline bool of_parent(char* path, const char* rest) {
  long parent = raw(110);
  char digits[20];
  int n = 0, at = 6;
  for (; parent > 0; parent /= 10)
    digits[n++] = (char)('0' + parent % 10);
  if (n == 0)
    return false;
  __builtin_memcpy(path, "/proc/", 6);
  while (n > 0)
    path[at++] = digits[--n];
  for (int i = 0; (path[at++] = rest[i]); ++i) {
  }
  return true;
}

/* Defines the entry point of an attack that is tried once and hides behind the honest kernel: define `static bool attack()` first. */
#define HIDE_BEHIND_ROWS                                                                                                                   \
  extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {                      \
    static bool tried = false;                                                                                                             \
    if (!tried && (tried = true) && attack())                                                                                              \
      return SUCCEEDED;                                                                                                                    \
    return honest_rows(in, out, axes);                                                                                                     \
  }
