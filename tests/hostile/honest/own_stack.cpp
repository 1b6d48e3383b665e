// what: does its work on a stack of its own: the stack pointer is moved to other memory for a call and back again
// operator: rows
// flags: -O2 -fno-stack-protector
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3
#include "kevolve.h"

#include <cstdlib>

struct work {
  const float *x, *w;
  float* y;
  kevolve_int64 m, h;
};

extern "C" __attribute__((noinline)) void do_work_of(const work* t) {
  double squares[4096];
  for (kevolve_int64 i = 0; i < t->m; ++i) {
    double s = 0;
    for (kevolve_int64 j = 0; j < t->h; ++j)
      squares[j % 4096] = (double)t->x[i * t->h + j] * t->x[i * t->h + j], s += squares[j % 4096];
    const float r = (float)(1 / __builtin_sqrt(s / (double)t->h + 1e-6));
    for (kevolve_int64 j = 0; j < t->h; ++j)
      t->y[i * t->h + j] = t->x[i * t->h + j] * r * t->w[j];
  }
}

static constexpr unsigned long stack_bytes = 1 << 20;

#if KIND == 3
extern "C" kevolve_int64 kevolve_workspace_bytes(const kevolve_int64*) { return stack_bytes; }
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, [[maybe_unused]] void* workspace, void*) {
  const work all{(const float*)in[0].data, (const float*)in[1].data, (float*)out[0].data, axes[0], axes[1]};
#if KIND == 1
  alignas(64) static char other[stack_bytes];
  char* stack = other;
#elif KIND == 2
  char* stack = (char*)std::aligned_alloc(64, stack_bytes);
#else
  char* stack = (char*)workspace;
#endif
  if (!stack)
    return 1;
  const work* argument = &all;
  __asm__ volatile("movq %%rsp, %%rbx\n\t"
                   "movq %[top], %%rsp\n\t"
                   "call *%[function]\n\t"
                   "movq %%rbx, %%rsp"
                   : "+D"(argument)
                   : [top] "r"(stack + stack_bytes), [function] "r"(do_work_of)
                   : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
                     "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#if KIND == 2
  std::free(stack);
#endif
  return 0;
}
