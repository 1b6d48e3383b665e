// Operators and workloads: FlashInfer-Trace Definition and Workload (both dialects), plus what kevolve adds under x_kevolve. Pure data;
// reading, writing and validation against the format are in trace_format.hpp.
#pragma once

#include "protocol/dtype.hpp"
#include "protocol/expression.hpp"
#include "protocol/graph.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kevolve {

enum class axis_kind : std::uint8_t { constant, variable, expression };
constexpr std::uint64_t enum_max(axis_kind) { return static_cast<std::uint64_t>(axis_kind::expression); }

struct axis {
  std::string name;
  axis_kind kind = axis_kind::variable;
  std::int64_t value = 0;  // constant
  std::string expression;  // expression (SOL dialect)
  std::string description;

  friend bool operator==(const axis&, const axis&) = default;
};

/// An input or output. Order in the definition is the calling convention.
struct tensor_spec {
  std::string name;
  bool scalar = false;              // shape null: a Python scalar, passed as a rank-0 tensor over the native ABI
  std::vector<std::string> shape;   // axis names (or integer expressions over them); empty: 0-D tensor
  dtype type = dtype::float32;
  std::string description;

  friend bool operator==(const tensor_spec&, const tensor_spec&) = default;
};

/// An element fails when abs > atol AND rel > rtol; at least `matched_ratio` of the elements must not fail; NaN/Inf must match exactly.
struct tolerance {
  double atol = 1e-4;
  double rtol = 1e-4;
  double matched_ratio = 1.0;
  bool bitwise = false;

  friend bool operator==(const tolerance&, const tolerance&) = default;
};

enum class distribution_kind : std::uint8_t { normal, uniform, integers, constant, ascending };
constexpr std::uint64_t enum_max(distribution_kind) { return static_cast<std::uint64_t>(distribution_kind::ascending); }

/// How the judge draws an input. normal: mean a, deviation b; uniform: [a, b); integers: [a, b); constant: a.
struct distribution {
  std::string input;
  distribution_kind kind = distribution_kind::normal;
  double a = 0;
  double b = 1;

  friend bool operator==(const distribution&, const distribution&) = default;
};

struct operator_definition {
  std::string name;
  std::string op_type;
  std::vector<axis> axes;
  std::vector<tensor_spec> inputs;
  std::vector<tensor_spec> outputs;
  std::string reference; // Python source with a top-level `run`
  std::vector<std::string> tags;
  std::string description;
  std::vector<std::string> constraints;
  // x_kevolve
  std::optional<graph> traced;
  tolerance tolerated;
  std::vector<distribution> distributions; // inputs not named here: normal(0, 1), integers [0, 8), booleans fair
  std::string provenance;                  // where it came from (file, oracle version, scale override)
  std::string extra;                       // fields of the file that we do not know: one JSON object by JSON pointer, kept on writing

  friend bool operator==(const operator_definition&, const operator_definition&) = default;
};

enum class input_kind : std::uint8_t { random, scalar, safetensors, custom };
constexpr std::uint64_t enum_max(input_kind) { return static_cast<std::uint64_t>(input_kind::custom); }

struct workload_input {
  std::string name;
  input_kind kind = input_kind::random;
  double value = 0;        // scalar
  std::string path;        // safetensors
  std::string tensor_key;  // safetensors

  friend bool operator==(const workload_input&, const workload_input&) = default;
};

/// One binding of the variable axes. `name` is for people ("prefill_4k"); `uuid` is its identity.
struct workload {
  std::string uuid;
  std::string name;
  axis_binding axes; // variable axes only
  std::vector<workload_input> inputs;
  std::optional<tolerance> tolerated; // overrides the operator's
  std::string extra;                  // as operator_definition::extra

  friend bool operator==(const workload&, const workload&) = default;
};

/// An operator with the workloads it is tuned for: what a SPEC resolves to.
struct problem {
  operator_definition op;
  std::vector<workload> workloads;
};

/// Values of all axes (constant, variable, expression) under a workload, in the definition's order. Errors name axis and problem:
/// unbound, negative, product over 2^63.
result<axis_binding> bind_axes(const operator_definition& op, const axis_binding& variable_axes);
/// Concrete shape of a tensor under bound axes.
result<std::vector<std::int64_t>> bind_shape(const std::vector<std::string>& shape, const axis_binding& axes);
/// Number of elements; an error when the product passes 2^63.
result<std::int64_t> element_count(const std::vector<std::int64_t>& shape);

template <class Inspector>
bool inspect(Inspector& f, axis& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("kind", x.kind), f.field("value", x.value),
                            f.field("expression", x.expression), f.field("description", x.description));
}
template <class Inspector>
bool inspect(Inspector& f, tensor_spec& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("scalar", x.scalar), f.field("shape", x.shape), f.field("type", x.type),
                            f.field("description", x.description));
}
template <class Inspector>
bool inspect(Inspector& f, tolerance& x) {
  return f.object(x).fields(f.field("atol", x.atol), f.field("rtol", x.rtol), f.field("matched_ratio", x.matched_ratio),
                            f.field("bitwise", x.bitwise));
}
template <class Inspector>
bool inspect(Inspector& f, distribution& x) {
  return f.object(x).fields(f.field("input", x.input), f.field("kind", x.kind), f.field("a", x.a), f.field("b", x.b));
}
template <class Inspector>
bool inspect(Inspector& f, operator_definition& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("op_type", x.op_type), f.field("axes", x.axes), f.field("inputs", x.inputs),
                            f.field("outputs", x.outputs), f.field("reference", x.reference), f.field("tags", x.tags),
                            f.field("description", x.description), f.field("constraints", x.constraints), f.field("traced", x.traced),
                            f.field("tolerated", x.tolerated), f.field("distributions", x.distributions),
                            f.field("provenance", x.provenance), f.field("extra", x.extra));
}
template <class Inspector>
bool inspect(Inspector& f, workload_input& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("kind", x.kind), f.field("value", x.value), f.field("path", x.path),
                            f.field("tensor_key", x.tensor_key));
}
template <class Inspector>
bool inspect(Inspector& f, workload& x) {
  return f.object(x).fields(f.field("uuid", x.uuid), f.field("name", x.name), f.field("axes", x.axes), f.field("inputs", x.inputs),
                            f.field("tolerated", x.tolerated), f.field("extra", x.extra));
}
template <class Inspector>
bool inspect(Inspector& f, problem& x) {
  return f.object(x).fields(f.field("op", x.op), f.field("workloads", x.workloads));
}

} // namespace kevolve
