// How the tables of element-wise operations are written: a rule is an expression of one or two operands, broadcast.
#pragma once

#include "actors/synthesis/algebra.hpp"
#include "actors/synthesis/lower.hpp"

namespace kevolve::synthesis {

using unary = expr_ref (*)(lowering&, const expr_ref&);

template <unary F>
void pointwise(lowering& l) {
  const auto x = l.operand("self");
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) { return F(l, x(at)); }));
}

template <op Code>
expr_ref plain(lowering&, const expr_ref& x) { return call(Code, x); }

/// One expression of two operands with broadcasting.
using of_two = expr_ref (*)(lowering&, const expr_ref& x, const expr_ref& y);
template <of_two F>
void pair(lowering& l) {
  const auto a = l.operand("self");
  const auto b = l.operand("other");
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, l.output_shape(), [&](const std::vector<index>& at) { return F(l, a(at), b(at)); }));
}

} // namespace kevolve::synthesis
