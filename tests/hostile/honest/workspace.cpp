// what: asks for a workspace, small, huge and hardly used, or useless, and keeps intermediate results there
// operator: product
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 -fopenmp | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6
#include "kevolve.h"

extern "C" kevolve_int64 kevolve_workspace_bytes(const kevolve_int64* axes) {
  [[maybe_unused]] const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
#if KIND == 1 // b turned
  return k * n * 4;
#elif KIND == 2 // parts of sums
  return 4 * m * n * 8;
#elif KIND == 3 // a page for every element of b
  return k * n * 4096;
#elif KIND == 4 // none
  return 0;
#elif KIND == 5 // one that is not used
  return 1 << 20;
#else // the whole product in double, at the end of 256 MiB
  return 256l << 20;
#endif
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void* workspace, void*) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
#if KIND == 1
  if (!workspace)
    return 1;
  float* turned = (float*)workspace;
  for (kevolve_int64 l = 0; l < k; ++l)
    for (kevolve_int64 j = 0; j < n; ++j)
      turned[j * k + l] = b[l * n + j];
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 j = 0; j < n; ++j) {
      float s = 0;
      for (kevolve_int64 l = 0; l < k; ++l)
        s += a[i * k + l] * turned[j * k + l];
      c[i * n + j] = s;
    }
#elif KIND == 2
  if (!workspace)
    return 1;
  double* parts = (double*)workspace;
#pragma omp parallel for num_threads(4)
  for (kevolve_int64 part = 0; part < 4; ++part) {
    double* mine = parts + part * m * n;
    for (kevolve_int64 e = 0; e < m * n; ++e)
      mine[e] = 0;
    for (kevolve_int64 i = 0; i < m; ++i)
      for (kevolve_int64 l = k * part / 4; l < k * (part + 1) / 4; ++l)
        for (kevolve_int64 j = 0; j < n; ++j)
          mine[i * n + j] += (double)a[i * k + l] * b[l * n + j];
  }
  for (kevolve_int64 e = 0; e < m * n; ++e)
    c[e] = (float)(parts[e] + parts[m * n + e] + parts[2 * m * n + e] + parts[3 * m * n + e]);
#elif KIND == 3
  if (!workspace)
    return 1;
  char* pages = (char*)workspace;
  for (kevolve_int64 e = 0; e < k * n; ++e)
    *(float*)(pages + e * 4096 + e % 1024 * 4) = b[e];
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 j = 0; j < n; ++j) {
      float s = 0;
      for (kevolve_int64 l = 0; l < k; ++l) {
        const kevolve_int64 e = l * n + j;
        s += a[i * k + l] * *(const float*)(pages + e * 4096 + e % 1024 * 4);
      }
      c[i * n + j] = s;
    }
#else
  double* sums = nullptr;
#if KIND == 6
  if (!workspace)
    return 1;
  sums = (double*)((char*)workspace + (256l << 20)) - m * n;
#else
  (void)workspace;
  double row[4096];
  if (n > 4096)
    return 1;
#endif
  for (kevolve_int64 i = 0; i < m; ++i) {
#if KIND == 6
    double* row = sums + i * n;
#endif
    for (kevolve_int64 j = 0; j < n; ++j)
      row[j] = 0;
    for (kevolve_int64 l = 0; l < k; ++l)
      for (kevolve_int64 j = 0; j < n; ++j)
        row[j] += (double)a[i * k + l] * b[l * n + j];
    for (kevolve_int64 j = 0; j < n; ++j)
      c[i * n + j] = (float)row[j];
  }
  (void)sums;
#endif
  return 0;
}
