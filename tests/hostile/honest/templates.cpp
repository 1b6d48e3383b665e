// what: loops unrolled by templates: fold expressions, recursion of types, expression templates; other lengths take a plain loop
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=1 -O0 | -DKIND=2 -O3 -march=native
#include "kevolve.h"

#include <cmath>
#include <utility>

static constexpr std::size_t usual = 100;

#if KIND == 1 // fold expressions
template <std::size_t... J>
static void row(const float* x, const float* w, float* y, std::index_sequence<J...>) {
  const float s = ((x[J] * x[J]) + ...);
  const float r = 1 / std::sqrt(s / (float)sizeof...(J) + 1e-6f);
  ((y[J] = x[J] * r * w[J]), ...);
}
static void usual_row(const float* x, const float* w, float* y) { row(x, w, y, std::make_index_sequence<usual>()); }
#elif KIND == 2 // halves of halves as types
template <std::size_t From, std::size_t Count>
struct range {
  static float sum(const float* x) {
    if constexpr (Count == 1)
      return x[From] * x[From];
    else
      return range<From, Count / 2>::sum(x) + range<From + Count / 2, Count - Count / 2>::sum(x);
  }
  static void scale(const float* x, const float* w, float* y, float r) {
    if constexpr (Count == 1) {
      y[From] = x[From] * r * w[From];
    } else {
      range<From, Count / 2>::scale(x, w, y, r);
      range<From + Count / 2, Count - Count / 2>::scale(x, w, y, r);
    }
  }
};
static void usual_row(const float* x, const float* w, float* y) {
  using all = range<0, usual>;
  all::scale(x, w, y, 1 / std::sqrt(all::sum(x) / (float)usual + 1e-6f));
}
#elif KIND == 3 // expressions as types
template <class A, class B>
struct product {
  A a;
  B b;
  float operator[](std::size_t j) const { return a[j] * b[j]; }
};
struct constant {
  float c;
  float operator[](std::size_t) const { return c; }
};
struct view {
  const float* p;
  float operator[](std::size_t j) const { return p[j]; }
};
template <class A, class B>
static product<A, B> operator*(A a, B b) {
  return {a, b};
}
template <class E>
static float sum(E e) {
  float s = 0;
  for (std::size_t j = 0; j < usual; ++j)
    s += e[j];
  return s;
}
static void usual_row(const float* x, const float* w, float* y) {
  const auto e = view{x} * constant{1 / std::sqrt(sum(view{x} * view{x}) / (float)usual + 1e-6f)} * view{w};
  for (std::size_t j = 0; j < usual; ++j)
    y[j] = e[j];
}
#else // a chain of lambdas, each within the one before
template <std::size_t J, class F>
static float chain(const float* x, F before) {
  const auto here = [=](float s) { return before(s) + x[J] * x[J]; };
  if constexpr (J + 1 < 5)
    return chain<J + 1>(x, here);
  else
    return here(0);
}
static void usual_row(const float* x, const float* w, float* y) {
  float s = 0;
  for (std::size_t j = 0; j < usual; j += 5)
    s = chain<0>(x + j, [s](float v) { return v + s; });
  const float r = 1 / std::sqrt(s / (float)usual + 1e-6f);
  for (std::size_t j = 0; j < usual; ++j)
    y[j] = x[j] * r * w[j];
}
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    if (h == (kevolve_int64)usual) {
      usual_row(x + i * h, w, y + i * h);
      continue;
    }
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[i * h + j] * x[i * h + j];
    const float r = 1 / std::sqrt(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
