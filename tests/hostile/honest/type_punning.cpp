// what: reads and writes floats as other types, by unions, placement new, packed structures and bit casts, as compilers allow
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6 -fno-strict-aliasing
#include "kevolve.h"

#include <bit>
#include <cstring>
#include <new>

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float *x = (const float*)in[0].data + i * h, *w = (const float*)in[1].data;
    float* y = (float*)out[0].data + i * h;
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[j] * x[j];
    float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
#if KIND == 1 // halves of a double
    union {
      double whole;
      float half[2];
    } both;
    kevolve_int64 j = 0;
    for (; j + 2 <= h; j += 2) {
      both.half[0] = x[j] * r * w[j];
      both.half[1] = x[j + 1] * r * w[j + 1];
      std::memcpy(y + j, &both.whole, sizeof both.whole);
    }
    for (; j < h; ++j)
      y[j] = x[j] * r * w[j];
#elif KIND == 2 // new objects in the output's memory
    for (kevolve_int64 j = 0; j < h; ++j)
      new (y + j) float(x[j] * r * w[j]);
#elif KIND == 3 // a row as an object
    struct hundred {
      float of[100];
    };
    if (h != 100)
      return 1;
    hundred* const made = new (y) hundred;
    for (kevolve_int64 j = 0; j < h; ++j)
      std::launder(made)->of[j] = x[j] * r * w[j];
#elif KIND == 4 // the factor's exponent added to the bits of the result, where both are ordinary numbers
    const unsigned bits = std::bit_cast<unsigned>(r);
    const int exponent = (int)(bits >> 23 & 255) - 127;
    const bool ordinary = exponent > -60 && exponent < 60;
    if (ordinary)
      r = std::bit_cast<float>((bits & 0x807fffffu) | 127u << 23);
    for (kevolve_int64 j = 0; j < h; ++j) {
      const float v = x[j] * r * w[j];
      const unsigned found = std::bit_cast<unsigned>(v), e = found >> 23 & 255;
      if (!ordinary)
        y[j] = v;
      else if (e > 64 && e < 190)
        y[j] = std::bit_cast<float>(found + (unsigned)exponent * (1u << 23));
      else
        y[j] = v * std::bit_cast<float>((unsigned)(exponent + 127) << 23);
    }
#elif KIND == 5 // fields that are not aligned
    struct __attribute__((packed)) record {
      char tag;
      float value;
      short rest;
    } records[3];
    for (kevolve_int64 j = 0; j < h; ++j) {
      records[j % 3].value = x[j] * r * w[j];
      records[j % 3].tag = (char)j;
      y[j] = records[j % 3].value;
    }
#else // integers, plainly, under -fno-strict-aliasing
    for (kevolve_int64 j = 0; j < h; ++j) {
      const float v = x[j] * r * w[j];
      *(int*)(y + j) = *(const int*)&v;
    }
#endif
  }
  return 0;
}
