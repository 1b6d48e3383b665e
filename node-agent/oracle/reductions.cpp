// Reductions: sums, extrema (NaN wins, the first of equals), norms, variances, truth.
#include "node-agent/oracle/rows.hpp"

#include <algorithm>
#include <limits>

namespace kevolve::agent::oracle {

row_form rows_along(const tensor& x, extents dims, bool keep) {
  std::vector<bool> reduced(x.shape.size(), dims.empty());
  for (auto dim : dims)
    if (auto d = static_cast<std::size_t>(wrap_dimension(dim, x.rank())); d < reduced.size())
      reduced[d] = true;
  row_form form;
  extents order;
  for (std::size_t d = 0; d < reduced.size(); ++d)
    if (!reduced[d]) {
      order.push_back(static_cast<std::int64_t>(d));
      form.rows *= x.shape[d];
      form.kept.push_back(x.shape[d]);
    } else if (keep) {
      form.kept.push_back(1);
    }
  for (std::size_t d = 0; d < reduced.size(); ++d)
    if (reduced[d]) {
      order.push_back(static_cast<std::int64_t>(d));
      form.width *= x.shape[d];
    }
  form.dense = contiguous(permute(x, order));
  return form;
}

namespace {

using integer = std::int64_t;

row_form form_of(const call& c, const tensor& x) { return rows_along(x, c.integers("dim"), c.flag("keepdim")); }

template <auto Real, auto Integer>
results reduction(const call& c) {
  tensor x = c.value("self");
  auto type = c.result_type();
  if (is_floating(type))
    return {reduce<double, double>(type, form_of(c, as_reals(x)), Real)};
  tensor out = reduce<integer, integer>(type, form_of(c, as_integers(x)), Integer);
  wrap_to_type(out);
  return {out};
}

template <auto F>
results real_reduction(const call& c) {
  return {reduce<double, double>(c.result_type(), form_of(c, as_reals(c.value("self"))), F)};
}

constexpr auto integer_sum = [](const integer* x, integer n) {
  std::uint64_t sum = 0;
  for (integer i = 0; i < n; ++i)
    sum += static_cast<std::uint64_t>(x[i]);
  return static_cast<integer>(sum);
};
constexpr auto integer_product = [](const integer* x, integer n) {
  std::uint64_t out = 1;
  for (integer i = 0; i < n; ++i)
    out *= static_cast<std::uint64_t>(x[i]);
  return static_cast<integer>(out);
};
constexpr auto real_product = [](const double* x, integer n) {
  double out = 1;
  for (integer i = 0; i < n; ++i)
    out *= x[i];
  return out;
};

/// Index of the first extremum; the first NaN beats all.
template <class T, class Better>
integer index_of_best(const T* x, integer n, Better better) {
  integer best = 0;
  for (integer i = 0; i < n; ++i) {
    if (x[i] != x[i])
      return i;
    if (better(x[i], x[best]))
      best = i;
  }
  return best;
}
constexpr auto more = [](auto a, auto b) { return a > b; };
constexpr auto less = [](auto a, auto b) { return a < b; };

void need_elements(const row_form& form) {
  if (form.width == 0 && form.rows > 0)
    refuse("an extremum of no elements");
}

template <auto Better>
results extremum(const call& c) { // max, amax, and max.dim's values with indices
  tensor x = c.value("self");
  auto form = form_of(c, x);
  need_elements(form);
  results out;
  auto run = [&]<class T>(T) {
    out.push_back(reduce<T, T>(x.type, form, [](const T* v, integer n) { return v[index_of_best(v, n, Better)]; }));
    if (c.overload() == "dim" && c.results() > 1)
      out.push_back(reduce<integer, T>(dtype::int64, form, [](const T* v, integer n) { return index_of_best(v, n, Better); }));
  };
  if (x.real())
    run(double{});
  else
    run(integer{});
  return out;
}

template <auto Better>
results index_of_extremum(const call& c) {
  tensor x = c.value("self");
  auto form = form_of(c, x);
  need_elements(form);
  if (x.real())
    return {reduce<integer, double>(dtype::int64, form, [](const double* v, integer n) { return index_of_best(v, n, Better); })};
  return {reduce<integer, integer>(dtype::int64, form, [](const integer* v, integer n) { return index_of_best(v, n, Better); })};
}

results aminmax(const call& c) {
  auto low = extremum<less>(c), high = extremum<more>(c);
  return {low[0], high[0]};
}

template <bool All>
results truth(const call& c) {
  tensor x = convert(c.value("self"), dtype::boolean);
  tensor out = reduce<integer, integer>(c.result_type(), form_of(c, x), [](const integer* v, integer n) {
    if (All)
      return integer{std::all_of(v, v + n, [](integer t) { return t != 0; })};
    return integer{std::any_of(v, v + n, [](integer t) { return t != 0; })};
  });
  return {out};
}

/// Bessel's correction: `correction`, else `unbiased` (default true).
double correction_of(const call& c) { return c.has("correction") ? c.real("correction") : c.flag("unbiased", true) ? 1 : 0; }

tensor variance_of(const row_form& form, dtype type, double correction, bool root) {
  return reduce<double, double>(type, form, [=](const double* x, integer n) {
    double freedom = std::max(0.0, static_cast<double>(n) - correction);
    double variance = moments_of(x, n).squares / freedom;
    return root ? std::sqrt(variance) : variance;
  });
}

template <bool Root, bool WithMean>
results variance(const call& c) {
  tensor x = c.value("self");
  auto form = form_of(c, x);
  results out{variance_of(form, c.result_type(), correction_of(c), Root)};
  if (WithMean)
    out.push_back(reduce<double, double>(c.result_type(), form, [](const double* v, integer n) { return sum_of(v, n) / static_cast<double>(n); }));
  return out;
}

double norm_of(const double* x, integer n, double p) {
  if (p == 2)
    return std::sqrt(sum_of(x, n, [](double v) { return v * v; }));
  if (p == 1)
    return sum_of(x, n, [](double v) { return std::abs(v); });
  if (p == 0)
    return sum_of(x, n, [](double v) { return v != 0 ? 1.0 : 0.0; });
  if (std::isinf(p)) {
    double best = p > 0 ? 0 : HUGE_VAL;
    for (integer i = 0; i < n; ++i) {
      if (x[i] != x[i])
        return x[i];
      double v = std::abs(x[i]);
      best = p > 0 ? std::max(best, v) : std::min(best, v);
    }
    return best;
  }
  return std::pow(sum_of(x, n, [=](double v) { return std::pow(std::abs(v), p); }), 1 / p);
}

results norm(const call& c) {
  double p = c.real(c.has("ord") ? "ord" : "p", 2);
  return {reduce<double, double>(c.result_type(), form_of(c, as_reals(c.value("self"))),
                                 [=](const double* x, integer n) { return norm_of(x, n, p); })};
}

double log_sum_exp(const double* x, integer n) {
  double top = largest_of(x, n);
  double shift = std::isinf(top) ? 0 : top;
  return shift + std::log(sum_of(x, n, [=](double v) { return std::exp(v - shift); }));
}

results median(const call& c) { // the lower of two middles; NaN wins
  tensor x = c.value("self");
  auto form = form_of(c, x);
  need_elements(form);
  auto place = [](const auto* v, integer n) {
    std::vector<integer> order(static_cast<std::size_t>(n));
    for (integer i = 0; i < n; ++i) {
      if (v[i] != v[i])
        return i;
      order[static_cast<std::size_t>(i)] = i;
    }
    auto middle = order.begin() + (n - 1) / 2;
    std::nth_element(order.begin(), middle, order.end(), [&](integer a, integer b) { return v[a] != v[b] ? v[a] < v[b] : a < b; });
    return *middle;
  };
  results out;
  auto run = [&]<class T>(T) {
    out.push_back(reduce<T, T>(x.type, form, [&](const T* v, integer n) { return v[place(v, n)]; }));
    if (c.results() > 1)
      out.push_back(reduce<integer, T>(dtype::int64, form, [&](const T* v, integer n) { return place(v, n); }));
  };
  if (x.real())
    run(double{});
  else
    run(integer{});
  return out;
}

constexpr auto mean_of = [](const double* x, integer n) { return sum_of(x, n) / static_cast<double>(n); };
constexpr auto plain_sum = [](const double* x, integer n) { return sum_of(x, n); };

const entry table[] = {
    {"sum", reduction<plain_sum, integer_sum>},
    {"nansum", real_reduction<[](const double* x, integer n) { return sum_of(x, n, [](double v) { return v != v ? 0 : v; }); }>},
    {"mean", real_reduction<mean_of>},
    {"prod", reduction<real_product, integer_product>},
    {"max", extremum<more>},
    {"amax", extremum<more>},
    {"min", extremum<less>},
    {"amin", extremum<less>},
    {"aminmax", aminmax},
    {"argmax", index_of_extremum<more>},
    {"argmin", index_of_extremum<less>},
    {"median", median},
    {"any", truth<false>},
    {"all", truth<true>},
    {"count_nonzero", [](const call& c) -> results {
       tensor x = convert(c.value("self"), dtype::boolean);
       return {reduce<integer, integer>(dtype::int64, form_of(c, x), integer_sum)};
     }},
    {"var", variance<false, false>},
    {"std", variance<true, false>},
    {"var_mean", variance<false, true>},
    {"std_mean", variance<true, true>},
    {"norm", norm},
    {"linalg_vector_norm", norm},
    {"frobenius_norm", norm},
    {"logsumexp", real_reduction<log_sum_exp>},
};

} // namespace

family reduction_operations() { return table; }

} // namespace kevolve::agent::oracle
