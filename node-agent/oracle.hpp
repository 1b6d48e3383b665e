// The float64 interpreter of an operator's traced graph: the reference everywhere, with or without PyTorch. Implements ATen operations
// directly and shares nothing with the generator's lowering, so that a bug in either is found by the other. Pure; any thread.
#pragma once

#include "protocol/graph.hpp"
#include "protocol/operator.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace kevolve::agent {

/// Raised when the interpreter, the inputs that are drawn or the comparison change: part of the key of every cached verdict.
inline constexpr const char* oracle_version = "2";

/// A dense row-major tensor at the oracle's precision: floating types as double, integers and booleans as int64.
struct oracle_tensor {
  dtype type = dtype::float32;         // the type it stands for
  std::vector<std::int64_t> shape;
  std::vector<double> reals;           // floating types
  std::vector<std::int64_t> integers;  // the others
};

/// Runs `g` under bound axes (all of them). Errors name the operation and node that could not be run and why.
result<std::vector<oracle_tensor>> interpret(const graph& g, const axis_binding& axes, const std::vector<oracle_tensor>& inputs);

/// Operations that `interpret` cannot run in this graph, each once; empty: all supported.
std::vector<std::string> unsupported_operations(const graph& g);

/// Work that any implementation has to do: bytes of inputs and outputs once each; floating-point operations as the graph states them
/// (a fused multiply-add counts 2; exp, tanh and the like count 1 and are also counted in `transcendentals`).
struct graph_cost {
  double input_bytes = 0;
  double output_bytes = 0;
  double operations = 0;
  double transcendentals = 0;
};
result<graph_cost> cost_of(const operator_definition& op, const axis_binding& axes);

} // namespace kevolve::agent
