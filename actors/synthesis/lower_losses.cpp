// Losses: one number per element or row, then a reduction.
#include "actors/synthesis/algebra.hpp"
#include "actors/synthesis/lower.hpp"

#include <cmath>

namespace kevolve::synthesis {
namespace {

enum class reduction_kind : std::int64_t { none, mean, sum };

/// The mean or sum of `each` over all of `shape`, or every element of it.
void reduced(lowering& l, dtype type, const std::vector<index>& shape, const lowering::element& each) {
  const auto how = static_cast<reduction_kind>(l.integer("reduction", 1));
  if (how == reduction_kind::none)
    return l.bind(0, l.map(l.name(), type, shape, each));
  std::vector<std::size_t> all;
  for (std::size_t d = 0; d < shape.size(); ++d)
    all.push_back(d);
  auto sum = l.reduce(l.name(how == reduction_kind::mean ? "sum" : ""), type, shape, all, false, combiner::sum, each);
  if (how == reduction_kind::mean)
    sum = l.map(l.name(), type, {}, [&, sum](const std::vector<index>&) { return l.read(sum, {}) / as_number(l.product(shape)); });
  l.bind(0, sum);
}

using pairwise_loss = expr_ref (*)(lowering&, const expr_ref& x, const expr_ref& y, const std::vector<index>& at);

template <pairwise_loss F>
void pairwise(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto a = l.operand("self");
  const auto b = l.operand("target");
  reduced(l, x.type, x.shape, [&](const std::vector<index>& at) { return F(l, a(at), b(at), at); });
}

expr_ref squared(lowering&, const expr_ref& x, const expr_ref& y, const std::vector<index>&) {
  const auto d = x - y;
  return d * d;
}

expr_ref absolute(lowering&, const expr_ref& x, const expr_ref& y, const std::vector<index>&) { return call(op::abs, x - y); }

expr_ref huber(lowering& l, const expr_ref& x, const expr_ref& y, const std::vector<index>&) {
  const double delta = l.real("delta").value_or(1);
  const auto d = x - y;
  const auto size = call(op::abs, d);
  return choose(call(op::less_equal, size, number(delta)), number(0.5) * d * d, number(delta) * (size - number(0.5 * delta)));
}

expr_ref smooth(lowering& l, const expr_ref& x, const expr_ref& y, const std::vector<index>&) {
  const double beta = l.real("beta").value_or(1);
  const auto d = x - y;
  const auto size = call(op::abs, d);
  return beta == 0 ? size : choose(less(size, number(beta)), number(0.5 / beta) * d * d, size - number(0.5 * beta));
}

expr_ref soft_margin(lowering&, const expr_ref& x, const expr_ref& y, const std::vector<index>&) {
  return call(op::log1p, call(op::exp, call(op::neg, x * y)));
}

expr_ref kl_divergence(lowering& l, const expr_ref& x, const expr_ref& y, const std::vector<index>&) {
  if (l.flag("log_target", false))
    return call(op::exp, y) * (y - x);
  return choose(call(op::equal, y, number(0)), number(0), y * call(op::log, y)) - y * x;
}

expr_ref weighted(lowering& l, const char* argument_name, const expr_ref& x, const std::vector<index>& at) {
  return l.has(argument_name) ? x * l.operand(argument_name)(at) : x;
}

/// Logarithms are held above -100, as PyTorch does.
expr_ref binary_cross_entropy(lowering& l, const expr_ref& x, const expr_ref& y, const std::vector<index>& at) {
  const auto held = [](const expr_ref& e) { return call(op::maximum, e, number(-100)); };
  return weighted(l, "weight", (y - number(1)) * held(call(op::log1p, call(op::neg, x))) - y * held(call(op::log, x)), at);
}

expr_ref binary_cross_entropy_with_logits(lowering& l, const expr_ref& x, const expr_ref& y, const std::vector<index>& at) {
  const auto log_sigmoid = call(op::minimum, x, number(0)) - call(op::log1p, call(op::exp, call(op::neg, call(op::abs, x))));
  const auto positive = weighted(l, "pos_weight", call(op::neg, y) * log_sigmoid, at);
  return weighted(l, "weight", positive + (number(1) - y) * (x - log_sigmoid), at);
}

/// sum over the other classes of max(0, margin - x[target] + x)^p, over the number of classes.
void multi_margin(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const tensor_ref target = l.tensor("target");
  if (x.shape.size() != 2)
    return l.fail("only two-dimensional input is supported");
  const double p = l.real("p").value_or(1);
  const double margin = l.real("margin").value_or(1);
  const auto sum = l.reduce(l.name("sum"), x.type, x.shape, {1}, false, combiner::sum, [&](const std::vector<index>& at) {
    const auto k = l.read(target, {at[0]});
    const auto z = call(op::maximum, number(margin) - l.gather(x, {at[0], index(0)}, 1, k) + l.read(x, at), number(0));
    auto each = p == 1 ? z : z * z;
    if (l.has("weight"))
      each = each * l.gather(l.tensor("weight"), {index(0)}, 0, k);
    return choose(call(op::equal, k, position(at[1])), number(0), each);
  });
  reduced(l, x.type, {x.shape[0]}, [&](const std::vector<index>& at) { return l.read(sum, at) / as_number(x.shape[1]); });
}

/// nll_loss: gathers one log-probability per row; the weight of ignored targets is 0.
void nll_loss(lowering& l) {
  const tensor_ref x = l.tensor("self"); // [N, classes, ..]
  const tensor_ref target = l.tensor("target"); // [N, ..]
  const auto reduction = l.integer("reduction", 1);
  const double ignored = static_cast<double>(l.integer("ignore_index", -100));
  if (x.shape.size() < 2)
    return l.fail("input without a batch dimension is not supported");
  const auto place = [](std::vector<index> at) {
    at.insert(at.begin() + 1, index(0));
    return at;
  };
  const auto weight_of = [&](const std::vector<index>& at) {
    const auto kept_row = call(op::to_real, make(op::not_equal, {l.read(target, at), call(op::to_integer, number(ignored))}));
    return l.has("weight") ? kept_row * l.gather(l.tensor("weight"), {index(0)}, 0, l.read(target, at)) : kept_row;
  };
  const auto each = [&](const std::vector<index>& at) {
    const auto ignore = make(op::equal, {l.read(target, at), call(op::to_integer, number(ignored))});
    return choose(ignore, number(0), call(op::neg, l.gather(x, place(at), 1, l.read(target, at))) * weight_of(at));
  };
  const auto& rows = target.shape;
  std::vector<std::size_t> all;
  for (std::size_t d = 0; d < rows.size(); ++d)
    all.push_back(d);
  const auto weight = l.reduce(l.name("weight"), x.type, rows, all, false, combiner::sum, weight_of);
  if (reduction == 0) {
    l.bind(0, l.map(l.name(), x.type, rows, each));
  } else {
    const auto sum = l.reduce(l.name(reduction == 1 ? "sum" : ""), x.type, rows, all, false, combiner::sum, each);
    l.bind(0, reduction == 2 ? sum : l.map(l.name(), x.type, {}, [&](const std::vector<index>&) { return l.read(sum, {}) / l.read(weight, {}); }));
  }
  l.bind(1, weight);
}

} // namespace

const lower_table& loss_rules() {
  static const lower_table rules{
    {"mse_loss", pairwise<squared>}, {"l1_loss", pairwise<absolute>}, {"huber_loss", pairwise<huber>}, {"smooth_l1_loss", pairwise<smooth>},
    {"soft_margin_loss", pairwise<soft_margin>}, {"kl_div", pairwise<kl_divergence>}, {"binary_cross_entropy", pairwise<binary_cross_entropy>},
    {"binary_cross_entropy_with_logits", pairwise<binary_cross_entropy_with_logits>}, {"multi_margin_loss", multi_margin},
    {"nll_loss_forward", nll_loss}, {"nll_loss", nll_loss}, {"nll_loss2d_forward", nll_loss}, {"nll_loss2d", nll_loss},
  };
  return rules;
}

} // namespace kevolve::synthesis
