// what: calls its inner loops through pointers, tables, virtual functions, members and type-erased lambdas
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 -O1 | -DKIND=6 | -DKIND=7 -fno-rtti | -DKIND=8
#include "kevolve.h"

#include <functional>
#include <memory>
#include <vector>

static float sum(const float* x, kevolve_int64 h) {
  float s = 0;
  for (kevolve_int64 j = 0; j < h; ++j)
    s += x[j] * x[j];
  return s;
}
static float factor_of(float s, kevolve_int64 h) { return 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f); }

struct state {
  const float *x, *w;
  float *y, s, r;
  kevolve_int64 h;
  void square() { s = sum(x, h); }
  void root() { r = factor_of(s, h); }
  void scale() {
    for (kevolve_int64 j = 0; j < h; ++j)
      y[j] = x[j] * r * w[j];
  }
};

#if KIND == 1 // a table of functions
static void square(state* t) { t->square(); }
static void root(state* t) { t->root(); }
static void scale(state* t) { t->scale(); }
static void (*const steps[])(state*) = {square, root, scale};
static void row(state& t) {
  for (const auto& step : steps)
    step(&t);
}
#elif KIND == 2 // pointers to members
static void row(state& t) {
  static constexpr void (state::*steps[])() = {&state::square, &state::root, &state::scale};
  for (const auto step : steps)
    (t.*step)();
}
#elif KIND == 3 // virtual functions of objects on the heap
struct step {
  virtual ~step() = default;
  virtual void take(state& t) const = 0;
};
struct square final : step {
  void take(state& t) const override { t.square(); }
};
struct root final : step {
  void take(state& t) const override { t.root(); }
};
struct scale final : step {
  void take(state& t) const override { t.scale(); }
};
static void row(state& t) {
  std::vector<std::unique_ptr<step>> steps;
  steps.push_back(std::make_unique<square>());
  steps.push_back(std::make_unique<root>());
  steps.push_back(std::make_unique<scale>());
  for (const auto& each : steps)
    each->take(t);
}
#elif KIND == 4 // std::function with captures
static void row(state& t) {
  std::vector<std::function<void()>> steps;
  steps.emplace_back([&t] { t.square(); });
  steps.emplace_back([&t] { t.root(); });
  steps.emplace_back([copy = &t, many = std::vector<float>(t.w, t.w + t.h)] {
    for (kevolve_int64 j = 0; j < copy->h; ++j)
      copy->y[j] = copy->x[j] * copy->r * many[(std::size_t)j];
  });
  for (const auto& each : steps)
    each();
}
#elif KIND == 5 // each step says what the next one is
struct next {
  next (*go)(state&);
};
static next done(state&) { return {nullptr}; }
static next scale(state& t) { return t.scale(), next{done}; }
static next root(state& t) { return t.root(), next{scale}; }
static next square(state& t) { return t.square(), next{root}; }
static void row(state& t) {
  for (next n{square}; n.go;)
    n = n.go(t);
}
#elif KIND == 6 // a virtual base, two ways to it, and a cast between them
struct holder {
  state* t = nullptr;
  virtual ~holder() = default;
};
struct sums : virtual holder {
  virtual void first() { t->square(); }
};
struct scales : virtual holder {
  virtual void second() { t->root(), t->scale(); }
};
struct both : sums, scales {};
static void row(state& t) {
  both b;
  b.t = &t;
  holder* h = &b;
  dynamic_cast<sums*>(h)->first();
  dynamic_cast<scales*>(h)->second();
}
#elif KIND == 7 // a base that knows its heir
template <class Heir>
struct recipe {
  void cook(state& t) { static_cast<Heir*>(this)->one(t), static_cast<Heir*>(this)->two(t); }
};
struct mine : recipe<mine> {
  void one(state& t) { t.square(), t.root(); }
  void two(state& t) { t.scale(); }
};
static void row(state& t) { mine().cook(t); }
#else // another calling convention
__attribute__((ms_abi, noinline)) static float foreign_sum(const float* x, kevolve_int64 h) { return sum(x, h); }
static void row(state& t) {
  float (*volatile call)(const float*, kevolve_int64) __attribute__((ms_abi)) = foreign_sum;
  t.s = call(t.x, t.h);
  t.root();
  t.scale();
}
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  for (kevolve_int64 i = 0; i < m; ++i) {
    state t{(const float*)in[0].data + i * h, (const float*)in[1].data, (float*)out[0].data + i * h, 0, 0, h};
    row(t);
  }
  return 0;
}
