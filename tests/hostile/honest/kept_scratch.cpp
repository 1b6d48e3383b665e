// what: keeps scratch memory in a static pointer from call to call and never frees it; what it holds is computed anew in each call
// operator: product
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 -O3 -march=native | -DKIND=3 -DBYTES=268435456 | -DKIND=4 -fopenmp
#include "kevolve.h"

#include <cstdlib>

/// At least n floats, the same ones as long as they suffice.
static float* scratch(std::size_t n) {
#if KIND == 3 // asked for once, far more than any call needs
  static float* const kept = (float*)std::malloc(BYTES);
  return n * sizeof(float) <= BYTES ? kept : nullptr;
#elif KIND == 4
  static thread_local float* kept = nullptr;
  static thread_local std::size_t room = 0;
  if (room < n) {
    kept = (float*)std::realloc(kept, n * sizeof(float));
    room = n;
  }
  return kept;
#else
  static float* kept = nullptr;
  static std::size_t room = 0;
  if (room < n) {
#if KIND == 1
    std::free(kept);
    kept = (float*)std::malloc(n * sizeof(float));
#else // the old one is simply forgotten: twice as much each time, so that little is lost
    while (room < n)
      room = room ? 2 * room : 64;
    kept = (float*)std::aligned_alloc(64, (room * sizeof(float) + 63) / 64 * 64);
#endif
    room = room < n ? n : room;
  }
  return kept;
#endif
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
  bool failed = false;
#pragma omp parallel reduction(|| : failed)
  {
    float* turned = scratch((std::size_t)(k * n)); // b with rows and columns exchanged
    failed = !turned;
    for (kevolve_int64 l = 0; turned && l < k; ++l)
      for (kevolve_int64 j = 0; j < n; ++j)
        turned[j * k + l] = b[l * n + j];
#pragma omp for
    for (kevolve_int64 i = 0; i < m; ++i)
      for (kevolve_int64 j = 0; turned && j < n; ++j) {
        float s = 0;
        for (kevolve_int64 l = 0; l < k; ++l)
          s += a[i * k + l] * turned[j * k + l];
        c[i * n + j] = s;
      }
  }
  return failed;
}
