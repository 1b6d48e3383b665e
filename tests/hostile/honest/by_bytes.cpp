// what: stores its results by single bytes, by words, by memcpy or through volatile pointers; all of these may alias floats as used here
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6 -O1 | -DKIND=7 -O3
#include "kevolve.h"

static void store(float* to, float value) {
#if KIND == 1 // bytes, the lowest first
  unsigned bits = __builtin_bit_cast(unsigned, value);
  for (unsigned char* p = (unsigned char*)to; p != (unsigned char*)(to + 1); bits >>= 8)
    *p++ = (unsigned char)bits;
#elif KIND == 2 // bytes that the compiler may not join
  volatile unsigned char* p = (unsigned char*)to;
  const unsigned char* from = (const unsigned char*)&value;
  for (int k = 3; k >= 0; --k)
    p[k] = from[k];
#elif KIND == 3
  *(volatile float*)to = value;
#elif KIND == 4 // halves
  typedef unsigned short __attribute__((may_alias)) half_word;
  half_word* p = (half_word*)to;
  const unsigned bits = __builtin_bit_cast(unsigned, value);
  p[1] = (half_word)(bits >> 16);
  p[0] = (half_word)bits;
#elif KIND == 5
  __builtin_memmove(to, &value, sizeof value);
#elif KIND == 6 // bit by bit over what was there
  typedef unsigned __attribute__((may_alias)) word;
  volatile word* p = (word*)to;
  const unsigned bits = __builtin_bit_cast(unsigned, value);
  for (int k = 0; k < 32; ++k)
    *p = (*p & ~(1u << k)) | (bits & 1u << k);
#else // atomically
  typedef unsigned __attribute__((may_alias)) word;
  __atomic_store_n((word*)to, __builtin_bit_cast(unsigned, value), __ATOMIC_SEQ_CST);
#endif
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float* w = (const float*)in[1].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float* x = (const float*)in[0].data + i * h;
    float* y = (float*)out[0].data + i * h;
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[j] * x[j];
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      store(y + j, x[j] * r * w[j]);
  }
  return 0;
}
