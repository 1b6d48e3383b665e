// what: a state machine of jumps instead of loops: goto, labels in a table, a switch into the middle of a loop
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=2 -O0
#include "kevolve.h"

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  kevolve_int64 i = 0, j = 0;
  float s = 0, r = 0;
#if KIND == 1
next_row:
  if (i == m)
    return 0;
  s = 0;
  j = 0;
next_square:
  s += x[i * h + j] * x[i * h + j];
  if (++j < h)
    goto next_square;
  r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
next_result:
  --j;
  y[i * h + j] = x[i * h + j] * r * w[j];
  if (j > 0)
    goto next_result;
  ++i;
  goto next_row;
#elif KIND == 2 // a program of its own, interpreted through addresses of labels
  static const void* const steps[] = {&&begin, &&square, &&repeat, &&root, &&result, &&repeat, &&row, &&end};
  unsigned at = 0;
  goto* steps[at];
begin:
  s = 0;
  j = 0;
  goto* steps[++at];
square:
  s += x[i * h + j] * x[i * h + j];
  goto* steps[++at];
repeat:
  if (++j < h)
    goto* steps[--at];
  j = 0;
  goto* steps[++at];
root:
  r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
  goto* steps[++at];
result:
  y[i * h + j] = x[i * h + j] * r * w[j];
  goto* steps[++at];
row:
  at = ++i < m ? 0 : at + 1;
  goto* steps[at];
end:
  return 0;
#elif KIND == 3 // Duff's device
  for (; i < m; ++i) {
    const float* p = x + i * h;
    s = 0;
    j = (h + 7) / 8;
    switch (h % 8) {
      case 0:
        do {
          s += *p * *p, ++p;
          [[fallthrough]];
          case 7: s += *p * *p, ++p; [[fallthrough]];
          case 6: s += *p * *p, ++p; [[fallthrough]];
          case 5: s += *p * *p, ++p; [[fallthrough]];
          case 4: s += *p * *p, ++p; [[fallthrough]];
          case 3: s += *p * *p, ++p; [[fallthrough]];
          case 2: s += *p * *p, ++p; [[fallthrough]];
          case 1: s += *p * *p, ++p;
        } while (--j > 0);
    }
    r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
#else // one loop, and a switch that says what to do in it
  enum { squares, root, results, leave } state = squares;
  while (state != leave)
    switch (state) {
      case squares:
        s += x[i * h + j] * x[i * h + j];
        state = ++j < h ? squares : root;
        break;
      case root:
        r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
        j = 0;
        state = results;
        break;
      case results:
        y[i * h + j] = x[i * h + j] * r * w[j];
        if (++j < h)
          break;
        j = 0;
        s = 0;
        state = ++i < m ? squares : leave;
        break;
      case leave: break;
    }
  return 0;
#endif
}
