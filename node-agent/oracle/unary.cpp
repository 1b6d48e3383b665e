// One tensor in, one of the same shape out: arithmetic, transcendental functions, predicates, conversions.
#include "node-agent/oracle/call.hpp"

#include <cmath>
#include <limits>
#include <numbers>

namespace kevolve::agent::oracle {
namespace {

template <auto F>
results each_real(const call& c) {
  return {map<double, double>(c.result_type(), as_reals(c.value("self")), F)};
}

template <auto F>
results each_number(const call& c) {
  tensor x = c.value("self");
  if (x.real())
    return {map<double, double>(c.result_type(), x, F)};
  return {map<std::int64_t, std::int64_t>(c.result_type(), x, F)};
}

template <auto F>
results each_predicate(const call& c) {
  return {map<std::int64_t, double>(dtype::boolean, as_reals(c.value("self")), [](double x) { return std::int64_t{F(x)}; })};
}

/// Rounds halves to even, to `decimals` places.
results round_number(const call& c) {
  tensor x = c.value("self");
  if (!x.real())
    return {x};
  auto decimals = c.integer("decimals", 0);
  if (decimals == 0)
    return {map<double, double>(x.type, x, [](double v) { return std::nearbyint(v); })};
  double scale = std::pow(10.0, static_cast<double>(std::abs(decimals)));
  return {map<double, double>(x.type, x, [=](double v) {
    return decimals > 0 ? std::nearbyint(v * scale) / scale : std::nearbyint(v / scale) * scale;
  })};
}

/// Inverse of erf: Winitzki's approximation, then Halley's steps to full precision (through erfc where erf is near 1).
double inverse_erf(double y) {
  if (!(y > -1 && y < 1))
    return y == 1 || y == -1 ? y * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  constexpr double a = 0.147;
  double u = std::log1p(-y * y);
  double b = 2 / (std::numbers::pi * a) + u / 2;
  double x = std::copysign(std::sqrt(std::sqrt(b * b - u / a) - b), y);
  for (int i = 0; i < 4; ++i) {
    double error = y > 0.5 ? (1 - y) - std::erfc(x) : y < -0.5 ? std::erfc(-x) - (1 + y) : std::erf(x) - y;
    double step = error / (2 * std::numbers::inv_sqrtpi * std::exp(-x * x));
    x -= step / (1 + x * step);
  }
  return x;
}

results nan_to_num(const call& c) {
  tensor x = c.value("self");
  if (!x.real())
    return {x};
  double largest = x.type == dtype::float64 ? std::numeric_limits<double>::max()
                   : x.type == dtype::float16 ? 65504.0
                   : x.type == dtype::bfloat16 ? 0x1.fep127
                                               : std::numeric_limits<float>::max();
  double nan = c.real("nan", 0), high = c.real("posinf", largest), low = c.real("neginf", -largest);
  return {map<double, double>(x.type, x, [=](double v) {
    return std::isnan(v) ? nan : v == std::numeric_limits<double>::infinity() ? high : v == -std::numeric_limits<double>::infinity() ? low : v;
  })};
}

results logit(const call& c) {
  double eps = c.real("eps", -1);
  return {map<double, double>(c.result_type(), as_reals(c.value("self")), [=](double x) {
    double v = eps < 0 ? x : x < eps ? eps : x > 1 - eps ? 1 - eps : x;
    return std::log(v / (1 - v));
  })};
}

results to_copy(const call& c) {
  tensor x = c.is_tensor("input") ? c.value("input") : c.value("self");
  return {convert(x, c.type("dtype").value_or(c.result_type()))};
}

results same(const call& c) { return {c.value("self")}; }

results bitwise_not(const call& c) {
  tensor x = c.value("self");
  bool logical = x.type == dtype::boolean;
  return {map<std::int64_t, std::int64_t>(x.type, x, [=](std::int64_t v) { return logical ? std::int64_t{v == 0} : ~v; })};
}

constexpr auto sign = [](auto x) { return x != x ? x : static_cast<decltype(x)>((x > 0) - (x < 0)); };

const entry table[] = {
    {"abs", each_number<[](auto x) { return std::abs(x); }>},
    {"neg", each_number<[](auto x) { return -x; }>},
    {"negative", each_number<[](auto x) { return -x; }>},
    {"positive", same},
    {"square", each_number<[](auto x) { return x * x; }>},
    {"sign", each_number<sign>},
    {"sgn", each_number<sign>},
    {"exp", each_real<[](double x) { return std::exp(x); }>},
    {"exp2", each_real<[](double x) { return std::exp2(x); }>},
    {"special_exp2", each_real<[](double x) { return std::exp2(x); }>},
    {"expm1", each_real<[](double x) { return std::expm1(x); }>},
    {"log", each_real<[](double x) { return std::log(x); }>},
    {"log2", each_real<[](double x) { return std::log2(x); }>},
    {"log10", each_real<[](double x) { return std::log10(x); }>},
    {"log1p", each_real<[](double x) { return std::log1p(x); }>},
    {"sqrt", each_real<[](double x) { return std::sqrt(x); }>},
    {"rsqrt", each_real<[](double x) { return 1 / std::sqrt(x); }>},
    {"reciprocal", each_real<[](double x) { return 1 / x; }>},
    {"sin", each_real<[](double x) { return std::sin(x); }>},
    {"cos", each_real<[](double x) { return std::cos(x); }>},
    {"tan", each_real<[](double x) { return std::tan(x); }>},
    {"asin", each_real<[](double x) { return std::asin(x); }>},
    {"acos", each_real<[](double x) { return std::acos(x); }>},
    {"atan", each_real<[](double x) { return std::atan(x); }>},
    {"sinh", each_real<[](double x) { return std::sinh(x); }>},
    {"cosh", each_real<[](double x) { return std::cosh(x); }>},
    {"tanh", each_real<[](double x) { return std::tanh(x); }>},
    {"asinh", each_real<[](double x) { return std::asinh(x); }>},
    {"acosh", each_real<[](double x) { return std::acosh(x); }>},
    {"atanh", each_real<[](double x) { return std::atanh(x); }>},
    {"erf", each_real<[](double x) { return std::erf(x); }>},
    {"erfc", each_real<[](double x) { return std::erfc(x); }>},
    {"erfinv", each_real<inverse_erf>},
    {"lgamma", each_real<[](double x) { return std::lgamma(x); }>},
    {"sigmoid", each_real<[](double x) { return 1 / (1 + std::exp(-x)); }>},
    {"sinc", each_real<[](double x) { return x == 0 ? 1 : std::sin(std::numbers::pi * x) / (std::numbers::pi * x); }>},
    {"deg2rad", each_real<[](double x) { return x * (std::numbers::pi / 180); }>},
    {"rad2deg", each_real<[](double x) { return x * (180 / std::numbers::pi); }>},
    {"floor", each_number<[](auto x) { return static_cast<decltype(x)>(std::floor(x)); }>},
    {"ceil", each_number<[](auto x) { return static_cast<decltype(x)>(std::ceil(x)); }>},
    {"trunc", each_number<[](auto x) { return static_cast<decltype(x)>(std::trunc(x)); }>},
    {"frac", each_real<[](double x) { return x - std::trunc(x); }>},
    {"round", round_number},
    {"isnan", each_predicate<[](double x) { return std::isnan(x); }>},
    {"isinf", each_predicate<[](double x) { return std::isinf(x); }>},
    {"isfinite", each_predicate<[](double x) { return std::isfinite(x); }>},
    {"logical_not", each_predicate<[](double x) { return x == 0; }>},
    {"signbit", each_predicate<[](double x) { return std::signbit(x); }>},
    {"bitwise_not", bitwise_not},
    {"nan_to_num", nan_to_num},
    {"logit", logit},
    {"_to_copy", to_copy},
    {"to", to_copy},
    {"convert_element_type", to_copy},
    {"clone", same},
    {"detach", same},
    {"alias", same},
    {"lift_fresh", same},
    {"lift_fresh_copy", same},
    {"contiguous", same},
    {"native_dropout", [](const call& c) -> results {
       if (c.flag("train", false))
         refuse("dropout in training mode draws at random: a reference must be deterministic");
       tensor x = c.value("input");
       return {x, make_filled<std::int64_t>(dtype::boolean, x.shape, 1)};
     }},
    {"dropout", [](const call& c) -> results {
       if (c.flag("train", false) && c.real("p", 0.5) != 0)
         refuse("dropout in training mode draws at random: a reference must be deterministic");
       return {c.value("input")};
     }},
};

} // namespace

family unary_operations() { return table; }

} // namespace kevolve::agent::oracle
