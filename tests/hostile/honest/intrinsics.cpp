// what: the instruction sets' own approximations of reciprocal roots, refined by a Newton step, with an infinite sum taken care of
// operator: rows
// flags: -O2
// variants: -DKIND=1 -msse3 | -DKIND=2 -mavx2 -mfma | -DKIND=3 -march=native | -DKIND=4 -march=native | -DKIND=5 -msse4.1 | -DKIND=6 -mavx2 -mfma
#include "kevolve.h"

#include <immintrin.h>

[[maybe_unused]] static float plain_factor(float v) { return 1 / __builtin_sqrtf(v); }

#if KIND == 1
static float sum(const float* x, kevolve_int64 h) {
  __m128 s = _mm_setzero_ps();
  kevolve_int64 j = 0;
  for (; j + 4 <= h; j += 4)
    s = _mm_add_ps(s, _mm_mul_ps(_mm_loadu_ps(x + j), _mm_loadu_ps(x + j)));
  s = _mm_hadd_ps(s, s);
  s = _mm_hadd_ps(s, s);
  for (; j < h; ++j)
    s = _mm_add_ss(s, _mm_mul_ss(_mm_load_ss(x + j), _mm_load_ss(x + j)));
  return _mm_cvtss_f32(s);
}
static float inverse_root(float v) {
  const float r = _mm_cvtss_f32(_mm_rsqrt_ss(_mm_set_ss(v)));
  const float better = r * (1.5f - 0.5f * v * r * r);
  return v < 1e37f ? better : plain_factor(v);
}
#elif KIND == 5
static float sum(const float* x, kevolve_int64 h) {
  float s = 0;
  kevolve_int64 j = 0;
  for (; j + 4 <= h; j += 4) // the instruction that multiplies and adds across
    s += _mm_cvtss_f32(_mm_dp_ps(_mm_loadu_ps(x + j), _mm_loadu_ps(x + j), 0xf1));
  for (; j < h; ++j)
    s += x[j] * x[j];
  return s;
}
static float inverse_root(float v) {
  const __m128 root = _mm_sqrt_ss(_mm_set_ss(v));
  return _mm_cvtss_f32(_mm_div_ss(_mm_set_ss(1), root));
}
#elif KIND == 2 || KIND == 6
static float sum(const float* x, kevolve_int64 h) {
  __m256 s[4] = {};
  kevolve_int64 j = 0;
  for (; j + 32 <= h; j += 32)
    for (int k = 0; k < 4; ++k)
      s[k] = _mm256_fmadd_ps(_mm256_loadu_ps(x + j + 8 * k), _mm256_loadu_ps(x + j + 8 * k), s[k]);
  s[0] = _mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3]));
  __m128 t = _mm_add_ps(_mm256_castps256_ps128(s[0]), _mm256_extractf128_ps(s[0], 1));
  t = _mm_add_ps(t, _mm_movehl_ps(t, t));
  t = _mm_add_ss(t, _mm_movehdup_ps(t));
  float rest = _mm_cvtss_f32(t);
  for (; j < h; ++j)
    rest += x[j] * x[j];
  return rest;
}
#if KIND == 2
static float inverse_root(float v) {
  const __m128 r = _mm_rsqrt_ss(_mm_set_ss(v)), half = _mm_set_ss(0.5f * v), three_halves = _mm_set_ss(1.5f);
  const __m128 better = _mm_mul_ss(r, _mm_fnmadd_ss(_mm_mul_ss(half, r), r, three_halves));
  return v < 1e37f ? _mm_cvtss_f32(better) : plain_factor(v);
}
#else // the reciprocal's approximation instead, of a true root
static float inverse_root(float v) {
  const float root = __builtin_sqrtf(v), r = _mm_cvtss_f32(_mm_rcp_ss(_mm_set_ss(root)));
  return v < 1e37f ? r * (2 - root * r) : plain_factor(v);
}
#endif
#elif defined(__AVX512F__)
static float sum(const float* x, kevolve_int64 h) {
  __m512 s = _mm512_setzero_ps();
  kevolve_int64 j = 0;
  for (; j + 16 <= h; j += 16)
    s = _mm512_fmadd_ps(_mm512_loadu_ps(x + j), _mm512_loadu_ps(x + j), s);
  float rest = _mm512_reduce_add_ps(s);
  for (; j < h; ++j)
    rest += x[j] * x[j];
  return rest;
}
#if KIND == 3
static float inverse_root(float v) {
  const float r = _mm_cvtss_f32(_mm512_castps512_ps128(_mm512_rsqrt14_ps(_mm512_set1_ps(v))));
  return v < 1e37f ? r * (1.5f - 0.5f * v * r * r) : plain_factor(v);
}
#else // rounded upwards by the instruction itself, and the exponent taken apart by others
static float inverse_root(float v) {
  if (!(v < 1e37f))
    return plain_factor(v);
  const __m512 all = _mm512_set1_ps(v), exponent = _mm512_getexp_ps(all), fraction = _mm512_getmant_ps(all, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
  const __m512 root = _mm512_sqrt_round_ps(fraction, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
  const __m512 half = _mm512_roundscale_ps(_mm512_mul_ps(exponent, _mm512_set1_ps(-0.5f)), _MM_FROUND_TO_NEG_INF);
  const float odd = _mm_cvtss_f32(_mm512_castps512_ps128(_mm512_fmadd_ps(half, _mm512_set1_ps(2), exponent))) == 0 ? 1.0f : 0.5f;
  const __m512 r = _mm512_scalef_ps(_mm512_div_ps(_mm512_set1_ps(1), root), half);
  return _mm_cvtss_f32(_mm512_castps512_ps128(r)) * (odd == 1 ? 1.0f : 1.41421356f);
}
#endif
#else // another processor
static float sum(const float* x, kevolve_int64 h) {
  float s = 0;
  for (kevolve_int64 j = 0; j < h; ++j)
    s += x[j] * x[j];
  return s;
}
static float inverse_root(float v) { return plain_factor(v); }
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = inverse_root(sum(x + i * h, h) / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
