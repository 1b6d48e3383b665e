// what: allocates and frees memory in each call, or in each row, in every way there is
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6 | -DKIND=7 | -DKIND=8 | -DKIND=9 -O0
#include "kevolve.h"

#include <cstdlib>
#include <memory>
#include <new>

struct alignas(128) line {
  float of[32];
};

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  const std::size_t row = (std::size_t)h * sizeof(float), whole = (std::size_t)m * sizeof(float);
#if KIND == 1
  float* factors = (float*)std::malloc(whole);
#elif KIND == 2
  float* factors = (float*)std::calloc((std::size_t)m, sizeof(float));
#elif KIND == 3
  float* factors = (float*)std::aligned_alloc(4096, (whole + 4095) / 4096 * 4096);
#elif KIND == 4
  void* got = nullptr;
  if (posix_memalign(&got, 256, whole) != 0)
    return 1;
  float* factors = (float*)got;
#elif KIND == 5
  float* factors = new (std::nothrow) float[(std::size_t)m];
#elif KIND == 6
  line* lines = new line[(std::size_t)(m + 31) / 32];
  float* factors = lines->of;
#elif KIND == 7 // 64 MiB of which a little is used
  float* factors = (float*)std::malloc(std::size_t{64} << 20);
#elif KIND == 8
  float* factors = nullptr; // grows by a row's factor at a time
#else
  auto owned = std::make_unique<float[]>((std::size_t)m);
  float* factors = owned.get();
#endif
  for (kevolve_int64 i = 0; i < m; ++i) {
#if KIND == 8
    float* grown = (float*)std::realloc(factors, (std::size_t)(i + 1) * sizeof(float));
    if (!grown)
      return 1;
    factors = grown;
#endif
    if (!factors)
      return 1;
    float* squares = (float*)std::malloc(row);
    if (!squares)
      return 1;
    for (kevolve_int64 j = 0; j < h; ++j)
      squares[j] = x[i * h + j] * x[i * h + j];
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += squares[j];
    std::free(squares);
    factors[i] = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
  }
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * factors[i] * w[j];
#if KIND == 5
  delete[] factors;
#elif KIND == 6
  delete[] lines;
#elif KIND != 9
  std::free(factors);
#endif
  return 0;
}
