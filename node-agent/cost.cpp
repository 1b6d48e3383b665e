// What any implementation of an operator has to move and compute.
#include "node-agent/oracle.hpp"
#include "node-agent/oracle/work.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>

namespace kevolve::agent {
namespace {

double count_of(const oracle::extents& shape) {
  double n = 1;
  for (auto s : shape)
    n *= static_cast<double>(s);
  return n;
}

/// Operations that read no more of their first tensor than they give back.
bool reads_in_part(std::string_view op) {
  constexpr std::array<std::string_view, 8> names{"embedding", "index_select", "gather", "index", "slice", "select", "narrow", "as_strided"};
  if (op.starts_with("aten."))
    op.remove_prefix(5);
  return std::find(names.begin(), names.end(), op.substr(0, op.find('.'))) != names.end();
}

bool mentions(const argument& a, const std::string& value) {
  if (a.kind == argument_kind::value)
    return a.text == value;
  return std::any_of(a.items.begin(), a.items.end(), [&](const argument& item) { return mentions(item, value); });
}

/// Elements of a graph input that have to be read: all, none where no node reads it, or what its partial readers give back.
double elements_read(const graph& g, const oracle::shapes_of_values& shapes, const std::string& input, double all) {
  double most = 0;
  for (const auto& node : g.nodes)
    for (std::size_t i = 0; i < node.arguments.size(); ++i)
      if (mentions(node.arguments[i].second, input)) {
        bool part = reads_in_part(node.op) && (node.arguments[i].first == "self" || node.arguments[i].first == "weight");
        auto made = node.outputs.empty() ? shapes.end() : shapes.find(node.outputs[0].name);
        most += part && made != shapes.end() ? count_of(made->second) : all;
      }
  bool returned = std::find(g.outputs.begin(), g.outputs.end(), input) != g.outputs.end();
  return returned ? all : std::min(most, all);
}

double bytes_of(const tensor_spec& spec, const axis_binding& axes) {
  auto shape = bind_shape(spec.shape, axes);
  if (!shape)
    oracle::refuse("tensor " + spec.name + ": " + shape.error().message);
  return count_of(*shape) * static_cast<double>(size_of(spec.type));
}

graph_cost cost_of_bound(const operator_definition& op, const axis_binding& axes) {
  graph_cost cost;
  oracle::shapes_of_values shapes;
  if (op.traced)
    shapes = oracle::shapes_of(*op.traced, axes);
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    double bytes = bytes_of(op.inputs[i], axes);
    if (op.traced && i < op.traced->inputs.size()) {
      const auto& name = op.traced->inputs[i].name;
      double all = count_of(shapes.at(name));
      bytes *= all > 0 ? elements_read(*op.traced, shapes, name, all) / all : 0;
    }
    cost.input_bytes += bytes;
  }
  for (const auto& out : op.outputs)
    cost.output_bytes += bytes_of(out, axes);
  if (op.traced)
    for (const auto& node : op.traced->nodes) {
      auto work = oracle::work_of(node, shapes, axes);
      cost.operations += work.operations;
      cost.transcendentals += work.transcendentals;
    }
  return cost;
}

} // namespace

result<graph_cost> cost_of(const operator_definition& op, const axis_binding& axes) {
  try {
    return cost_of_bound(op, axes);
  } catch (const oracle::refusal& r) {
    return error{errc::specification, "operator " + op.name + ": " + r.message};
  }
}

} // namespace kevolve::agent
