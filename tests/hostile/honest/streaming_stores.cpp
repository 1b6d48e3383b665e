// what: stores past the caches, with a fence at the end; where a row is not aligned as the instruction asks, plain stores
// operator: rows
// flags: -O2
// variants: -DWIDTH=4 -msse2 | -DWIDTH=8 -mavx2 | -DWIDTH=16 -march=native | -DWIDTH=1 | -DWIDTH=2 | -DWIDTH=4 -DBACKWARDS -msse2 | -DWIDTH=3
#include "kevolve.h"

#include <immintrin.h>

static bool aligned(const void* p, unsigned to) { return (unsigned long)p % to == 0; }

static void store_row(float* y, const float* v, kevolve_int64 h) {
  kevolve_int64 j = 0;
#if WIDTH == 4 && defined(BACKWARDS)
  kevolve_int64 left = h;
  while (left > 0 && !aligned(y + left, 16)) {
    --left;
    y[left] = v[left];
  }
  for (; left >= 4; left -= 4)
    _mm_stream_ps(y + left - 4, _mm_loadu_ps(v + left - 4));
  for (; left > 0; --left)
    y[left - 1] = v[left - 1];
  j = h;
#elif WIDTH == 4
  for (; j < h && !aligned(y + j, 16); ++j)
    y[j] = v[j];
  for (; j + 4 <= h; j += 4)
    _mm_stream_ps(y + j, _mm_loadu_ps(v + j));
#elif WIDTH == 8 && defined(__AVX__)
  for (; j < h && !aligned(y + j, 32); ++j)
    y[j] = v[j];
  for (; j + 8 <= h; j += 8)
    _mm256_stream_ps(y + j, _mm256_loadu_ps(v + j));
#elif WIDTH == 16 && defined(__AVX512F__)
  for (; j < h && !aligned(y + j, 64); ++j)
    y[j] = v[j];
  for (; j + 16 <= h; j += 16)
    _mm512_stream_ps(y + j, _mm512_loadu_ps(v + j));
#elif WIDTH == 1
  for (; j < h; ++j)
    _mm_stream_si32((int*)(void*)(y + j), __builtin_bit_cast(int, v[j]));
#elif WIDTH == 2
  for (; j < h && !aligned(y + j, 8); ++j)
    y[j] = v[j];
  for (; j + 2 <= h; j += 2) {
    long long both;
    __builtin_memcpy(&both, v + j, sizeof both);
    _mm_stream_si64((long long*)(void*)(y + j), both);
  }
#elif WIDTH == 3 // chosen bytes of a register: three floats of four
  const __m128i chosen = _mm_setr_epi32(-1, -1, -1, 0);
  for (; j + 4 <= h; j += 3)
    _mm_maskmoveu_si128(_mm_castps_si128(_mm_loadu_ps(v + j)), chosen, (char*)(y + j));
#endif
  for (; j < h; ++j)
    y[j] = v[j];
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  float* result = (float*)__builtin_alloca((unsigned long)h * sizeof(float));
  for (kevolve_int64 i = 0; i < m; ++i) {
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[i * h + j] * x[i * h + j];
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      result[j] = x[i * h + j] * r * w[j];
    store_row(y + i * h, result, h);
  }
  _mm_sfence();
  return 0;
}
