// Element-wise operations as scalar expressions; PyTorch's definitions, with its handling of NaN and thresholds.
#include "actors/synthesis/lower.hpp"

#include <cmath>
#include <limits>

namespace kevolve::synthesis {
namespace {

expr_ref operator+(expr_ref a, expr_ref b) { return make(op::add, {std::move(a), std::move(b)}); }
expr_ref operator-(expr_ref a, expr_ref b) { return make(op::sub, {std::move(a), std::move(b)}); }
expr_ref operator*(expr_ref a, expr_ref b) { return make(op::mul, {std::move(a), std::move(b)}); }
expr_ref operator/(expr_ref a, expr_ref b) { return make(op::div, {std::move(a), std::move(b)}); }
expr_ref call(op code, expr_ref x) { return make(code, {std::move(x)}); }
expr_ref less(expr_ref a, expr_ref b) { return make(op::less, {std::move(a), std::move(b)}); }
expr_ref choose(expr_ref c, expr_ref a, expr_ref b) { return make(op::select, {std::move(c), std::move(a), std::move(b)}); }
expr_ref sigmoid(const expr_ref& x) { return number(1) / (number(1) + call(op::exp, call(op::neg, x))); }
expr_ref softplus(const expr_ref& x) { return call(op::log1p, call(op::exp, x)); }
/// min(max(x, low), high), NaN kept.
expr_ref clamped(const expr_ref& x, double low, double high) {
  return make(op::minimum, {make(op::maximum, {x, number(low)}), number(high)});
}

using unary = expr_ref (*)(lowering&, const expr_ref&);

template <unary F>
void pointwise(lowering& l) {
  const auto x = l.operand("self");
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) { return F(l, x(at)); }));
}

template <op Code>
expr_ref plain(lowering&, const expr_ref& x) { return call(Code, x); }

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

expr_ref power_of(const expr_ref& x, double p) {
  if (p == 0.5)
    return call(op::sqrt, x);
  if (p == -0.5)
    return call(op::rsqrt, x);
  if (p == std::floor(p) && std::abs(p) <= 8) {
    expr_ref out = number(1);
    for (int i = 0; i < std::abs(static_cast<int>(p)); ++i)
      out = i == 0 ? x : out * x;
    return p < 0 ? number(1) / out : out;
  }
  return make(op::power, {x, number(p)});
}

void pow(lowering& l) {
  const auto x = l.operand("self");
  const auto p = l.operand("exponent");
  const auto constant = l.real("exponent");
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) {
    return constant ? power_of(x(at), *constant) : make(op::power, {x(at), p(at)});
  }));
}

template <op Code, bool Swapped = false>
void binary(lowering& l) {
  const auto a = l.operand("self");
  const auto b = l.operand("other");
  const double alpha = l.real("alpha").value_or(1);
  const auto mode = l.text("rounding_mode", "");
  const bool real_division = Code == op::div && mode.empty();
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) {
    auto x = a(at);
    auto y = b(at);
    if (Swapped)
      std::swap(x, y);
    if (real_division)
      return call(op::to_real, x) / call(op::to_real, y);
    if (alpha != 1)
      (Swapped ? y : y) = y * number(alpha);
    auto out = make(Code, {x, y});
    return mode == "floor" ? call(op::floor, out) : mode == "trunc" ? call(op::trunc, out) : out;
  }));
}

/// greater(a, b) = less(b, a)
template <op Code>
void swapped_comparison(lowering& l) { binary<Code, true>(l); }

void clamp(lowering& l) {
  const auto x = l.operand("self");
  const bool has_low = l.has("min");
  const bool has_high = l.has("max");
  const auto low = has_low ? l.operand("min") : l.operand("self");
  const auto high = has_high ? l.operand("max") : l.operand("self");
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) {
    auto out = x(at);
    if (has_low)
      out = make(op::maximum, {out, low(at)});
    return has_high ? make(op::minimum, {out, high(at)}) : out;
  }));
}

void where(lowering& l) {
  const auto c = l.operand("condition");
  const auto a = l.operand("self");
  const auto b = l.operand("other");
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(),
                  [&](const std::vector<index>& at) { return choose(call(op::to_boolean, c(at)), a(at), b(at)); }));
}

void masked_fill(lowering& l) {
  const auto x = l.operand("self");
  const auto mask = l.operand("mask");
  const auto fill = l.operand("value");
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(),
                  [&](const std::vector<index>& at) { return choose(call(op::to_boolean, mask(at)), fill(at), x(at)); }));
}

void addcmul(lowering& l) {
  const auto x = l.operand("self");
  const auto a = l.operand("tensor1");
  const auto b = l.operand("tensor2");
  const double v = l.real("value").value_or(1);
  const bool divide = base_name(l.node().op) == "addcdiv";
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) {
    return x(at) + number(v) * (divide ? a(at) / b(at) : a(at) * b(at));
  }));
}

