// Strided tensors at the oracle's precision: floating types as double, integers and booleans as int64. Views share storage and are never
// written; every operation makes new, dense storage. Storage is recycled within one interpretation (`storage_scope`). One thread each.
#pragma once

#include "protocol/dtype.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace kevolve::agent::oracle {

using extents = std::vector<std::int64_t>;

/// An operation that cannot be run as asked; thrown inside the interpreter, turned into an `error` at its boundary.
struct refusal {
  std::string message;
};
[[noreturn]] void refuse(std::string message);

template <class T>
using buffer = std::shared_ptr<std::vector<T>>;

/// Exactly one of `reals` and `integers` is set: `reals` where the type is floating.
struct tensor {
  dtype type = dtype::float32;
  extents shape;
  extents strides; // in elements
  std::int64_t offset = 0;
  buffer<double> reals;
  buffer<std::int64_t> integers;

  [[nodiscard]] bool real() const { return reals != nullptr; }
  [[nodiscard]] std::int64_t rank() const { return static_cast<std::int64_t>(shape.size()); }
  [[nodiscard]] std::int64_t count() const;
  [[nodiscard]] bool dense() const; // row-major without gaps
};

/// Keeps freed storage of this thread for reuse while it lives.
class storage_scope {
public:
  storage_scope();
  ~storage_scope();
  storage_scope(const storage_scope&) = delete;
  storage_scope& operator=(const storage_scope&) = delete;
};

std::int64_t product(const extents& shape);
extents dense_strides(const extents& shape);
std::string to_text(const extents& shape);
/// A dimension counted from the end when negative; refuses what is out of range. Rank 0 accepts 0 and -1.
std::int64_t wrap_dimension(std::int64_t dim, std::int64_t rank);

/// New dense storage, not initialised.
template <class T>
tensor make(dtype type, const extents& shape);
template <class T>
tensor make_filled(dtype type, const extents& shape, T value);

template <class T>
const T* data(const tensor& t) {
  if constexpr (std::is_same_v<T, double>)
    return t.reals->data() + t.offset;
  else
    return t.integers->data() + t.offset;
}
/// For tensors that the caller has just made.
template <class T>
T* mutable_data(tensor& t) {
  if constexpr (std::is_same_v<T, double>)
    return t.reals->data() + t.offset;
  else
    return t.integers->data() + t.offset;
}

tensor contiguous(const tensor& t);
/// The same values as reals or integers (truncating), in any storage order.
tensor as_reals(const tensor& t);
tensor as_integers(const tensor& t);
/// What PyTorch's conversion to `type` gives: reals to integers truncate, anything to bool is != 0, integers wrap to their width.
/// Between floating types it is the identity: the oracle keeps double precision.
tensor convert(const tensor& t, dtype type);
/// Wraps integers to the width of their type, in place; `t` must be freshly made.
void wrap_to_type(tensor& t);

tensor expand(const tensor& t, const extents& shape);
tensor permute(const tensor& t, const extents& order);
tensor reshape(const tensor& t, const extents& shape); // a view where the strides allow
tensor move_last(const tensor& t, std::int64_t dim);   // `dim` becomes the last
/// Undoes `move_last` on a tensor whose last dimension took the place of `dim`.
tensor move_back(const tensor& t, std::int64_t dim);
tensor narrow(const tensor& t, std::int64_t dim, std::int64_t start, std::int64_t length, std::int64_t step = 1);
tensor select(const tensor& t, std::int64_t dim, std::int64_t index);
tensor unsqueeze(const tensor& t, std::int64_t dim);
tensor squeeze(const tensor& t, std::int64_t dim);
tensor scalar(double value, dtype type = dtype::float64);
extents broadcast(const extents& a, const extents& b);
double item(const tensor& t); // of a tensor with one element
/// A dense copy that the caller may write to.
tensor copy_of(const tensor& t);
/// Writes `from`, broadcast and converted, into the part of `out` that `window` views.
void write_window(tensor& out, const tensor& window, const tensor& from);

