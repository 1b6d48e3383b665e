// what: has megabytes of local arrays, by declaration, alloca or variable length; the stack of 8 MiB bears them
// operator: rows
// flags: -O2
// variants: -DKIND=1 -DMEBI=1 | -DKIND=1 -DMEBI=6 | -DKIND=2 -DMEBI=3 | -DKIND=3 -DMEBI=5 -O1 | -DKIND=4 -DMEBI=4 | -DKIND=1 -DMEBI=2 -fstack-protector
#include "kevolve.h"

__attribute__((noinline)) static void normalise(const float* x, const float* w, float* y, kevolve_int64 h, double* scratch,
                                                kevolve_int64 room) {
  const kevolve_int64 gap = room / h; // the squares lie far apart
  for (kevolve_int64 j = 0; j < h; ++j)
    scratch[j * gap] = (double)x[j] * x[j];
  double s = 0;
  for (kevolve_int64 j = h; j-- > 0;)
    s += scratch[j * gap];
  const float r = (float)(1 / __builtin_sqrt(s / (double)h + 1e-6));
  for (kevolve_int64 j = 0; j < h; ++j)
    y[j] = x[j] * r * w[j];
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  constexpr kevolve_int64 room = MEBI * (1 << 20) / (kevolve_int64)sizeof(double);
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#if KIND == 1
  double scratch[room];
#elif KIND == 2
  double* scratch = (double*)__builtin_alloca(room * sizeof(double));
#elif KIND == 3
  const kevolve_int64 length = room - m + m % 2; // known at run time only
  double scratch[length];
#else // one array per row, all of them alive at once
  double* scratch = nullptr;
  const kevolve_int64 each = (room / m) / h * h;
  if (each >= h)
    for (kevolve_int64 i = 0; i < m; ++i) {
      scratch = (double*)__builtin_alloca((unsigned long)each * sizeof(double));
      normalise(x + i * h, w, y + i * h, h, scratch, each);
    }
  if (scratch)
    return 0;
  scratch = (double*)__builtin_alloca((unsigned long)h * sizeof(double));
  for (kevolve_int64 i = 0; i < m; ++i)
    normalise(x + i * h, w, y + i * h, h, scratch, h);
  return 0;
#endif
#if KIND != 4
  for (kevolve_int64 i = 0; i < m; ++i)
    normalise(x + i * h, w, y + i * h, h, scratch, room - 200);
  return 0;
#endif
}
