// The traced graph of an operator: core ATen operations in the order they ran, shapes and integer attributes as expressions over the axes.
// Written by node-agent/python/trace.py, stored in the Definition under x_kevolve.graph, read by the float64 interpreter (the oracle) and by
// the generator. In-place variants are recorded as their functional form. Pure data.
#pragma once

#include "protocol/dtype.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace kevolve {

/// A tensor in the graph. `shape` holds integer expressions over the operator's axes (expression.hpp).
struct graph_value {
  std::string name;
  dtype type = dtype::float32;
  std::vector<std::string> shape;

  friend bool operator==(const graph_value&, const graph_value&) = default;
};

enum class argument_kind : std::uint8_t { none, value, expression, real, boolean, text, type, list };
constexpr std::uint64_t enum_max(argument_kind) { return static_cast<std::uint64_t>(argument_kind::list); }

/// One argument of an operation.
struct argument {
  argument_kind kind = argument_kind::none;
  std::string text;        // value: the tensor's name; expression: its text ("4096", "M*2"); text: itself; type: dtype name
  double real = 0;         // real: may be ±inf or NaN
  bool boolean = false;
  std::vector<argument> items; // list

  friend bool operator==(const argument&, const argument&) = default;
};

/// One operation, e.g. op "aten.add.Tensor". Arguments carry their schema names, in schema order, defaults filled in.
struct graph_node {
  std::string op;
  std::vector<std::pair<std::string, argument>> arguments;
  std::vector<graph_value> outputs; // an output nobody reads may be named ""

  friend bool operator==(const graph_node&, const graph_node&) = default;
};

struct graph {
  std::uint32_t version = 1;
  std::vector<graph_value> inputs; // named as the operator's inputs, in its order
  std::vector<graph_node> nodes;
  std::vector<std::string> outputs; // value names, in the order of the operator's outputs

  friend bool operator==(const graph&, const graph&) = default;
};

template <class Inspector>
bool inspect(Inspector& f, graph_value& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("type", x.type), f.field("shape", x.shape));
}
template <class Inspector>
bool inspect(Inspector& f, argument& x) {
  return f.object(x).fields(f.field("kind", x.kind), f.field("text", x.text), f.field("real", x.real), f.field("boolean", x.boolean),
                            f.field("items", x.items));
}
template <class Inspector>
bool inspect(Inspector& f, graph_node& x) {
  return f.object(x).fields(f.field("op", x.op), f.field("arguments", x.arguments), f.field("outputs", x.outputs));
}
template <class Inspector>
bool inspect(Inspector& f, graph& x) {
  return f.object(x).fields(f.field("version", x.version), f.field("inputs", x.inputs), f.field("nodes", x.nodes),
                            f.field("outputs", x.outputs));
}

} // namespace kevolve
