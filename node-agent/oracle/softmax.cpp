// Softmax and its logarithm along one dimension, forward and backward. A row of -inf gives NaN, as in PyTorch; `_safe_softmax` gives 0.
#include "node-agent/oracle/rows.hpp"

namespace kevolve::agent::oracle {
namespace {

void softmax_row(const double* x, double* out, std::int64_t n) {
  double top = largest_of(x, n);
  for (std::int64_t i = 0; i < n; ++i)
    out[i] = std::exp(x[i] - top);
  double scale = 1 / sum_of(out, n);
  for (std::int64_t i = 0; i < n; ++i)
    out[i] *= scale;
}

void safe_softmax_row(const double* x, double* out, std::int64_t n) {
  if (largest_of(x, n) == -HUGE_VAL)
    std::fill_n(out, n, 0.0);
  else
    softmax_row(x, out, n);
}

void log_softmax_row(const double* x, double* out, std::int64_t n) {
  double top = largest_of(x, n);
  double log_sum = std::log(sum_of(x, n, [=](double v) { return std::exp(v - top); }));
  for (std::int64_t i = 0; i < n; ++i)
    out[i] = x[i] - top - log_sum;
}

template <auto Row>
results rowwise(const call& c) {
  tensor x = as_reals(c.value("self"));
  return {along<double, double>(c.result_type(), x, wrap_dimension(c.integer("dim"), x.rank()), Row)};
}

/// grad_output and output in, a row function of both.
template <auto Row>
results backward(const call& c) {
  tensor g = c.value("grad_output"), y = c.value("output");
  auto dim = wrap_dimension(c.integer("dim"), g.rank());
  tensor grad = contiguous(move_last(g, dim)), out = contiguous(move_last(y, dim));
  tensor made = make<double>(c.result_type(), grad.shape);
  auto width = g.rank() ? g.shape[static_cast<std::size_t>(dim)] : 1;
  for (std::int64_t at = 0; at < grad.count(); at += width)
    Row(data<double>(grad) + at, data<double>(out) + at, mutable_data<double>(made) + at, width);
  return {move_back(made, dim)};
}

constexpr auto softmax_backward = [](const double* g, const double* y, double* out, std::int64_t n) {
  double dot = 0;
  for (std::int64_t i = 0; i < n; ++i)
    dot += g[i] * y[i];
  for (std::int64_t i = 0; i < n; ++i)
    out[i] = y[i] * (g[i] - dot);
};
constexpr auto log_softmax_backward = [](const double* g, const double* y, double* out, std::int64_t n) {
  double sum = sum_of(g, n);
  for (std::int64_t i = 0; i < n; ++i)
    out[i] = g[i] - std::exp(y[i]) * sum;
};

const entry table[] = {
    {"_softmax", rowwise<softmax_row>},
    {"softmax", rowwise<softmax_row>},
    {"_safe_softmax", rowwise<safe_softmax_row>},
    {"_log_softmax", rowwise<log_softmax_row>},
    {"log_softmax", rowwise<log_softmax_row>},
    {"_softmax_backward_data", backward<softmax_backward>},
    {"_log_softmax_backward_data", backward<log_softmax_backward>},
};

} // namespace

family softmax_operations() { return table; }

} // namespace kevolve::agent::oracle
