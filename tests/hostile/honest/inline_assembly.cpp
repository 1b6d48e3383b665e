// what: assembly in the source for sums, roots and copies, and instructions that only look at the processor
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6 | -DKIND=7 | -DKIND=8 -mavx2 -mfma | -DKIND=9
#include "kevolve.h"

static float plain_sum(const float* x, kevolve_int64 h) {
  float s = 0;
  for (kevolve_int64 j = 0; j < h; ++j)
    s += x[j] * x[j];
  return s;
}

#if KIND == 7 // a function of its own in assembly, beside the compiler's
extern "C" float kernel_sum_of_squares(const float* x, kevolve_int64 h);
__asm__(".text\n"
        ".p2align 4\n"
        ".type kernel_sum_of_squares, @function\n"
        "kernel_sum_of_squares:\n"
        "  xorps %xmm0, %xmm0\n"
        "1:\n"
        "  movss (%rdi), %xmm1\n"
        "  mulss %xmm1, %xmm1\n"
        "  addss %xmm1, %xmm0\n"
        "  addq $4, %rdi\n"
        "  decq %rsi\n"
        "  jnz 1b\n"
        "  ret\n"
        ".size kernel_sum_of_squares, . - kernel_sum_of_squares\n");
#endif

static float factor_of(const float* x, kevolve_int64 h) {
#if KIND == 1 // the old stack of registers
  const float n = (float)h, small = 1e-6f;
  float r;
  __asm__("fldz\n"
          "1: flds (%[p])\n"
          "fmul %%st(0)\n"
          "faddp\n"
          "add $4, %[p]\n"
          "dec %[n]\n"
          "jnz 1b\n"
          "fdivs %[count]\n"
          "fadds %[small]\n"
          "fsqrt\n"
          "fld1\n"
          "fdivp\n"
          "fstps %[r]\n"
          : [r] "=m"(r), [p] "+r"(x), [n] "+r"(h)
          : [count] "m"(n), [small] "m"(small)
          : "memory", "cc", "st", "st(1)", "st(2)");
  return r;
#elif KIND == 2 // the processor asked what it is, and nothing made of it
  unsigned a = 0, b = 0, c = 0, d = 0;
  static bool asked = false;
  if (!asked)
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  asked = true;
#elif KIND == 3 // the cycle counter before and after
  unsigned low, high, processor;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  const float s = plain_sum(x, h);
  __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(processor));
  return 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
#elif KIND == 4 // a square root in assembly
  float v = plain_sum(x, h) / (float)h + 1e-6f, r;
  __asm__("sqrtss %1, %0" : "=x"(r) : "x"(v));
  return 1 / r;
#elif KIND == 5 // which features the system has enabled
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if (low == 0)
    return 0;
#elif KIND == 7
  return 1.0f / __builtin_sqrtf(kernel_sum_of_squares(x, h) / (float)h + 1e-6f);
#elif KIND == 8 && defined(__FMA__)
  float s = 0;
  for (kevolve_int64 j = 0; j < h; ++j)
    __asm__("vfmadd231ss %1, %1, %0" : "+x"(s) : "x"(x[j]));
  return 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
#elif KIND == 9 // a pause in every loop
  float s = 0;
  for (kevolve_int64 j = 0; j < h; ++j) {
    __asm__ volatile("pause");
    s += x[j] * x[j];
  }
  return 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
#endif
  return 1.0f / __builtin_sqrtf(plain_sum(x, h) / (float)h + 1e-6f);
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#if KIND == 6 // string instructions: the input copied, then scaled in place
  void* to = y;
  const void* from = x;
  kevolve_int64 words = m * h;
  __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
#endif
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = factor_of(x + i * h, h);
    for (kevolve_int64 j = 0; j < h; ++j)
#if KIND == 6
      y[i * h + j] *= r * w[j];
#else
      y[i * h + j] = x[i * h + j] * r * w[j];
#endif
  }
  return 0;
}
