// Activations and their gradients; PyTorch's definitions, with its handling of NaN and thresholds.
#include "actors/synthesis/pointwise.hpp"

#include <cmath>

namespace kevolve::synthesis {
namespace {

expr_ref softplus(const expr_ref& x) { return call(op::log1p, call(op::exp, x)); }

expr_ref gelu(lowering& l, const expr_ref& x) {
  if (l.text("approximate", "none") == "tanh")
    return number(0.5) * x * (number(1) + call(op::tanh, number(std::sqrt(2 / M_PI)) * (x + number(0.044715) * (x * x * x))));
  return number(0.5) * x * (number(1) + call(op::erf, x * number(M_SQRT1_2)));
}

expr_ref elu(lowering& l, const expr_ref& x) {
  const double alpha = l.real("alpha").value_or(1);
  const double scale = l.real("scale").value_or(1);
  const double input_scale = l.real("input_scale").value_or(1);
  return choose(less(number(0), x), number(scale) * x, number(scale * alpha) * call(op::expm1, x * number(input_scale)));
}

expr_ref hardtanh(lowering& l, const expr_ref& x) { return clamped(x, l.real("min_val").value_or(-1), l.real("max_val").value_or(1)); }

expr_ref softplus_with_threshold(lowering& l, const expr_ref& x) {
  const double beta = l.real("beta").value_or(1);
  return choose(less(number(l.real("threshold").value_or(20)), x * number(beta)), x, softplus(x * number(beta)) / number(beta));
}

/// t > 20 keeps log1p(exp(t)) from overflowing; the two agree to the last bit there.
expr_ref safe_softplus(const expr_ref& x) { return choose(less(number(20), x), x, softplus(x)); }

expr_ref leaky_relu(lowering& l, const expr_ref& x) {
  return choose(less(number(0), x), x, x * number(l.real("negative_slope").value_or(0.01)));
}

void threshold(lowering& l) {
  const auto x = l.operand("self");
  const double t = l.real("threshold").value_or(0);
  const double v = l.real("value").value_or(0);
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) {
    return choose(make(op::less_equal, {x(at), number(t)}), number(v), x(at));
  }));
}

void prelu(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const tensor_ref w = l.tensor("weight");
  l.bind(0, l.map(l.name(), x.type, x.shape, [&](const std::vector<index>& at) {
    std::vector<index> channel;
    if (!w.shape.empty())
      channel.push_back(w.shape[0].is(1) ? index(0) : at.size() > 1 ? at[1] : at[0]);
    const auto slope = w.shape.size() == at.size() ? l.read_broadcast(w, at) : l.read(w, channel);
    return choose(less(number(0), l.read(x, at)), l.read(x, at), l.read(x, at) * slope);
  }));
}

void glu(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto dim = l.wrap(l.integer("dim", -1), x.shape.size());
  const auto shape = l.output_shape();
  l.bind(0, l.map(l.name(), x.type, shape, [&](const std::vector<index>& at) {
    auto second = at;
    second[dim] = second[dim] + shape[dim];
    return l.read(x, at) * sigmoid(l.read(x, second));
  }));
}

expr_ref silu(lowering&, const expr_ref& x) { return x / (number(1) + call(op::exp, call(op::neg, x))); }
expr_ref mish(lowering&, const expr_ref& x) { return x * call(op::tanh, safe_softplus(x)); }
expr_ref sigmoid_of(lowering&, const expr_ref& x) { return sigmoid(x); }
expr_ref log_sigmoid(lowering&, const expr_ref& x) {
  return make(op::minimum, {x, number(0)}) - call(op::log1p, call(op::exp, call(op::neg, call(op::abs, x))));
}
expr_ref hardswish(lowering&, const expr_ref& x) { return x * clamped(x + number(3), 0, 6) / number(6); }
expr_ref hardsigmoid(lowering&, const expr_ref& x) { return clamped(x + number(3), 0, 6) / number(6); }
expr_ref relu(lowering&, const expr_ref& x) { return make(op::maximum, {x, number(0)}); }
expr_ref relu6(lowering&, const expr_ref& x) { return clamped(x, 0, 6); }
expr_ref selu(lowering&, const expr_ref& x) {
  constexpr double alpha = 1.6732632423543772848170429916717;
  constexpr double scale = 1.0507009873554804934193349852946;
  return choose(less(number(0), x), number(scale) * x, number(scale * alpha) * call(op::expm1, x));
}
expr_ref celu(lowering& l, const expr_ref& x) {
  const double alpha = l.real("alpha").value_or(1);
  return choose(less(number(0), x), x, number(alpha) * call(op::expm1, x / number(alpha)));
}
expr_ref hard_shrink(lowering& l, const expr_ref& x) {
  return choose(call(op::less_equal, call(op::abs, x), number(l.real("lambd").value_or(0.5))), number(0), x);
}
expr_ref soft_shrink(lowering& l, const expr_ref& x) {
  const double d = l.real("lambd").value_or(0.5);
  return choose(less(number(d), x), x - number(d), choose(less(x, number(-d)), x + number(d), choose(call(op::is_nan, x), x, number(0))));
}
expr_ref softsign(lowering&, const expr_ref& x) { return x / (number(1) + call(op::abs, x)); }

