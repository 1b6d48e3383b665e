// Scans and orderings along one dimension. Sorting is stable, NaN counts as the largest, and of equals the first comes first.
#include "node-agent/oracle/rows.hpp"

#include <algorithm>
#include <numeric>

namespace kevolve::agent::oracle {
namespace {

using integer = std::int64_t;

template <auto Step>
results scan(const call& c) {
  tensor x = c.value("self");
  auto dim = wrap_dimension(c.integer("dim"), x.rank());
  auto type = c.result_type();
  auto run = []<class T>(const T* in, T* out, integer n) {
    for (integer i = 0; i < n; ++i)
      out[i] = i ? Step(out[i - 1], in[i]) : in[i];
  };
  if (is_floating(type))
    return {along<double, double>(type, as_reals(x), dim, [&](const double* in, double* out, integer n) { run(in, out, n); })};
  return {along<integer, integer>(type, as_integers(x), dim, [&](const integer* in, integer* out, integer n) { run(in, out, n); })};
}

/// Running extremum with its place; later equals take over, NaN stays.
template <bool Largest>
results running_extremum(const call& c) {
  tensor x = c.value("self");
  auto dim = wrap_dimension(c.integer("dim"), x.rank());
  auto run = [&]<class T>(T) -> results {
    auto places = along<integer, T>(dtype::int64, x, dim, [](const T* in, integer* out, integer n) {
      integer best = 0;
      for (integer i = 0; i < n; ++i) {
        bool takes = in[i] != in[i] || (!(in[best] != in[best]) && (Largest ? in[i] >= in[best] : in[i] <= in[best]));
        out[i] = best = takes ? i : best;
      }
    });
    auto values = along<T, T>(x.type, x, dim, [](const T* in, T* out, integer n) {
      integer best = 0;
      for (integer i = 0; i < n; ++i) {
        bool takes = in[i] != in[i] || (!(in[best] != in[best]) && (Largest ? in[i] >= in[best] : in[i] <= in[best]));
        best = takes ? i : best;
        out[i] = in[best];
      }
    });
    return {values, places};
  };
  return x.real() ? run(double{}) : run(integer{});
}

results log_cumulative(const call& c) {
  tensor x = as_reals(c.value("self"));
  return {along<double, double>(c.result_type(), x, wrap_dimension(c.integer("dim"), x.rank()), [](const double* in, double* out, integer n) {
    double top = -HUGE_VAL, sum = 0; // of exp(x - top)
    for (integer i = 0; i < n; ++i) {
      if (in[i] != in[i] || top != top) {
        top = NAN;
      } else if (in[i] > top) {
        sum = sum * std::exp(top - in[i]) + 1;
        top = in[i];
      } else if (top != -HUGE_VAL) {
        sum += in[i] == top ? 1 : std::exp(in[i] - top);
      }
      out[i] = top == -HUGE_VAL || std::isinf(top) ? top : top + std::log(sum);
    }
  })};
}

template <class T>
std::vector<integer> order_of(const T* x, integer n, bool descending) {
  std::vector<integer> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  auto before = [&](integer a, integer b) {
    bool a_nan = x[a] != x[a], b_nan = x[b] != x[b];
    if (a_nan || b_nan)
      return descending ? a_nan && !b_nan : !a_nan && b_nan;
    return descending ? x[a] > x[b] : x[a] < x[b];
  };
  std::stable_sort(order.begin(), order.end(), before);
  return order;
}

/// Values and indices of the places that `keep` chooses from the order of each row.
results ordered(const tensor& x, integer dim, bool descending, integer from, integer count) {
  auto run = [&]<class T>(T) -> results {
    tensor rows = contiguous(move_last(x, dim));
    auto width = x.rank() ? rows.shape.back() : 1;
    if (from < 0 || from + count > width)
      refuse("choosing " + std::to_string(count) + " of " + std::to_string(width));
    extents shape = rows.shape;
    if (x.rank())
      shape.back() = count;
    tensor values = make<T>(x.type, shape), places = make<integer>(dtype::int64, shape);
    for (integer r = 0, n = width ? rows.count() / width : 0; r < n; ++r) {
      const T* row = data<T>(rows) + r * width;
      auto order = order_of(row, width, descending);
      for (integer i = 0; i < count; ++i) {
        mutable_data<T>(values)[r * count + i] = row[order[static_cast<std::size_t>(from + i)]];
        mutable_data<integer>(places)[r * count + i] = order[static_cast<std::size_t>(from + i)];
      }
    }
    return {move_back(values, dim), move_back(places, dim)};
  };
  return x.real() ? run(double{}) : run(integer{});
}

integer width_of(const tensor& x, integer dim) { return x.rank() ? x.shape[static_cast<std::size_t>(dim)] : 1; }

results sort(const call& c) {
  tensor x = c.value("self");
  auto dim = wrap_dimension(c.integer("dim", -1), x.rank());
  return ordered(x, dim, c.flag("descending"), 0, width_of(x, dim));
}

results kth_value(const call& c) {
  tensor x = c.value("self");
  auto dim = wrap_dimension(c.integer("dim", -1), x.rank());
  auto out = ordered(x, dim, false, c.integer("k") - 1, 1);
  if (!c.flag("keepdim"))
    for (auto& t : out)
      t = squeeze(t, dim);
  return out;
}

const entry table[] = {
    {"cumsum", scan<[](auto a, auto b) { return a + b; }>},
    {"cumprod", scan<[](auto a, auto b) { return a * b; }>},
    {"cummax", running_extremum<true>},
    {"cummin", running_extremum<false>},
    {"logcumsumexp", log_cumulative},
    {"sort", sort},
    {"msort", sort},
    {"argsort", [](const call& c) -> results { return {sort(c)[1]}; }},
    {"topk", [](const call& c) {
       tensor x = c.value("self");
       return ordered(x, wrap_dimension(c.integer("dim", -1), x.rank()), c.flag("largest", true), 0, c.integer("k"));
     }},
    {"kthvalue", kth_value},
};

} // namespace

family ordering_operations() { return table; }

} // namespace kevolve::agent::oracle
