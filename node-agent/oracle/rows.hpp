// Reductions and everything else that works along dimensions, in one canonical form: the dimensions in question moved last and merged, so
// that the work is on dense rows.
#pragma once

#include "node-agent/oracle/call.hpp"

#include <cmath>

namespace kevolve::agent::oracle {

struct row_form {
  tensor dense;            // [rows, width], dense
  std::int64_t rows = 1;
  std::int64_t width = 1;
  extents kept;            // shape after the reduction
};

/// `dims` empty: all of them.
row_form rows_along(const tensor& x, extents dims, bool keep);

/// One result per row.
template <class R, class A, class F>
tensor reduce(dtype type, const row_form& form, F f) {
  tensor out = make<R>(type, form.kept);
  const A* x = data<A>(form.dense);
  R* to = mutable_data<R>(out);
  for (std::int64_t r = 0; r < form.rows; ++r)
    to[r] = f(x + r * form.width, form.width);
  return out;
}

/// f(row in, row out, width) along `dim`; the result has x's shape (as a view where `dim` is not the last).
template <class R, class A, class F>
tensor along(dtype type, const tensor& x, std::int64_t dim, F f) {
  tensor moved = contiguous(move_last(x, dim));
  auto width = x.rank() ? x.shape[static_cast<std::size_t>(dim)] : 1;
  tensor out = make<R>(type, moved.shape);
  auto rows = width ? moved.count() / width : 0;
  for (std::int64_t r = 0; r < rows; ++r)
    f(data<A>(moved) + r * width, mutable_data<R>(out) + r * width, width);
  return move_back(out, dim);
}

/// Sum with eight partial sums (vectorisable; also closer to the exact value than one running sum).
template <class F>
double sum_of(const double* x, std::int64_t n, F f) {
  double part[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; ++k)
      part[k] += f(x[i + k]);
  for (; i < n; ++i)
    part[i % 8] += f(x[i]);
  return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}
inline double sum_of(const double* x, std::int64_t n) {
  return sum_of(x, n, [](double v) { return v; });
}

/// The largest, or NaN where there is one; -inf for nothing.
inline double largest_of(const double* x, std::int64_t n) {
  double best = -HUGE_VAL, poison = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    best = x[i] > best ? x[i] : best;
    poison = x[i] != x[i] ? x[i] : poison;
  }
  return poison != poison ? poison : best;
}

struct moments {
  double mean;
  double squares; // sum of squared deviations
};
inline moments moments_of(const double* x, std::int64_t n) {
  double mean = sum_of(x, n) / static_cast<double>(n);
  return {mean, sum_of(x, n, [=](double v) { return (v - mean) * (v - mean); })};
}

} // namespace kevolve::agent::oracle