/// Gradients of activations: grad_output times the derivative at self (or at output).
using derivative = expr_ref (*)(lowering&, const expr_ref& g, const expr_ref& x);
template <derivative F>
void backward(lowering& l) {
  const auto g = l.operand("grad_output");
  const auto x = l.operand(l.find("self") != nullptr ? "self" : "output");
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) { return F(l, g(at), x(at)); }));
}
expr_ref gelu_gradient(lowering& l, const expr_ref& g, const expr_ref& x) {
  if (l.text("approximate", "none") == "tanh") {
    const double c = std::sqrt(2 / M_PI);
    const auto t = call(op::tanh, number(c) * (x + number(0.044715) * (x * x * x)));
    return g * (number(0.5) * (number(1) + t) + number(0.5) * x * (number(1) - t * t) * number(c) * (number(1) + number(3 * 0.044715) * x * x));
  }
  const auto density = call(op::exp, number(-0.5) * x * x) * number(1 / std::sqrt(2 * M_PI));
  return g * (number(0.5) * (number(1) + call(op::erf, x * number(M_SQRT1_2))) + x * density);
}
expr_ref silu_gradient(lowering&, const expr_ref& g, const expr_ref& x) {
  const auto s = sigmoid(x);
  return g * (s * (number(1) + x * (number(1) - s)));
}
expr_ref threshold_gradient(lowering& l, const expr_ref& g, const expr_ref& x) {
  return choose(call(op::less_equal, x, number(l.real("threshold").value_or(0))), number(0), g);
}
expr_ref tanh_gradient(lowering&, const expr_ref& g, const expr_ref& y) { return g * (number(1) - y * y); }
expr_ref sigmoid_gradient(lowering&, const expr_ref& g, const expr_ref& y) { return g * ((number(1) - y) * y); }

} // namespace

const lower_table& activation_rules() {
  static const lower_table rules{
    {"gelu", pointwise<gelu>}, {"elu", pointwise<elu>}, {"hardtanh", pointwise<hardtanh>}, {"softplus", pointwise<softplus_with_threshold>},
    {"leaky_relu", pointwise<leaky_relu>}, {"silu", pointwise<silu>}, {"mish", pointwise<mish>}, {"sigmoid", pointwise<sigmoid_of>},
    {"log_sigmoid", pointwise<log_sigmoid>}, {"log_sigmoid_forward", pointwise<log_sigmoid>}, {"hardswish", pointwise<hardswish>},
    {"hardsigmoid", pointwise<hardsigmoid>}, {"relu", pointwise<relu>}, {"relu6", pointwise<relu6>}, {"selu", pointwise<selu>},
    {"celu", pointwise<celu>}, {"softsign", pointwise<softsign>}, {"threshold", threshold}, {"prelu", prelu}, {"_prelu_kernel", prelu}, {"glu", glu},
    {"hardshrink", pointwise<hard_shrink>}, {"softshrink", pointwise<soft_shrink>}, {"gelu_backward", backward<gelu_gradient>},
    {"silu_backward", backward<silu_gradient>}, {"threshold_backward", backward<threshold_gradient>}, {"tanh_backward", backward<tanh_gradient>},
    {"sigmoid_backward", backward<sigmoid_gradient>},
  };
  return rules;
}

} // namespace kevolve::synthesis
