// what: takes shapes, strides, ranks and types from the tensors' descriptions and ignores the axes, or checks all of them
// operator: product
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4
#include "kevolve.h"

#include <array>
#include <type_traits>

struct view {
  char* data;
  kevolve_int64 rows, columns, down, right;
  explicit view(const kevolve_tensor& t)
      : data((char*)t.data), rows(t.shape[0]), columns(t.shape[1]), down(t.strides[0] * 4), right(t.strides[1] * 4) {}
  [[nodiscard]] float& at(kevolve_int64 i, kevolve_int64 j) const { return *(float*)(data + i * down + j * right); }
  /// Rows and columns exchanged: the same memory.
  [[nodiscard]] view turned() const {
    view v = *this;
    v.rows = columns, v.columns = rows, v.down = right, v.right = down;
    return v;
  }
  /// Last row first: strides may be negative.
  [[nodiscard]] view upside_down() const {
    view v = *this;
    v.data += (rows - 1) * down;
    v.down = -down;
    return v;
  }
};

static void multiply(const view& a, const view& b, const view& c) {
  for (kevolve_int64 i = 0; i < c.rows; ++i)
    for (kevolve_int64 j = 0; j < c.columns; ++j) {
      double s = 0;
      for (kevolve_int64 l = 0; l < a.columns; ++l)
        s += (double)a.at(i, l) * b.at(l, j);
      c.at(i, j) = (float)s;
    }
}

#if KIND == 3 // any rank: a counter with as many digits
template <class F>
static void each_index(const kevolve_tensor& t, F what) {
  std::array<kevolve_int64, 64> at{};
  for (;;) {
    what(at);
    int d = t.rank - 1;
    while (d >= 0 && ++at[(unsigned)d] == t.shape[d])
      at[(unsigned)d--] = 0;
    if (d < 0)
      return;
  }
}
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, [[maybe_unused]] const kevolve_int64* axes, void*, void*) {
  const view a(in[0]), b(in[1]), c(out[0]);
#if KIND == 1 // the transposed product of the transposed factors
  multiply(b.turned(), a.turned(), c.turned());
#elif KIND == 2
  multiply(a.upside_down(), b, c.upside_down());
#elif KIND == 3
  each_index(out[0], [&](const auto& at) {
    double s = 0;
    for (kevolve_int64 l = 0; l < a.columns; ++l)
      s += (double)a.at(at[0], l) * b.at(l, at[1]);
    c.at(at[0], at[1]) = (float)s;
  });
#else // everything that the header says is checked first
  for (const kevolve_tensor* t : {&in[0], &in[1], (const kevolve_tensor*)&out[0]}) {
    if (t->rank != 2 || t->dtype != KEVOLVE_FLOAT32 || (unsigned long)t->data % 64 || t->strides[1] != 1 || t->strides[0] != t->shape[1])
      return 2;
  }
  if (a.rows != axes[0] || a.columns != axes[1] || b.rows != axes[1] || b.columns != axes[2] || c.rows != axes[0] || c.columns != axes[2])
    return 3;
  multiply(a, b, c);
#endif
  return 0;
}