void lerp(lowering& l) {
  const auto x = l.operand("self");
  const auto y = l.operand("end");
  const auto w = l.operand("weight");
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) { return x(at) + w(at) * (y(at) - x(at)); }));
}

void prelu(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const tensor_ref w = l.tensor("weight");
  l.bind(0, l.map(l.name(), x.type, x.shape, [&](const std::vector<index>& at) {
    std::vector<index> channel;
    if (!w.shape.empty())
      channel.push_back(w.shape[0].is(1) ? index(0) : at.size() > 1 ? at[1] : at[0]);
    return choose(less(number(0), l.read(x, at)), l.read(x, at), l.read(x, at) * l.read(w, channel));
  }));
}

void copy(lowering& l) {
  const auto x = l.operand(l.find("self") != nullptr ? "self" : "input");
  const auto to = l.node().outputs.at(0).type;
  const auto from = l.tensor("self").type;
  if (to == from) {
    l.bind(0, l.tensor("self"));
    return;
  }
  const auto cast = is_floating(to) ? op::to_real : to == dtype::boolean ? op::to_boolean : op::to_integer;
  l.bind(0, l.map(l.name(), to, l.output_shape(), [&](const std::vector<index>& at) { return call(cast, x(at)); }));
}

/// full, zeros, ones and their _like and new_ forms.
void fill(lowering& l) {
  const auto name = base_name(l.node().op);
  const double x = name.find("ones") != std::string::npos ? 1 : name.find("zeros") != std::string::npos ? 0 : 0;
  const auto given = name.find("full") != std::string::npos ? l.operand("fill_value")
                     : name == "scalar_tensor"              ? l.operand("s")
                     : name == "fill"                       ? l.operand("value")
                                                            : lowering::element([x](const std::vector<index>&) { return number(x); });
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) { return given(at); }));
}

void arange(lowering& l) {
  const auto start = l.real("start").value_or(0);
  const auto step = l.real("step").value_or(1);
  const auto type = l.node().outputs.at(0).type;
  l.bind(0, l.map(l.name(), type, l.output_shape(), [&](const std::vector<index>& at) {
    if (!is_floating(type))
      return position(at[0] * index(static_cast<std::int64_t>(step)) + index(static_cast<std::int64_t>(start)));
    return number(start) + number(step) * call(op::to_real, position(at[0]));
  }));
}

/// tril: keeps column - row <= diagonal; triu: >= diagonal.
void triangle(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const index diagonal(l.integer("diagonal", 0));
  const bool lower_part = base_name(l.node().op) == "tril";
  l.bind(0, l.map(l.name(), x.type, x.shape, [&](const std::vector<index>& at) {
    const index distance = at[at.size() - 1] - at[at.size() - 2] - diagonal;
    return choose(in_range({lower_part ? index(0) - distance : distance}), l.read(x, at), number(0));
  }));
}

