// what: one source for every standard from 1998 to the next one, each picking what it knows
// operator: rows
// flags: -O2
// variants: -std=c++98 | -std=gnu++11 | -std=c++14 | -std=c++17 | -std=gnu++20 | -std=c++23
#include "kevolve.h"

#if __cplusplus < 201103L
struct square_sum {
  double of;
  square_sum() : of(0) {}
  void operator()(float v) { of += (double)v * v; }
};
template <typename From, typename What>
static What for_all(From from, From to, What what) {
  for (; from != to; ++from)
    what(*from);
  return what;
}
static double sum(const float* x, kevolve_int64 h) { return for_all(x, x + h, square_sum()).of; }
#elif __cplusplus < 201402L
static constexpr double add(const float* x, kevolve_int64 h) {
  return h == 0 ? 0.0 : h == 1 ? (double)*x * *x : add(x, h / 2) + add(x + h / 2, h - h / 2);
}
static double sum(const float* x, kevolve_int64 h) { return add(x, h); }
#elif __cplusplus < 201703L
static double sum(const float* x, kevolve_int64 h) {
  const auto square = [](auto v) { return static_cast<double>(v) * v; };
  auto s = 0.0;
  for (auto p = x; p != x + h; ++p)
    s += square(*p);
  return s;
}
#elif __cplusplus < 202002L
template <class... Terms>
static double add(Terms... terms) {
  return (0.0 + ... + (static_cast<double>(terms) * terms));
}
static double sum(const float* x, kevolve_int64 h) {
  double s = 0;
  for (; h >= 4; h -= 4, x += 4)
    s += add(x[0], x[1], x[2], x[3]);
  for (; h > 0; --h)
    s += add(*x++);
  return s;
}
#elif __cplusplus == 202002L
template <class T>
concept number = requires(T v) { v * v; };
static double sum(const number auto* x, kevolve_int64 h) {
  double s = 0;
  for (struct { kevolve_int64 n; const float* p; } at{.n = h, .p = x}; at.n > 0; --at.n)
    s += static_cast<double>(*at.p) * *at.p, ++at.p;
  return s;
}
#else
struct squares {
  const float* x;
  double operator[](kevolve_int64 j, kevolve_int64 k) const { return static_cast<double>(x[j]) * x[k]; }
};
static double sum(const float* x, kevolve_int64 h) {
  double s = 0;
  if consteval {
    s = 1;
  } else {
    for (auto left = h; left > 0; --left)
      s += squares{x}[left - 1, left - 1];
  }
  return s;
}
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  const float *x = (const float*)in[0].data, *w = (const float*)in[1].data;
  float* y = (float*)out[0].data;
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float r = (float)(1 / __builtin_sqrt(sum(x + i * h, h) / (double)h + 1e-6));
    for (kevolve_int64 j = 0; j < h; ++j)
      y[i * h + j] = x[i * h + j] * r * w[j];
  }
  return 0;
}
