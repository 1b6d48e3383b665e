// what: computes everything twice, in two ways, and compares; it would report a difference and never finds one
// operator: product
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3
#include "kevolve.h"

#undef NDEBUG
#include <cassert>
#include <cmath>
#include <stdexcept>

static bool alike(float a, double b, double size) { return (a != a && b != b) || a == b || std::fabs(a - b) <= 1e-4 * size || size > 3e38; }

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], k = axes[1], n = axes[2];
  const float *a = (const float*)in[0].data, *b = (const float*)in[1].data;
  float* c = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 j = 0; j < n; ++j) {
      float s = 0;
      for (kevolve_int64 l = 0; l < k; ++l)
        s += a[i * k + l] * b[l * n + j];
      c[i * n + j] = s;
    }
  for (kevolve_int64 i = 0; i < m; ++i)
    for (kevolve_int64 j = 0; j < n; ++j) {
      double s = 0, size = 1e-30;
      for (kevolve_int64 l = k; l-- > 0;) {
        s += (double)a[i * k + l] * b[l * n + j];
        size += std::fabs((double)a[i * k + l] * b[l * n + j]);
      }
#if KIND == 1
      if (!alike(c[i * n + j], s, size))
        return 1;
#elif KIND == 2
      assert(alike(c[i * n + j], s, size));
#else
      if (!alike(c[i * n + j], s, size))
        throw std::runtime_error("the two ways differ");
#endif
    }
  return 0;
}
