// Arithmetic on scalar expressions, for the tables of operations.
#pragma once

#include "actors/synthesis/ir.hpp"

namespace kevolve::synthesis {

inline expr_ref operator+(expr_ref a, expr_ref b) { return make(op::add, {std::move(a), std::move(b)}); }
inline expr_ref operator-(expr_ref a, expr_ref b) { return make(op::sub, {std::move(a), std::move(b)}); }
inline expr_ref operator*(expr_ref a, expr_ref b) { return make(op::mul, {std::move(a), std::move(b)}); }
inline expr_ref operator/(expr_ref a, expr_ref b) { return make(op::div, {std::move(a), std::move(b)}); }
inline expr_ref call(op code, expr_ref x) { return make(code, {std::move(x)}); }
inline expr_ref call(op code, expr_ref x, expr_ref y) { return make(code, {std::move(x), std::move(y)}); }
inline expr_ref less(expr_ref a, expr_ref b) { return call(op::less, std::move(a), std::move(b)); }
inline expr_ref choose(expr_ref c, expr_ref a, expr_ref b) { return make(op::select, {std::move(c), std::move(a), std::move(b)}); }
inline expr_ref sigmoid(const expr_ref& x) { return number(1) / (number(1) + call(op::exp, call(op::neg, x))); }
/// min(max(x, low), high), NaN kept.
inline expr_ref clamped(const expr_ref& x, double low, double high) { return call(op::minimum, call(op::maximum, x, number(low)), number(high)); }
/// An extent as a real number.
inline expr_ref as_number(const index& i) { return i.constant() ? number(static_cast<double>(*i.constant())) : call(op::to_real, position(i)); }

} // namespace kevolve::synthesis
