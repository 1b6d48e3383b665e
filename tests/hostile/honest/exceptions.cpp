// what: throws exceptions and catches them itself: as a way out of loops, as carriers of results, from destructors' scopes, rethrown
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 -O0 | -DKIND=5 | -DKIND=6 -fopenmp
#include "kevolve.h"

#include <stdexcept>
#include <vector>

static float factor_of(float s, kevolve_int64 h) { return 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f); }

#if KIND == 1 // a loop without end that an exception leaves, with the sum
struct total {
  float of;
};
[[noreturn]] static void add(const float* x, kevolve_int64 h) {
  float s = 0;
  for (kevolve_int64 j = 0;; ++j) {
    if (j == h)
      throw total{s};
    s += x[j] * x[j];
  }
}
static float sum(const float* x, kevolve_int64 h) {
  try {
    add(x, h);
  } catch (const total& t) {
    return t.of;
  }
}
#elif KIND == 2 // vector::at tells where the row ends
static float sum(const float* x, kevolve_int64 h) {
  const std::vector<float> copy(x, x + h);
  float s = 0;
  try {
    for (std::size_t j = 0;; ++j)
      s += copy.at(j) * copy.at(j);
  } catch (const std::out_of_range&) {
  }
  return s;
}
#elif KIND == 3 // destructors add while the stack unwinds
struct adder {
  float *to, of;
  ~adder() { *to += of * of; }
};
static void down(const float* x, kevolve_int64 h, float* s) {
  if (h == 0)
    throw 1;
  const adder a{s, x[0]};
  down(x + 1, h - 1, s);
}
static float sum(const float* x, kevolve_int64 h) {
  float s = 0;
  try {
    down(x, h, &s);
  } catch (int) {
  }
  return s;
}
#elif KIND == 4 // caught and thrown again at every level
static float sum(const float* x, kevolve_int64 h) {
  if (h == 1)
    return x[0] * x[0];
  float s = 0;
  try {
    try {
      throw sum(x, h / 2);
    } catch (float& part) {
      part += sum(x + h / 2, h - h / 2);
      throw;
    }
  } catch (float whole) {
    s = whole;
  }
  return s;
}
#elif KIND == 5 // a function whose whole body is a try block, and a hierarchy
struct finding : std::runtime_error {
  float of;
  explicit finding(float s) : std::runtime_error("the sum"), of(s) {}
};
static float sum(const float* x, kevolve_int64 h) try {
  float s = 0;
  for (kevolve_int64 j = 0; j < h; ++j)
    s += x[j] * x[j];
  throw finding(s);
} catch (const std::exception& e) {
  return dynamic_cast<const finding&>(e).of;
}
#else // inside each thread
static float sum(const float* x, kevolve_int64 h) {
  float s = 0;
  try {
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[j] * x[j];
    if (s >= 0 || !(s >= 0))
      throw std::logic_error("always");
  } catch (const std::logic_error& e) {
    s += e.what()[0] == 'a' ? 0.0f : 1.0f;
  }
  return s;
}
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
#pragma omp parallel for num_threads(3)
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = factor_of(sum(x + i * h, h), h);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