/// Calls row(offsets, count, steps) for each innermost run of an index space, dimensions merged where all strides allow.
template <std::size_t N, class Row>
void for_rows(const extents& shape, const std::array<extents, N>& strides, Row row) {
  extents sizes;
  std::array<extents, N> steps;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 0)
      return;
    if (shape[d] == 1)
      continue;
    bool merged = !sizes.empty();
    for (std::size_t k = 0; k < N && merged; ++k)
      merged = steps[k].back() == strides[k][d] * shape[d];
    if (!merged)
      sizes.push_back(1);
    sizes.back() *= shape[d];
    for (std::size_t k = 0; k < N; ++k)
      if (merged)
        steps[k].back() = strides[k][d];
      else
        steps[k].push_back(strides[k][d]);
  }
  std::array<std::int64_t, N> at{}, inner{};
  std::int64_t count = 1;
  if (!sizes.empty()) {
    count = sizes.back();
    sizes.pop_back();
    for (std::size_t k = 0; k < N; ++k) {
      inner[k] = steps[k].back();
      steps[k].pop_back();
    }
  }
  extents index(sizes.size(), 0);
  for (;;) {
    row(at, count, inner);
    std::size_t d = sizes.size();
    while (d > 0) {
      --d;
      for (std::size_t k = 0; k < N; ++k)
        at[k] += steps[k][d];
      if (++index[d] < sizes[d])
        break;
      for (std::size_t k = 0; k < N; ++k)
        at[k] -= steps[k][d] * sizes[d];
      index[d] = 0;
      if (d == 0)
        return;
    }
    if (sizes.empty())
      return;
  }
}

/// f over the elements of `a`, densely.
template <class R, class A, class F>
tensor map(dtype type, const tensor& a, F f) {
  tensor out = make<R>(type, a.shape);
  R* to = mutable_data<R>(out);
  const A* from = data<A>(a);
  for_rows<2>(out.shape, {out.strides, a.strides}, [&](const auto& at, std::int64_t count, const auto& step) {
    R* __restrict o = to + at[0];
    const A* __restrict x = from + at[1];
    if (step[1] == 1)
      for (std::int64_t i = 0; i < count; ++i)
        o[i] = f(x[i]);
    else
      for (std::int64_t i = 0; i < count; ++i)
        o[i] = f(x[i * step[1]]);
  });
  return out;
}

/// f over broadcast pairs.
template <class R, class A, class F>
tensor map(dtype type, const tensor& a, const tensor& b, F f) {
  tensor out = make<R>(type, broadcast(a.shape, b.shape));
  tensor left = expand(a, out.shape);
  tensor right = expand(b, out.shape);
  R* to = mutable_data<R>(out);
  const A* p = data<A>(left);
  const A* q = data<A>(right);
  for_rows<3>(out.shape, {out.strides, left.strides, right.strides}, [&](const auto& at, std::int64_t count, const auto& step) {
    R* __restrict o = to + at[0];
    const A* __restrict x = p + at[1];
    const A* __restrict y = q + at[2];
    if (step[1] == 1 && step[2] == 1)
      for (std::int64_t i = 0; i < count; ++i)
        o[i] = f(x[i], y[i]);
    else if (step[1] == 1 && step[2] == 0)
      for (std::int64_t i = 0; i < count; ++i)
        o[i] = f(x[i], *y);
    else
      for (std::int64_t i = 0; i < count; ++i)
        o[i] = f(x[i * step[1]], y[i * step[2]]);
  });
  return out;
}

/// f over broadcast triples, the first of its own type (a condition).
template <class R, class C, class A, class F>
tensor map(dtype type, const tensor& c, const tensor& a, const tensor& b, F f) {
  tensor out = make<R>(type, broadcast(c.shape, broadcast(a.shape, b.shape)));
  std::array<tensor, 3> in{expand(c, out.shape), expand(a, out.shape), expand(b, out.shape)};
  R* to = mutable_data<R>(out);
  const C* u = data<C>(in[0]);
  const A* p = data<A>(in[1]);
  const A* q = data<A>(in[2]);
  for_rows<4>(out.shape, {out.strides, in[0].strides, in[1].strides, in[2].strides},
              [&](const auto& at, std::int64_t count, const auto& step) {
                for (std::int64_t i = 0; i < count; ++i)
                  to[at[0] + i] = f(u[at[1] + i * step[1]], p[at[2] + i * step[2]], q[at[3] + i * step[3]]);
              });
  return out;
}

} // namespace kevolve::agent::oracle
