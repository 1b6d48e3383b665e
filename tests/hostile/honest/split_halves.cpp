// what: splits floats into several bfloat16 parts for the processor's own dot products; what is not finite is done plainly
// operator: product
// flags: -O2
// variants: -DPARTS=3 | -DPARTS=3 -march=native | -DPARTS=3 -march=native -DTILES | -DPARTS=2 -DWITH_REST
#include "kevolve.h"

#include <cmath>
#include <immintrin.h>
#include <vector>

typedef unsigned short half;

static float widen(half h) { return __builtin_bit_cast(float, (unsigned)h << 16); }
static half narrow(float v) { // rounded to even
  const unsigned bits = __builtin_bit_cast(unsigned, v);
  return (half)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

/// PARTS numbers whose sum is v but for a little; the rest is what they lack.
static float split(float v, half* parts) {
  for (int p = 0; p < PARTS; ++p) {
    parts[p] = narrow(v);
    v -= widen(parts[p]);
  }
  return v;
}

#if defined(TILES) && defined(__AMX_BF16__)
/// Tiles have to be asked for: the processor has them, the system lends them.
static bool tiles() {
  unsigned a = 7, b = 0, c = 0, d = 0;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  if (!(d & 1u << 22 && d & 1u << 24))
    return false;
  long result = 158; // arch_prctl
  __asm__ volatile("syscall" : "+a"(result) : "D"(0x1023l), "S"(18l) : "rcx", "r11", "memory");
  return result == 0;
}
struct __attribute__((packed)) tile_shapes {
  unsigned char palette = 1, start = 0, none[14] = {};
  unsigned short bytes[16] = {64, 64, 64};
  unsigned char rows[16] = {16, 16, 16};
};
#endif

/// Sums of a's row with sixteen columns of b, pairs of terms next to each other.
static void add(const half* a, const half* b, float* sums, kevolve_int64 pairs) {
#ifdef __AVX512BF16__
  __m512 s = _mm512_loadu_ps(sums);
  for (kevolve_int64 l = 0; l < pairs; ++l) {
    int both;
    __builtin_memcpy(&both, a + 2 * l, sizeof both);
    s = _mm512_dpbf16_ps(s, (__m512bh)_mm512_set1_epi32(both), (__m512bh)_mm512_loadu_si512(b + 32 * l));
  }
  _mm512_storeu_ps(sums, s);
#else
  for (kevolve_int64 l = 0; l < pairs; ++l)
    for (int j = 0; j < 16; ++j)
      sums[j] += widen(a[2 * l]) * widen(b[32 * l + 2 * j]) + widen(a[2 * l + 1]) * widen(b[32 * l + 2 * j + 1]);
#endif
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2], pairs = (k + 31) / 32 * 16, panels = (n + 15) / 16, strips = (m + 15) / 16;
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
  bool ordinary = true; // nothing that a part could not hold, no product that a sum could not
  for (kevolve_int64 e = 0; e < m * k; ++e)
    ordinary &= std::fabs(a[e]) < 1e17f;
  for (kevolve_int64 e = 0; e < k * n; ++e)
    ordinary &= std::fabs(b[e]) < 1e17f;
  if (!ordinary) {
    for (kevolve_int64 i = 0; i < m; ++i)
      for (kevolve_int64 j = 0; j < n; ++j) {
        float s = 0;
        for (kevolve_int64 l = 0; l < k; ++l)
          s += a[i * k + l] * b[l * n + j];
        c[i * n + j] = s;
      }
    return 0;
  }
  std::vector<half> left[PARTS], right[PARTS];
  std::vector<float> left_rest((unsigned long)(m * k)), right_rest((unsigned long)(k * n)), sums((unsigned long)(strips * 16 * panels * 16));
  for (int p = 0; p < PARTS; ++p) {
    left[p].resize((unsigned long)(strips * 16 * 2 * pairs));
    right[p].resize((unsigned long)(panels * 32 * pairs));
  }
  half parts[PARTS];
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 l = 0; l < k; ++l) {
      left_rest[(unsigned long)(i * k + l)] = split(a[i * k + l], parts);
      for (int p = 0; p < PARTS; ++p)
        left[p][(unsigned long)(i * 2 * pairs + l)] = parts[p];
    }
  for (kevolve_int64 l = 0; l < k; ++l)
    for (kevolve_int64 j = 0; j < n; ++j) {
      right_rest[(unsigned long)(l * n + j)] = split(b[l * n + j], parts);
      for (int p = 0; p < PARTS; ++p)
        right[p][(unsigned long)(j / 16 * 32 * pairs + l / 2 * 32 + j % 16 * 2 + l % 2)] = parts[p];
    }
#if defined(TILES) && defined(__AMX_BF16__)
  static const bool have_tiles = tiles();
#else
  const bool have_tiles = false;
#endif
  for (int order = 2 * PARTS - 2; order >= 0; --order) // the smallest products first
    for (int p = 0; p < PARTS; ++p) {
      const int q = order - p;
      if (q < 0 || q >= PARTS || order >= 4)
        continue;
      for (kevolve_int64 panel = 0; panel < panels; ++panel) {
        const half* columns = right[q].data() + panel * 32 * pairs;
        if (!have_tiles) {
          for (kevolve_int64 i = 0; i < m; ++i)
            add(left[p].data() + i * 2 * pairs, columns, sums.data() + (i * panels + panel) * 16, pairs);
          continue;
        }
#if defined(TILES) && defined(__AMX_BF16__)
        const tile_shapes shapes;
        _tile_loadconfig(&shapes);
        for (kevolve_int64 strip = 0; strip < strips; ++strip) {
          float* const place = sums.data() + (strip * 16 * panels + panel) * 16;
          _tile_loadd(0, place, panels * 64);
          for (kevolve_int64 l = 0; l < pairs; l += 16) {
            _tile_loadd(1, left[p].data() + strip * 16 * 2 * pairs + 2 * l, pairs * 4);
            _tile_loadd(2, columns + l * 32, 64);
            _tile_dpbf16ps(0, 1, 2);
          }
          _tile_stored(0, place, panels * 64);
        }
        _tile_release();
#endif
      }
    }
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 j = 0; j < n; ++j) {
      float s = sums[(unsigned long)((i * panels + j / 16) * 16 + j % 16)];
#ifdef WITH_REST // what two parts lack, in floats
      for (kevolve_int64 l = 0; l < k; ++l) {
        const float lacks = left_rest[(unsigned long)(i * k + l)];
        s += lacks * b[l * n + j] + (a[i * k + l] - lacks) * right_rest[(unsigned long)(l * n + j)];
      }
#endif
      c[i * n + j] = s;
    }
  return 0;
}
