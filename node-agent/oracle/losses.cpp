// Losses: a value per element or class, then none, mean or sum (`reduction` 0, 1, 2).
#include "node-agent/oracle/rows.hpp"

#include <algorithm>

namespace kevolve::agent::oracle {
namespace {

using integer = std::int64_t;

tensor reduced(const call& c, const tensor& each) {
  auto how = c.integer("reduction", 1);
  if (how == 0)
    return each;
  auto form = rows_along(each, {}, false);
  double sum = sum_of(data<double>(form.dense), form.width);
  return scalar(how == 1 ? sum / static_cast<double>(form.width) : sum, c.result_type());
}

template <class F>
results pairwise(const call& c, F f) {
  return {reduced(c, map<double, double>(c.result_type(), as_reals(c.value("self")), as_reals(c.value("target")), f))};
}

/// Negative log likelihood: input [N, C, …], target [N, …] (or [C] and a number); weights per class, one class ignored.
results negative_log_likelihood(const call& c) {
  tensor x = as_reals(c.value("self")), target = as_integers(c.value("target"));
  if (x.rank() == 1) {
    x = unsqueeze(x, 0);
    target = reshape(target, {1});
  }
  tensor classes_last = contiguous(move_last(x, 1)), wanted = contiguous(target);
  auto classes = x.shape.at(1), ignored = c.integer("ignore_index", -100), how = c.integer("reduction", 1);
  auto weights = c.maybe("weight");
  tensor dense_weights = weights ? contiguous(*weights) : tensor{};
  tensor each = make<double>(c.result_type(), wanted.shape);
  double sum = 0, total = 0;
  for (integer i = 0; i < wanted.count(); ++i) {
    auto k = data<integer>(wanted)[i];
    double weight = 0, loss = 0;
    if (k != ignored) {
      if (k < 0 || k >= classes)
        refuse("target " + std::to_string(k) + " is no class of " + std::to_string(classes));
      weight = weights ? data<double>(dense_weights)[k] : 1;
      loss = -weight * data<double>(classes_last)[i * classes + k];
    }
    mutable_data<double>(each)[i] = loss;
    sum += loss;
    total += weight;
  }
  if (how == 0)
    return {reshape(each, c.result_shape()), scalar(0, c.result_type())};
  return {scalar(how == 1 ? sum / total : sum, c.result_type()), scalar(total, c.result_type())};
}

results binary_cross_entropy(const call& c) {
  auto bounded_log = [](double v) { return v != v ? v : std::max(std::log(v), -100.0); };
  tensor each = map<double, double>(c.result_type(), as_reals(c.value("self")), as_reals(c.value("target")), [=](double x, double y) {
    return (y - 1) * std::max(std::log1p(-x), -100.0) - y * bounded_log(x);
  });
  if (auto weight = c.maybe("weight"))
    each = map<double, double>(each.type, each, *weight, [](double a, double w) { return a * w; });
  return {reduced(c, each)};
}

results binary_cross_entropy_with_logits(const call& c) {
  tensor x = as_reals(c.value("self")), y = as_reals(c.value("target"));
  auto log_sigmoid = [](double v) { return (v < 0 ? v : 0 * v) - std::log1p(std::exp(-std::abs(v))); };
  tensor positive = map<double, double>(c.result_type(), x, y, [=](double v, double t) { return -t * log_sigmoid(v); });
  if (auto weight = c.maybe("pos_weight"))
    positive = map<double, double>(positive.type, positive, *weight, [](double a, double w) { return a * w; });
  tensor negative = map<double, double>(positive.type, x, y, [=](double v, double t) { return (1 - t) * (v - log_sigmoid(v)); });
  tensor each = map<double, double>(positive.type, positive, negative, [](double a, double b) { return a + b; });
  if (auto weight = c.maybe("weight"))
    each = map<double, double>(each.type, each, *weight, [](double a, double w) { return a * w; });
  return {reduced(c, each)};
}

results smooth_l1(const call& c) {
  double beta = c.real("beta", 1);
  return pairwise(c, [=](double x, double y) {
    double d = std::abs(x - y);
    return d < beta ? 0.5 * d * d / beta : d - 0.5 * beta;
  });
}

results huber(const call& c) {
  double delta = c.real("delta", 1);
  return pairwise(c, [=](double x, double y) {
    double d = std::abs(x - y);
    return d <= delta ? 0.5 * d * d : delta * (d - 0.5 * delta);
  });
}

results multi_margin(const call& c) {
  tensor x = contiguous(as_reals(c.value("self"))), target = contiguous(as_integers(c.value("target")));
  if (x.rank() != 2)
    refuse("multi_margin_loss is supported for inputs of rank 2");
  double p = c.real("p", 1), margin = c.real("margin", 1);
  auto weights = c.maybe("weight");
  auto classes = x.shape[1];
  tensor each = make<double>(c.result_type(), {x.shape[0]});
  for (integer i = 0; i < x.shape[0]; ++i) {
    const double* row = data<double>(x) + i * classes;
    auto k = data<integer>(target)[i];
    if (k < 0 || k >= classes)
      refuse("target " + std::to_string(k) + " is no class of " + std::to_string(classes));
    double sum = 0;
    for (integer j = 0; j < classes; ++j)
      if (double z = margin - row[k] + row[j]; j != k && z > 0)
        sum += (p == 1 ? z : z * z) * (weights ? data<double>(contiguous(*weights))[k] : 1);
    mutable_data<double>(each)[i] = sum / static_cast<double>(classes);
  }
  return {reduced(c, each)};
}

const entry table[] = {
    {"nll_loss_forward", negative_log_likelihood},
    {"nll_loss", negative_log_likelihood},
    {"nll_loss2d_forward", negative_log_likelihood},
    {"nll_loss2d", negative_log_likelihood},
    {"mse_loss", [](const call& c) { return pairwise(c, [](double x, double y) { return (x - y) * (x - y); }); }},
    {"l1_loss", [](const call& c) { return pairwise(c, [](double x, double y) { return std::abs(x - y); }); }},
    {"smooth_l1_loss", smooth_l1},
    {"huber_loss", huber},
    {"soft_margin_loss", [](const call& c) { return pairwise(c, [](double x, double y) { return std::log1p(std::exp(-x * y)); }); }},
    {"kl_div", [](const call& c) {
       bool logs = c.flag("log_target");
       return pairwise(c, [=](double x, double y) { return logs ? std::exp(y) * (y - x) : (y == 0 ? 0 : y * std::log(y)) - y * x; });
     }},
    {"binary_cross_entropy", binary_cross_entropy},
    {"binary_cross_entropy_with_logits", binary_cross_entropy_with_logits},
    {"multi_margin_loss", multi_margin},
};

} // namespace

family loss_operations() { return table; }

} // namespace kevolve::agent::oracle
