// Writes small graphs for tests of the oracle: node("aten.mm", {{"self", of("x")}, {"mat2", of("y")}}, …).
#pragma once

#include "node-agent/oracle.hpp"
#include "protocol/graph.hpp"

#include <string>
#include <utility>
#include <vector>

namespace kevolve::test {

inline argument of(std::string value) { return {.kind = argument_kind::value, .text = std::move(value), .items = {}}; }
inline argument number(double x) { return {.kind = argument_kind::real, .text = {}, .real = x, .items = {}}; }
inline argument whole(std::string expression) { return {.kind = argument_kind::expression, .text = std::move(expression), .items = {}}; }
inline argument whole(std::int64_t x) { return whole(std::to_string(x)); }
inline argument flag(bool x) { return {.kind = argument_kind::boolean, .text = {}, .boolean = x, .items = {}}; }
inline argument text(std::string x) { return {.kind = argument_kind::text, .text = std::move(x), .items = {}}; }
inline argument list(std::vector<argument> items) { return {.kind = argument_kind::list, .text = {}, .items = std::move(items)}; }
inline argument wholes(std::vector<std::int64_t> numbers) {
  argument out = list({});
  for (auto n : numbers)
    out.items.push_back(whole(n));
  return out;
}

using arguments = std::vector<std::pair<std::string, argument>>;

inline std::vector<std::string> shape_text(const std::vector<std::int64_t>& shape) {
  std::vector<std::string> out;
  for (auto s : shape)
    out.push_back(std::to_string(s));
  return out;
}

inline graph_value made(std::string name, std::vector<std::int64_t> shape, dtype type = dtype::float32) {
  return {std::move(name), type, shape_text(shape)};
}

inline agent::oracle_tensor reals(std::vector<std::int64_t> shape, std::vector<double> values, dtype type = dtype::float32) {
  return {type, std::move(shape), std::move(values), {}};
}
inline agent::oracle_tensor integers(std::vector<std::int64_t> shape, std::vector<std::int64_t> values, dtype type = dtype::int64) {
  return {type, std::move(shape), {}, std::move(values)};
}

/// Runs one operation on inputs called a, b, c, …
inline result<std::vector<agent::oracle_tensor>> run_one(const std::string& op, const arguments& args, std::vector<graph_value> outputs,
                                                         const std::vector<agent::oracle_tensor>& inputs) {
  graph g;
  char name = 'a';
  for (const auto& in : inputs)
    g.inputs.push_back({std::string(1, name++), in.type, shape_text(in.shape)});
  for (const auto& out : outputs)
    g.outputs.push_back(out.name);
  g.nodes.push_back({op, args, std::move(outputs)});
  return agent::interpret(g, {}, inputs);
}

} // namespace kevolve::test
