// Element-wise operations as scalar expressions; PyTorch's definitions, with its handling of NaN and thresholds.
#include "actors/synthesis/pointwise.hpp"

#include <cmath>
#include <limits>

namespace kevolve::synthesis {
namespace {

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

void round(lowering& l) {
  const auto x = l.operand("self");
  const double scale = std::pow(10.0, static_cast<double>(l.integer("decimals", 0)));
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) {
    return scale == 1 ? call(op::round, x(at)) : call(op::round, x(at) * number(scale)) / number(scale);
  }));
}

expr_ref log_add_exp(lowering&, const expr_ref& x, const expr_ref& y) {
  const auto same = call(op::equal, x, y); // infinities
  return choose(same, x + number(M_LN2), call(op::maximum, x, y) + call(op::log1p, call(op::exp, call(op::neg, call(op::abs, x - y)))));
}
/// fmax and fmin: a NaN loses.
template <op Code>
expr_ref without_nan(lowering&, const expr_ref& x, const expr_ref& y) {
  return choose(call(op::is_nan, x), y, choose(call(op::is_nan, y), x, call(Code, x, y)));
}
expr_ref logical_xor(lowering&, const expr_ref& x, const expr_ref& y) {
  return call(op::not_equal, call(op::to_integer, call(op::to_boolean, x)), call(op::to_integer, call(op::to_boolean, y)));
}
/// Quotients of integers round down; a division by 0 gives 0 (PyTorch raises).
expr_ref floor_quotient_of(lowering& l, const expr_ref& x, const expr_ref& y) {
  if (is_floating(l.node().outputs.at(0).type))
    return call(op::floor, x / y);
  return call(op::to_integer, call(op::floor, call(op::to_real, x) / call(op::to_real, y)));
}

/// Bits of integers; of truth values the logical operation.
template <op Bits, op Logical>
void bitwise(lowering& l) {
  const bool truth = l.node().outputs.at(0).type == dtype::boolean;
  const auto a = l.operand("self");
  const auto b = l.operand("other");
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) { return call(truth ? Logical : Bits, a(at), b(at)); }));
}
expr_ref bitwise_not(lowering& l, const expr_ref& x) {
  return l.node().outputs.at(0).type == dtype::boolean ? call(op::logical_not, x) : number(-1) - x;
}

/// Two polynomials of the logarithm of 1 - x^2, relative error below 4e-7 (Giles 2010, "Approximating the erfinv function").
expr_ref inverse_erf(lowering& l, const expr_ref& x) {
  if (l.node().outputs.at(0).type == dtype::float64)
    l.fail("in double precision is not supported");
  const auto w = call(op::neg, call(op::log, (number(1) - x) * (number(1) + x)));
  const auto polynomial = [](const expr_ref& at, std::initializer_list<double> highest_first) {
    expr_ref p;
    for (const double c : highest_first)
      p = p ? number(c) + p * at : number(c);
    return p;
  };
  const auto near = polynomial(w - number(2.5), {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941});
  const auto far = polynomial(call(op::sqrt, w) - number(3), {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682});
  const auto whole = choose(call(op::equal, call(op::abs, x), number(1)), number(std::numeric_limits<double>::infinity()), choose(less(w, number(5)), near, far));
  return whole * x;
}

expr_ref frac(lowering&, const expr_ref& x) { return x - call(op::trunc, x); }
expr_ref is_infinite(lowering&, const expr_ref& x) { return call(op::equal, call(op::abs, x), number(std::numeric_limits<double>::infinity())); }
expr_ref sign_bit(lowering&, const expr_ref& x) { return less(call(op::copysign, number(1), x), number(0)); }
expr_ref logit(lowering& l, const expr_ref& x) {
  const auto eps = l.real("eps");
  const auto y = eps ? clamped(x, *eps, 1 - *eps) : x;
  return call(op::log, y / (number(1) - y));
}
expr_ref nan_to_num(lowering& l, const expr_ref& x) {
  const double most = std::numeric_limits<float>::max();
  const double infinity = std::numeric_limits<double>::infinity();
  return choose(call(op::is_nan, x), number(l.real("nan").value_or(0)),
                choose(call(op::equal, x, number(infinity)), number(l.real("posinf").value_or(most)),
                       choose(call(op::equal, x, number(-infinity)), number(l.real("neginf").value_or(-most)), x)));
}

void linspace(lowering& l) {
  const double start = l.real("start").value_or(0);
  const double end = l.real("end").value_or(1);
  const auto n = l.integer("steps", 1);
  std::vector<double> all;
  for (std::int64_t i = 0; i < n; ++i) {
    const double step = n > 1 ? (end - start) / static_cast<double>(n - 1) : 0;
    all.push_back(i < n / 2 ? start + step * static_cast<double>(i) : end - step * static_cast<double>(n - 1 - i));
  }
  l.bind(0, l.literal(l.name(), l.node().outputs.at(0).type, l.output_shape(), std::move(all)));
}

void eye(lowering& l) {
  const auto type = l.node().outputs.at(0).type;
  l.bind(0, l.map(l.name(), type, l.output_shape(), [&](const std::vector<index>& at) {
    return choose(in_range({at[0] - at[1], at[1] - at[0]}), number(1), number(0));
  }));
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
    const auto inside = in_range({lower_part ? index(0) - distance : distance});
    return x.type == dtype::boolean ? call(op::logical_and, inside, call(op::to_boolean, l.read(x, at))) : choose(inside, l.read(x, at), number(0));
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

expr_ref xlog1py(lowering&, const expr_ref& x, const expr_ref& y) {
  return choose(call(op::is_nan, y), y, choose(call(op::equal, x, number(0)), number(0), x * call(op::log1p, y)));
}

expr_ref reciprocal(lowering&, const expr_ref& x) { return number(1) / x; }
expr_ref square(lowering&, const expr_ref& x) { return x * x; }
expr_ref log2(lowering&, const expr_ref& x) { return call(op::log, x) * number(1 / M_LN2); }
expr_ref log10(lowering&, const expr_ref& x) { return call(op::log, x) * number(1 / M_LN10); }
expr_ref exp2(lowering&, const expr_ref& x) { return call(op::exp, x * number(M_LN2)); }

} // namespace

