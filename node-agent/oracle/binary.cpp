// Two or three tensors (or numbers) broadcast against each other: arithmetic, comparison, logic, selection.
#include "node-agent/oracle/call.hpp"

#include <bit>
#include <cmath>
#include <limits>

namespace kevolve::agent::oracle {
namespace {

using integer = std::int64_t;

integer wrapping_multiply(integer a, integer b) {
  return static_cast<integer>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}

/// Real where the result is real, else integer.
template <class F>
results arithmetic(const call& c, const tensor& a, const tensor& b, F f) {
  auto type = c.result_type();
  if (is_floating(type))
    return {map<double, double>(type, as_reals(a), as_reals(b), f)};
  tensor out = map<integer, integer>(type, as_integers(a), as_integers(b), f);
  wrap_to_type(out);
  return {out};
}

template <auto F>
results number_pair(const call& c) {
  return arithmetic(c, c.value("self"), c.value("other"), F);
}

template <auto F>
results real_pair(const call& c) {
  return {map<double, double>(c.result_type(), as_reals(c.value("self")), as_reals(c.value("other")), F)};
}

template <auto F>
results comparison(const call& c) {
  tensor a = c.value("self"), b = c.value("other");
  if (a.real() || b.real())
    return {map<integer, double>(dtype::boolean, as_reals(a), as_reals(b), [](double x, double y) { return integer{F(x, y)}; })};
  return {map<integer, integer>(dtype::boolean, a, b, [](integer x, integer y) { return integer{F(x, y)}; })};
}

template <auto F>
results logical(const call& c) {
  return {map<integer, integer>(dtype::boolean, convert(c.value("self"), dtype::boolean), convert(c.value("other"), dtype::boolean),
                                [](integer x, integer y) { return integer{F(x != 0, y != 0)}; })};
}

template <auto F>
results bitwise(const call& c) {
  tensor out = map<integer, integer>(c.result_type(), c.value("self"), c.value("other"), F);
  wrap_to_type(out);
  return {out};
}

results sum_scaled(const call& c, const tensor& a, const tensor& b, int sign) {
  double alpha = c.real("alpha", 1) * sign;
  if (alpha == 1)
    return arithmetic(c, a, b, [](auto x, auto y) { return x + y; });
  if (alpha == -1)
    return arithmetic(c, a, b, [](auto x, auto y) { return x - y; });
  return arithmetic(c, a, b, [=](auto x, auto y) { return x + static_cast<decltype(x)>(alpha) * y; });
}

template <class T>
T floored_quotient(T x, T y) {
  if constexpr (std::is_same_v<T, double>) {
    if (y == 0)
      return x / y;
    double remainder = std::fmod(x, y);
    double quotient = (x - remainder) / y;
    if (remainder != 0 && (y < 0) != (remainder < 0))
      quotient -= 1;
    if (quotient == 0)
      return std::copysign(0.0, x / y);
    double whole = std::floor(quotient);
    return quotient - whole > 0.5 ? whole + 1 : whole;
  } else {
    auto quotient = x / y;
    return quotient - (x % y != 0 && (x < 0) != (y < 0));
  }
}

tensor nonzero_divisor(const tensor& t) {
  const tensor dense = contiguous(t);
  for (integer i = 0, n = dense.count(); i < n; ++i)
    if (data<integer>(dense)[i] == 0)
      refuse("integer division by zero");
  return dense;
}

results divide(const call& c) {
  tensor a = c.value("self"), b = c.value("other");
  auto mode = c.text("rounding_mode", "");
  auto type = c.result_type();
  if (!is_floating(type))
    b = nonzero_divisor(as_integers(b));
  if (mode == "floor")
    return arithmetic(c, a, b, [](auto x, auto y) { return floored_quotient(x, y); });
  if (mode == "trunc")
    return arithmetic(c, a, b, [](auto x, auto y) { return static_cast<decltype(x)>(std::trunc(x / y)); });
  return {map<double, double>(type, as_reals(a), as_reals(b), [](double x, double y) { return x / y; })};
}

results floor_divide(const call& c) {
  tensor b = c.value("other");
  if (!is_floating(c.result_type()))
    b = nonzero_divisor(as_integers(b));
  return arithmetic(c, c.value("self"), b, [](auto x, auto y) { return floored_quotient(x, y); });
}

/// The remainder takes the divisor's sign (Python's %); `fmod` takes the dividend's.
results remainder(const call& c) {
  tensor b = c.value("other");
  if (!is_floating(c.result_type()))
    b = nonzero_divisor(as_integers(b));
  return arithmetic(c, c.value("self"), b, [](auto x, auto y) {
    if constexpr (std::is_same_v<decltype(x), double>) {
      double r = std::fmod(x, y);
      return r != 0 && (r < 0) != (y < 0) ? r + y : r;
    } else {
      auto r = y == -1 ? 0 : x % y;
      return r != 0 && (r < 0) != (y < 0) ? r + y : r;
    }
  });
}

results truncated_remainder(const call& c) {
  tensor b = c.value("other");
  if (!is_floating(c.result_type()))
    b = nonzero_divisor(as_integers(b));
  return arithmetic(c, c.value("self"), b, [](auto x, auto y) {
    if constexpr (std::is_same_v<decltype(x), double>)
      return std::fmod(x, y);
    else
      return y == -1 ? integer{0} : x % y;
  });
}

integer integer_power(integer base, integer exponent) {
  if (exponent < 0)
    return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
  integer out = 1;
  for (; exponent > 0; exponent >>= 1, base = wrapping_multiply(base, base))
    if (exponent & 1)
      out = wrapping_multiply(out, base);
  return out;
}

results power(const call& c) {
  tensor a = c.value("self"), b = c.value("exponent");
  auto type = c.result_type();
  if (!is_floating(type))
    return arithmetic(c, a, b, [](auto x, auto y) { return static_cast<decltype(x)>(integer_power(integer(x), integer(y))); });
  a = as_reals(a);
  if (b.count() == 1) {
    double exponent = item(b);
    tensor zero = expand(as_reals(b), broadcast(a.shape, b.shape));
    if (zero.shape == a.shape) {
      if (exponent == 2)
        return {map<double, double>(type, a, [](double x) { return x * x; })};
      if (exponent == 3)
        return {map<double, double>(type, a, [](double x) { return x * x * x; })};
      if (exponent == 0.5)
        return {map<double, double>(type, a, [](double x) { return std::sqrt(x); })};
      if (exponent == -0.5)
        return {map<double, double>(type, a, [](double x) { return 1 / std::sqrt(x); })};
    }
  }
  return {map<double, double>(type, a, as_reals(b), [](double x, double y) { return std::pow(x, y); })};
}

constexpr auto larger = [](auto x, auto y) { return x != x || x > y ? x : y; };
constexpr auto smaller = [](auto x, auto y) { return x != x || x < y ? x : y; };

results clamp(const call& c) {
  tensor out = c.value("self");
  auto type = c.result_type();
  auto low = c.maybe("min"), high = c.maybe("max");
  // NaN limits propagate; where the limits cross, the upper one wins.
  auto bounded = [&](const tensor& limit, auto f) {
    if (is_floating(type))
      out = map<double, double>(type, as_reals(out), as_reals(limit), f);
    else
      out = map<integer, integer>(type, as_integers(out), as_integers(limit), f);
  };
  if (low)
    bounded(*low, larger);
  if (high)
    bounded(*high, smaller);
  return {out};
}

results where(const call& c) {
  tensor condition = convert(c.value("condition"), dtype::boolean);
  tensor a = c.value("self"), b = c.value("other");
  auto type = c.result_type();
  if (is_floating(type))
    return {map<double, integer, double>(type, condition, as_reals(a), as_reals(b), [](integer t, double x, double y) { return t ? x : y; })};
  return {map<integer, integer, integer>(type, condition, as_integers(a), as_integers(b),
                                         [](integer t, integer x, integer y) { return t ? x : y; })};
}

results masked_fill(const call& c) {
  tensor x = c.value("self"), mask = convert(c.value("mask"), dtype::boolean), value = c.value("value");
  if (x.real())
    return {map<double, integer, double>(x.type, mask, as_reals(value), x, [](integer t, double a, double b) { return t ? a : b; })};
  return {map<integer, integer, integer>(x.type, mask, as_integers(value), x, [](integer t, integer a, integer b) { return t ? a : b; })};
}

/// self + value * tensor1 (op) tensor2.
template <auto F>
results with_product(const call& c) {
  auto type = c.result_type();
  double value = c.real("value", 1);
  if (!is_floating(type)) {
    tensor p = map<integer, integer>(type, c.value("tensor1"), c.value("tensor2"), [](integer x, integer y) { return wrapping_multiply(x, y); });
    return arithmetic(c, c.value("self"), p, [=](auto x, auto y) { return x + static_cast<decltype(x)>(value) * y; });
  }
  tensor p = map<double, double>(type, as_reals(c.value("tensor1")), as_reals(c.value("tensor2")), F);
  return {map<double, double>(type, as_reals(c.value("self")), p, [=](double x, double y) { return x + value * y; })};
}

results lerp(const call& c) {
  tensor start = c.value("self"), weight = c.value("weight");
  tensor difference = map<double, double>(start.type, c.value("end"), start, [](double e, double s) { return e - s; });
  tensor moved = map<double, double>(start.type, difference, as_reals(weight), [](double d, double w) { return d * w; });
  return {map<double, double>(start.type, start, moved, [](double s, double m) { return s + m; })};
}

const entry table[] = {
    {"add", [](const call& c) { return sum_scaled(c, c.value("self"), c.value("other"), 1); }},
    {"sub", [](const call& c) { return sum_scaled(c, c.value("self"), c.value("other"), -1); }},
    {"rsub", [](const call& c) { return sum_scaled(c, c.value("other"), c.value("self"), -1); }},
    {"mul", number_pair<[](auto x, auto y) {
       if constexpr (std::is_same_v<decltype(x), double>)
         return x * y;
       else
         return wrapping_multiply(x, y);
     }>},
    {"div", divide},
    {"true_divide", divide},
    {"floor_divide", floor_divide},
    {"remainder", remainder},
    {"fmod", truncated_remainder},
    {"pow", power},
    {"float_power", power},
    {"maximum", number_pair<larger>},
    {"max.other", number_pair<larger>},
    {"minimum", number_pair<smaller>},
    {"min.other", number_pair<smaller>},
    {"fmax", number_pair<[](auto x, auto y) { return y != y || (x > y) ? x : y; }>},
    {"fmin", number_pair<[](auto x, auto y) { return y != y || x < y ? x : y; }>},
    {"atan2", real_pair<[](double x, double y) { return std::atan2(x, y); }>},
    {"hypot", real_pair<[](double x, double y) { return std::hypot(x, y); }>},
    {"copysign", real_pair<[](double x, double y) { return std::copysign(x, y); }>},
    {"logaddexp", real_pair<[](double x, double y) {
       if (std::isinf(x) && x == y)
         return x;
       double m = larger(x, y);
       return m + std::log1p(std::exp(-std::abs(x - y)));
     }>},
    {"xlogy", real_pair<[](double x, double y) { return y != y ? y : x == 0 ? 0.0 : x * std::log(y); }>},
    {"special_xlog1py", real_pair<[](double x, double y) { return y != y ? y : x == 0 ? 0.0 : x * std::log1p(y); }>},
    {"eq", comparison<[](auto x, auto y) { return x == y; }>},
    {"ne", comparison<[](auto x, auto y) { return x != y; }>},
    {"lt", comparison<[](auto x, auto y) { return x < y; }>},
    {"le", comparison<[](auto x, auto y) { return x <= y; }>},
    {"gt", comparison<[](auto x, auto y) { return (x > y); }>},
    {"ge", comparison<[](auto x, auto y) { return (x >= y); }>},
    {"logical_and", logical<[](bool x, bool y) { return x && y; }>},
    {"logical_or", logical<[](bool x, bool y) { return x || y; }>},
    {"logical_xor", logical<[](bool x, bool y) { return x != y; }>},
    {"bitwise_and", bitwise<[](integer x, integer y) { return x & y; }>},
    {"bitwise_or", bitwise<[](integer x, integer y) { return x | y; }>},
    {"bitwise_xor", bitwise<[](integer x, integer y) { return x ^ y; }>},
    {"bitwise_left_shift", bitwise<[](integer x, integer y) { return y < 0 || (y > 63) ? 0 : integer(std::uint64_t(x) << y); }>},
    {"__lshift__", bitwise<[](integer x, integer y) { return y < 0 || (y > 63) ? 0 : integer(std::uint64_t(x) << y); }>},
    {"bitwise_right_shift", bitwise<[](integer x, integer y) { return (x >> (y < 0 || y > 63 ? 63 : y)); }>},
    {"__rshift__", bitwise<[](integer x, integer y) { return (x >> (y < 0 || y > 63 ? 63 : y)); }>},
    {"clamp", clamp},
    {"clip", clamp},
    {"clamp_min", clamp},
    {"clamp_max", clamp},
    {"where", where},
    {"masked_fill", masked_fill},
    {"addcmul", with_product<[](double x, double y) { return x * y; }>},
    {"addcdiv", with_product<[](double x, double y) { return x / y; }>},
    {"lerp", lerp},
};

} // namespace

family binary_operations() { return table; }

} // namespace kevolve::agent::oracle
