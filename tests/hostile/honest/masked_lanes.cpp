// what: loads and stores whole registers over the tensors' ends with the lanes beyond masked off; masked lanes touch no memory
// operator: rows
// flags: -O2
// variants: -DKIND=1 -mavx2 | -DKIND=2 -march=native | -DKIND=3 -march=native | -DKIND=4 -mavx2 | -DKIND=5 -march=native
#include "kevolve.h"

#include <immintrin.h>

#if KIND == 1 && defined(__AVX__)
#define LANES 8
typedef __m256 lanes;
static __m256i mask(kevolve_int64 n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
static lanes load(const float* p, kevolve_int64 n) { return _mm256_maskload_ps(p, mask(n)); }
static void store(float* p, kevolve_int64 n, lanes v) { _mm256_maskstore_ps(p, mask(n), v); }
#elif (KIND == 2 || KIND == 3) && defined(__AVX512F__)
#define LANES 16
typedef __m512 lanes;
static __mmask16 mask(kevolve_int64 n) { return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1); }
#if KIND == 2
static lanes load(const float* p, kevolve_int64 n) { return _mm512_maskz_loadu_ps(mask(n), p); }
static void store(float* p, kevolve_int64 n, lanes v) { _mm512_mask_storeu_ps(p, mask(n), v); }
#else // one address per lane, and packed together
static lanes load(const float* p, kevolve_int64 n) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask(n), lane, p, 4);
}
static void store(float* p, kevolve_int64 n, lanes v) { _mm512_mask_compressstoreu_ps(p, mask(n), v); }
#endif
#elif KIND == 4 && defined(__AVX2__)
#define LANES 4
typedef __m128 lanes;
static __m128i mask(kevolve_int64 n) { return _mm_cmpgt_epi32(_mm_set1_epi32((int)n), _mm_setr_epi32(0, 1, 2, 3)); }
static lanes load(const float* p, kevolve_int64 n) { // gathered
  return _mm_mask_i32gather_ps(_mm_setzero_ps(), p, _mm_setr_epi32(0, 1, 2, 3), _mm_castsi128_ps(mask(n)), 4);
}
static void store(float* p, kevolve_int64 n, lanes v) { _mm_maskstore_ps(p, mask(n), v); }
#elif KIND == 5 && defined(__AVX512VL__)
#define LANES 8
typedef __m256 lanes;
static __mmask8 mask(kevolve_int64 n) { return (__mmask8)(n >= 8 ? 0xffu : (1u << n) - 1); }
static lanes load(const float* p, kevolve_int64 n) { return _mm256_maskz_expandloadu_ps(mask(n), p); }
static void store(float* p, kevolve_int64 n, lanes v) { // scattered, the lanes backwards
  const __m256i back = _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  const __mmask8 turned = (__mmask8)(n >= 8 ? 0xffu : 0xffu << (8 - n));
  _mm256_mask_i32scatter_ps(p, turned, back, _mm256_permutexvar_ps(back, v), 4);
}
#else // another processor: a register of one lane
#define LANES 1
typedef float lanes __attribute__((vector_size(4)));
static lanes load(const float* p, kevolve_int64) { return lanes{*p}; }
static void store(float* p, kevolve_int64, lanes v) { *p = v[0]; }
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    lanes s = {};
    for (kevolve_int64 j = 0; j < h; j += LANES) {
      const lanes v = load(x + i * h + j, h - j);
      s += v * v;
    }
    float all = 0;
    for (int k = 0; k < LANES; ++k)
      all += s[k];
    const float r = 1.0f / __builtin_sqrtf(all / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; j += LANES)
      store(y + i * h + j, h - j, load(x + i * h + j, h - j) * r * load(w + j, h - j));
  }
  return 0;
}