const lower_table& pointwise_rules() {
  static const lower_table rules{
    {"neg", pointwise<plain<op::neg>>}, {"exp", pointwise<plain<op::exp>>}, {"log", pointwise<plain<op::log>>}, {"log1p", pointwise<plain<op::log1p>>},
    {"expm1", pointwise<plain<op::expm1>>}, {"sqrt", pointwise<plain<op::sqrt>>}, {"rsqrt", pointwise<plain<op::rsqrt>>}, {"tanh", pointwise<plain<op::tanh>>},
    {"erf", pointwise<plain<op::erf>>}, {"abs", pointwise<plain<op::abs>>}, {"floor", pointwise<plain<op::floor>>}, {"ceil", pointwise<plain<op::ceil>>},
    {"round", round}, {"trunc", pointwise<plain<op::trunc>>}, {"sin", pointwise<plain<op::sin>>}, {"cos", pointwise<plain<op::cos>>},
    {"sign", pointwise<plain<op::sign>>}, {"isnan", pointwise<plain<op::is_nan>>}, {"logical_not", pointwise<plain<op::logical_not>>},
    {"bitwise_not", pointwise<bitwise_not>},
    {"reciprocal", pointwise<reciprocal>}, {"square", pointwise<square>},
    {"log2", pointwise<log2>}, {"log10", pointwise<log10>}, {"exp2", pointwise<exp2>},
    {"pow", pow}, {"add", binary<op::add>}, {"sub", binary<op::sub>}, {"rsub", binary<op::sub, true>}, {"mul", binary<op::mul>}, {"div", binary<op::div>},
    {"true_divide", binary<op::div>}, {"maximum", binary<op::maximum>}, {"minimum", binary<op::minimum>}, {"remainder", binary<op::modulo>},
    {"lt", binary<op::less>}, {"le", binary<op::less_equal>}, {"gt", swapped_comparison<op::less>}, {"ge", swapped_comparison<op::less_equal>},
    {"eq", binary<op::equal>}, {"ne", binary<op::not_equal>}, {"logical_and", binary<op::logical_and>}, {"logical_or", binary<op::logical_or>},
    {"bitwise_and", bitwise<op::bit_and, op::logical_and>}, {"bitwise_or", bitwise<op::bit_or, op::logical_or>}, {"__and__", bitwise<op::bit_and, op::logical_and>},
    {"__or__", bitwise<op::bit_or, op::logical_or>}, {"bitwise_xor", bitwise<op::bit_xor, op::not_equal>}, {"__xor__", bitwise<op::bit_xor, op::not_equal>},
    {"__lshift__", bitwise<op::shift_left, op::shift_left>}, {"__rshift__", bitwise<op::shift_right, op::shift_right>},
    {"bitwise_left_shift", bitwise<op::shift_left, op::shift_left>}, {"bitwise_right_shift", bitwise<op::shift_right, op::shift_right>},
    {"logical_xor", pair<logical_xor>}, {"floor_divide", pair<floor_quotient_of>}, {"fmax", pair<without_nan<op::maximum>>},
    {"fmin", pair<without_nan<op::minimum>>}, {"fmod", binary<op::remainder>}, {"atan2", binary<op::atan2>}, {"hypot", binary<op::hypot>},
    {"copysign", binary<op::copysign>}, {"logaddexp", pair<log_add_exp>}, {"tan", pointwise<plain<op::tan>>}, {"asin", pointwise<plain<op::asin>>},
    {"acos", pointwise<plain<op::acos>>}, {"atan", pointwise<plain<op::atan>>}, {"sinh", pointwise<plain<op::sinh>>}, {"cosh", pointwise<plain<op::cosh>>},
    {"asinh", pointwise<plain<op::asinh>>}, {"acosh", pointwise<plain<op::acosh>>}, {"atanh", pointwise<plain<op::atanh>>},
    {"erfc", pointwise<plain<op::erfc>>}, {"erfinv", pointwise<inverse_erf>}, {"lgamma", pointwise<plain<op::lgamma>>}, {"frac", pointwise<frac>}, {"isinf", pointwise<is_infinite>},
    {"signbit", pointwise<sign_bit>}, {"logit", pointwise<logit>},
    {"nan_to_num", pointwise<nan_to_num>},
    {"linspace", linspace}, {"eye", eye}, {"clamp", clamp}, {"clamp_min", clamp}, {"clamp_max", clamp},
    {"where", where}, {"masked_fill", masked_fill}, {"addcmul", addcmul}, {"addcdiv", addcmul}, {"lerp", lerp},
    {"_to_copy", copy}, {"to", copy}, {"type_as", copy}, {"full", fill}, {"full_like", fill}, {"zeros", fill}, {"zeros_like", fill}, {"ones", fill},
    {"ones_like", fill}, {"new_zeros", fill}, {"new_ones", fill}, {"new_full", fill}, {"scalar_tensor", fill}, {"fill", fill}, {"arange", arange},
    {"tril", triangle}, {"triu", triangle}, {"xlogy", xlogy}, {"special_xlog1py", pair<xlog1py>},
  };
  return rules;
}

} // namespace kevolve::synthesis
