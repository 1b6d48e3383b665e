// what: makes tables of constants in its first call and keeps them in statics inside functions, some of which have destructors
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 -fopenmp | -DKIND=5
#include "kevolve.h"

#include <array>
#include <cmath>
#include <vector>

/// Reciprocal roots of 1 to 4, found by the upper bits of a number; a Newton step or two does the rest.
static double seed_of(unsigned index) { return 1 / std::sqrt(1 + (index + 0.5) * 3 / 256); }

#if KIND == 1
static const double* table() {
  static const std::array<double, 256> made = [] {
    std::array<double, 256> t;
    for (unsigned i = 0; i < 256; ++i)
      t[i] = seed_of(i);
    return t;
  }();
  return made.data();
}
#elif KIND == 2 // has a destructor that runs at the end of the process
static const double* table() {
  static const std::vector<double> made = [] {
    std::vector<double> t;
    for (unsigned i = 0; i < 256; ++i)
      t.push_back(seed_of(i));
    return t;
  }();
  return made.data();
}
#elif KIND == 3 // without the compiler's guard
static const double* table() {
  static double made[256];
  static bool ready = false;
  for (unsigned i = 0; !ready && i < 256; ++i)
    made[i] = seed_of(i);
  ready = true;
  return made;
}
#elif KIND == 4 // several threads ask at the same time
static const double* table() {
  static double* const made = [] {
    double* t = new double[256];
#pragma omp parallel for num_threads(3)
    for (unsigned i = 0; i < 256; ++i)
      t[i] = seed_of(i);
    return t;
  }();
  return made;
}
#else // filled as entries are needed
static const double* table_with(unsigned index) {
  static double made[256];
  if (made[index] == 0)
    made[index] = seed_of(index);
  return made;
}
#endif

static float inverse_root(float v) {
  if (!(v < 1e37f)) // Inf and NaN as the library has them
    return 1 / std::sqrt(v);
  int exponent = 0;
  double f = std::frexp((double)v, &exponent) * 2; // 1 to 2
  exponent -= 1;
  if (exponent & 1) {
    f *= 2;
    exponent -= 1;
  }
  const unsigned index = (unsigned)((f - 1) / 3 * 256) & 255u;
#if KIND == 5
  double r = table_with(index)[index];
#else
  double r = table()[index];
#endif
  for (int step = 0; step < 3; ++step)
    r *= 1.5 - 0.5 * f * r * r;
  return (float)std::ldexp(r, -exponent / 2);
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#if KIND == 4
#pragma omp parallel for num_threads(4)
#endif
  for (kevolve_int64 i = 0; i < m; ++i) {
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[i * h + j] * x[i * h + j];
    const float r = inverse_root(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
