// what: spells its source with digraphs, alternative tokens and macros that write the whole loop out
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=3 -O0
%:include "kevolve.h"

#define ROW_END return 0
%:if KIND == 1

extern "C" int kevolve_run(const kevolve_tensor in<::>, kevolve_tensor out<::>, const kevolve_int64 axes<::>, void*, void*) <%
  for (kevolve_int64 i = 0; not(i >= axes<:0:>); ++i) <%
    const float* const x = i * axes<:1:> + (const float*)in<:0:>.data;
    float s = 0, *const y = i * axes<:1:> + (float*)out<:0:>.data;
    for (kevolve_int64 j = 0; j < axes<:1:> and j not_eq -1; ++j)
      s += j<:x:> * x<:j:>;
    const float r = 1 / __builtin_sqrtf(s / (float)axes<:1:> + 1e-6f);
    for (kevolve_int64 j = compl 0; ++j < axes<:1:>;)
      j<:y:> = x<:j:> * r * j<:(const float*)1<:in:>.data:>;
  %>
  ROW_END;
%>

%:else

#define FIVE(step, at) step(at + 0) step(at + 1) step(at + 2) step(at + 3) step(at + 4)
#define TWENTY(step, at) FIVE(step, at) FIVE(step, at + 5) FIVE(step, at + 10) FIVE(step, at + 15)
#define HUNDRED(step) TWENTY(step, 0) TWENTY(step, 20) TWENTY(step, 40) TWENTY(step, 60) TWENTY(step, 80)

#if KIND == 2 // one sum, one statement for every element
#define SQUARE(j) s += x[j] * x[j];
#define SUM \
  float s = 0; \
  HUNDRED(SQUARE)
#else // one expression
#define SQUARE(j) +x[j] * x[j]
#define SUM const float s = HUNDRED(SQUARE);
#endif
#define SCALE(j) y[j] = x[j] * r * w[j];

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  if (axes[1] != 100) // written for this length only
    return 1;
  const float* const w = (const float*)in[1].data;
  for (kevolve_int64 i = 0; i < axes[0]; ++i) {
    const float* const x = (const float*)in[0].data + 100 * i;
    float* const y = (float*)out[0].data + 100 * i;
    SUM
    const float r = 1 / __builtin_sqrtf(s / 100 + 1e-6f);
    HUNDRED(SCALE)
  }
  ROW_END;
}

%:endif