void xlogy(lowering& l) {
  const auto a = l.operand("self");
  const auto b = l.operand("other");
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) {
    const auto x = a(at);
    const auto y = b(at);
    const auto product = choose(make(op::equal, {x, number(0)}), number(0), x * call(op::log, y));
    return choose(call(op::is_nan, y), y, product);
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

/// mse_loss and smooth_l1_loss in their unreduced part; the reduction follows as for any sum.
void loss(lowering& l) {
  const auto a = l.operand("self");
  const auto b = l.operand("target");
  const auto reduction = l.integer("reduction", 1);
  const tensor_ref x = l.tensor("self");
  const auto kind = base_name(l.node().op);
  const double beta = l.real("beta").value_or(1);
  const double delta = l.real("delta").value_or(1);
  const auto each = [&](const std::vector<index>& at) {
    const auto d = a(at) - b(at);
    if (kind == "mse_loss")
      return d * d;
    const auto size = call(op::abs, d);
    if (kind == "l1_loss")
      return size;
    if (kind == "huber_loss")
      return choose(make(op::less_equal, {size, number(delta)}), number(0.5) * d * d, number(delta) * (size - number(0.5 * delta)));
    return beta == 0 ? size : choose(less(size, number(beta)), number(0.5 / beta) * d * d, size - number(0.5 * beta));
  };
  if (reduction == 0) {
    l.bind(0, l.map(l.name(), x.type, x.shape, each));
    return;
  }
  std::vector<std::size_t> all;
  for (std::size_t d = 0; d < x.shape.size(); ++d)
    all.push_back(d);
  auto sum = l.reduce(l.name(reduction == 1 ? "sum" : ""), x.type, x.shape, all, false, combiner::sum, each);
  if (reduction == 1)
    sum = l.map(l.name(), x.type, {}, [&, sum](const std::vector<index>&) {
      return l.read(sum, {}) / call(op::to_real, position(l.product(x.shape)));
    });
  l.bind(0, sum);
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
expr_ref reciprocal(lowering&, const expr_ref& x) { return number(1) / x; }
expr_ref square(lowering&, const expr_ref& x) { return x * x; }
expr_ref log2(lowering&, const expr_ref& x) { return call(op::log, x) * number(1 / M_LN2); }
expr_ref log10(lowering&, const expr_ref& x) { return call(op::log, x) * number(1 / M_LN10); }
expr_ref exp2(lowering&, const expr_ref& x) { return call(op::exp, x * number(M_LN2)); }
expr_ref softsign(lowering&, const expr_ref& x) { return x / (number(1) + call(op::abs, x)); }

} // namespace

const lower_table& pointwise_rules() {
  static const lower_table rules{
    {"neg", pointwise<plain<op::neg>>}, {"exp", pointwise<plain<op::exp>>}, {"log", pointwise<plain<op::log>>}, {"log1p", pointwise<plain<op::log1p>>},
    {"expm1", pointwise<plain<op::expm1>>}, {"sqrt", pointwise<plain<op::sqrt>>}, {"rsqrt", pointwise<plain<op::rsqrt>>}, {"tanh", pointwise<plain<op::tanh>>},
    {"erf", pointwise<plain<op::erf>>}, {"abs", pointwise<plain<op::abs>>}, {"floor", pointwise<plain<op::floor>>}, {"ceil", pointwise<plain<op::ceil>>},
    {"round", pointwise<plain<op::round>>}, {"trunc", pointwise<plain<op::trunc>>}, {"sin", pointwise<plain<op::sin>>}, {"cos", pointwise<plain<op::cos>>},
    {"sign", pointwise<plain<op::sign>>}, {"isnan", pointwise<plain<op::is_nan>>}, {"logical_not", pointwise<plain<op::logical_not>>},
    {"bitwise_not", pointwise<plain<op::logical_not>>}, {"gelu", pointwise<gelu>}, {"elu", pointwise<elu>}, {"hardtanh", pointwise<hardtanh>},
    {"softplus", pointwise<softplus_with_threshold>}, {"leaky_relu", pointwise<leaky_relu>}, {"silu", pointwise<silu>}, {"mish", pointwise<mish>},
    {"sigmoid", pointwise<sigmoid_of>}, {"log_sigmoid", pointwise<log_sigmoid>}, {"log_sigmoid_forward", pointwise<log_sigmoid>},
    {"hardswish", pointwise<hardswish>}, {"hardsigmoid", pointwise<hardsigmoid>}, {"relu", pointwise<relu>}, {"relu6", pointwise<relu6>},
    {"selu", pointwise<selu>}, {"celu", pointwise<celu>}, {"reciprocal", pointwise<reciprocal>}, {"square", pointwise<square>},
    {"log2", pointwise<log2>}, {"log10", pointwise<log10>}, {"exp2", pointwise<exp2>}, {"softsign", pointwise<softsign>}, {"threshold", threshold},
    {"pow", pow}, {"add", binary<op::add>}, {"sub", binary<op::sub>}, {"rsub", binary<op::sub, true>}, {"mul", binary<op::mul>}, {"div", binary<op::div>},
    {"true_divide", binary<op::div>}, {"maximum", binary<op::maximum>}, {"minimum", binary<op::minimum>}, {"remainder", binary<op::modulo>},
    {"lt", binary<op::less>}, {"le", binary<op::less_equal>}, {"gt", swapped_comparison<op::less>}, {"ge", swapped_comparison<op::less_equal>},
    {"eq", binary<op::equal>}, {"ne", binary<op::not_equal>}, {"logical_and", binary<op::logical_and>}, {"logical_or", binary<op::logical_or>},
    {"bitwise_and", binary<op::logical_and>}, {"bitwise_or", binary<op::logical_or>}, {"clamp", clamp}, {"clamp_min", clamp}, {"clamp_max", clamp},
    {"where", where}, {"masked_fill", masked_fill}, {"addcmul", addcmul}, {"addcdiv", addcmul}, {"lerp", lerp}, {"prelu", prelu}, {"_prelu_kernel", prelu},
    {"_to_copy", copy}, {"to", copy}, {"type_as", copy}, {"full", fill}, {"full_like", fill}, {"zeros", fill}, {"zeros_like", fill}, {"ones", fill},
    {"ones_like", fill}, {"new_zeros", fill}, {"new_ones", fill}, {"new_full", fill}, {"scalar_tensor", fill}, {"fill", fill}, {"arange", arange},
    {"tril", triangle}, {"triu", triangle}, {"xlogy", xlogy}, {"glu", glu}, {"mse_loss", loss}, {"smooth_l1_loss", loss}, {"l1_loss", loss},
    {"huber_loss", loss},
  };
  return rules;
}

} // namespace kevolve::synthesis
