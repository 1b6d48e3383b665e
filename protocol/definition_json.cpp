#include "protocol/json_fields.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <array>

namespace kevolve {
namespace {

constexpr std::size_t most_tensors = 4096; // inputs with captured parameters: deep networks have hundreds
constexpr std::array<std::string_view, 5> distribution_names{"normal", "uniform", "integers", "constant", "ascending"};

result<axis> read_axis(const std::string& name, const json_place& at, json& extra) {
  axis found{.name = name};
  KEVOLVE_TRY_VOID(at.is_object("an axis"));
  KEVOLVE_TRY(type_at, at.field("type", "const, var or expr"));
  KEVOLVE_TRY(type, type_at.text());
  if (type == "const") {
    KEVOLVE_TRY(value_at, at.field("value", "the axis' size"));
    KEVOLVE_TRY(value, value_at.size());
    found.kind = axis_kind::constant;
    found.value = value;
  } else if (type == "expr") {
    KEVOLVE_TRY(text_at, at.field("expression", "an expression over the axes"));
    KEVOLVE_TRY(text, read_expression(text_at));
    found.kind = axis_kind::expression;
    found.expression = std::move(text);
  } else if (type != "var") {
    return type_at.wrong("const, var or expr");
  }
  if (auto description = at.find("description")) {
    KEVOLVE_TRY(text, description->text());
    found.description = std::move(text);
  }
  at.keep_unknown({"type", type == "const" ? "value" : "type", type == "expr" ? "expression" : "type", "description"}, extra);
  return found;
}

bool declares(const operator_definition& op, const std::string& name) {
  return std::any_of(op.axes.begin(), op.axes.end(), [&](const axis& x) { return x.name == name; });
}

result<void> check_names(const operator_definition& op, const std::string& expression, const json_place& at) {
  auto names = names_in(expression);
  if (!names)
    return at.problem(names.error().message);
  for (const auto& name : *names)
    if (!declares(op, name)) {
      std::string known;
      for (const auto& x : op.axes)
        known += (known.empty() ? "" : ", ") + x.name;
      return at.problem("axis '" + name + "' is not declared (declared: " + (known.empty() ? "none" : known) + ")");
    }
  return {};
}

result<tensor_spec> read_tensor(const operator_definition& op, const std::string& name, const json_place& at, json& extra) {
  tensor_spec found{.name = name};
  KEVOLVE_TRY_VOID(at.is_object("a tensor"));
  KEVOLVE_TRY(shape_at, at.field("shape", "a list of axes, or null for a Python scalar"));
  found.scalar = shape_at->is_null();
  if (!found.scalar) {
    KEVOLVE_TRY_VOID(shape_at.is_array("of axes; null for a Python scalar"));
    if (shape_at->size() > limits::rank)
      return shape_at.problem("rank " + std::to_string(shape_at->size()) + ", expected at most " + std::to_string(limits::rank));
    for (std::size_t i = 0; i < shape_at->size(); ++i) {
      KEVOLVE_TRY(extent, read_expression(shape_at.item(i)));
      KEVOLVE_TRY_VOID(check_names(op, extent, shape_at.item(i)));
      found.shape.push_back(std::move(extent));
    }
  }
  KEVOLVE_TRY(dtype_at, at.field("dtype", "an element type"));
  KEVOLVE_TRY(type, read_dtype(dtype_at));
  found.type = type;
  if (auto description = at.find("description")) {
    KEVOLVE_TRY(text, description->text());
    found.description = std::move(text);
  }
  at.keep_unknown({"shape", "dtype", "description"}, extra);
  return found;
}

result<std::vector<tensor_spec>> read_tensors(const operator_definition& op, const json_place& at, json& extra) {
  KEVOLVE_TRY_VOID(at.is_object("tensors by name, in calling order"));
  if (at->size() > most_tensors)
    return at.problem(std::to_string(at->size()) + " tensors, expected at most " + std::to_string(most_tensors));
  std::vector<tensor_spec> found;
  for (const auto& [name, value] : at->items()) {
    const auto place = at.member(name);
    if (auto good = json_place(json(name), "").identifier(); !good)
      return place.problem("found the name \"" + name + "\", expected letters, digits and _, not starting with a digit");
    KEVOLVE_TRY(tensor, read_tensor(op, name, place, extra));
    found.push_back(std::move(tensor));
  }
  return found;
}

result<distribution> read_distribution(const operator_definition& op, const std::string& input, const json_place& at) {
  const char* expected = R"({"normal": [mean, deviation]}, {"uniform": [low, high]}, {"integers": [low, high]}, {"ascending": [low, high]} or {"constant": value})";
  if (std::none_of(op.inputs.begin(), op.inputs.end(), [&](const auto& x) { return x.name == input; }))
    return at.problem("the operator has no input of that name");
  if (!at->is_object() || at->size() != 1)
    return at.wrong(expected);
  const auto parameters = at.member(at->begin().key());
  auto kind = std::find(distribution_names.begin(), distribution_names.end(), at->begin().key());
  if (kind == distribution_names.end())
    return at.wrong(expected);
  distribution found{.input = input, .kind = static_cast<distribution_kind>(kind - distribution_names.begin())};
  if (found.kind == distribution_kind::constant) {
    KEVOLVE_TRY(value, parameters.real());
    found.a = value;
    found.b = 0;
    return found;
  }
  if (!parameters->is_array() || parameters->size() != 2)
    return parameters.wrong("two numbers");
  KEVOLVE_TRY(a, parameters.item(0).real());
  KEVOLVE_TRY(b, parameters.item(1).real());
  if (found.kind == distribution_kind::normal ? !(b >= 0) : !(b > a))
    return parameters.wrong(found.kind == distribution_kind::normal ? "a deviation that is not negative" : "low below high");
  found.a = a;
  found.b = b;
  return found;
}

json write_distribution(const distribution& d) {
  const std::string name(distribution_names[static_cast<std::size_t>(d.kind)]);
  json out = json::object();
  if (d.kind == distribution_kind::constant)
    out[name] = json_real(d.a);
  else
    out[name] = json::array({json_real(d.a), json_real(d.b)});
  return out;
}

/// The graph takes the operator's inputs and gives its outputs.
result<void> check_graph(const operator_definition& op, const json_place& at) {
  const auto& g = *op.traced;
  bool same = g.inputs.size() == op.inputs.size() && g.outputs.size() == op.outputs.size();
  for (std::size_t i = 0; same && i < g.inputs.size(); ++i)
    same = g.inputs[i].name == op.inputs[i].name && g.inputs[i].type == op.inputs[i].type &&
           g.inputs[i].shape.size() == op.inputs[i].shape.size();
  if (!same)
    return at.problem("its inputs and outputs are not those of the definition, in the same order; trace the reference again");
  for (const auto& node : g.nodes)
    for (const auto& output : node.outputs)
      for (const auto& extent : output.shape)
        KEVOLVE_TRY_VOID(check_names(op, extent, at));
  return {};
}

result<void> read_ours(operator_definition& op, const json_place& at, const std::string& where, json& extra) {
  KEVOLVE_TRY_VOID(at.is_object("what kevolve adds"));
  if (auto graph_at = at.find("graph")) {
    KEVOLVE_TRY(traced, graph_from_json(**graph_at, where + ": field 'x_kevolve.graph'"));
    op.traced = std::move(traced);
    KEVOLVE_TRY_VOID(check_graph(op, *graph_at));
  }
  if (auto tolerance_at = at.find("tolerance")) {
    KEVOLVE_TRY(tolerated, read_tolerance(*tolerance_at, extra));
    op.tolerated = tolerated;
  }
  if (auto distributions = at.find("distributions")) {
    KEVOLVE_TRY_VOID(distributions->is_object("distributions by input"));
    for (const auto& [input, value] : (*distributions)->items()) {
      KEVOLVE_TRY(found, read_distribution(op, input, distributions->member(input)));
      op.distributions.push_back(std::move(found));
    }
  }
  if (auto provenance = at.find("provenance")) {
    KEVOLVE_TRY(text, provenance->text());
    op.provenance = std::move(text);
  }
  at.keep_unknown({"graph", "tolerance", "distributions", "provenance", "workloads"}, extra);
  return {};
}

result<void> read_texts(operator_definition& op, const json_place& at) {
  KEVOLVE_TRY(name_at, at.field("name", "the operator's name"));
  KEVOLVE_TRY(name, name_at.identifier());
  op.name = std::move(name);
  for (auto [key, member] : {std::pair{"op_type", &op.op_type}, std::pair{"description", &op.description}})
    if (auto place = at.find(key)) {
      KEVOLVE_TRY(text, place->text());
      *member = std::move(text);
    }
  KEVOLVE_TRY(reference_at, at.field("reference", "Python source with a top-level function run"));
  KEVOLVE_TRY(reference, reference_at.text());
  if (reference.find("def run") == std::string::npos && reference.find("run =") == std::string::npos)
    return reference_at.problem("found no top-level function 'run' in the source");
  op.reference = std::move(reference);
  for (auto [key, member] : {std::pair{"tags", &op.tags}, std::pair{"constraints", &op.constraints}})
    if (auto place = at.find(key)) {
      KEVOLVE_TRY(texts, place->texts());
      *member = std::move(texts);
    }
  return {};
}

/// Extents that need no workload: a shape that is absurd for every workload is an error of the definition.
result<void> check_constant_shapes(const operator_definition& op, const json_place& at) {
  axis_binding ones;
  for (const auto& x : op.axes) {
    if (x.kind == axis_kind::expression)
      return {}; // may need divisible values; checked with each workload
    if (x.kind == axis_kind::variable)
      ones.emplace_back(x.name, 1);
  }
  auto bound = bind_axes(op, ones);
  return bound ? result<void>() : at.problem(bound.error().message);
}

json write_tensors(const std::vector<tensor_spec>& tensors) {
  json out = json::object();
  for (const auto& tensor : tensors) {
    json entry = json::object(), shape = json::array();
    for (const auto& extent : tensor.shape)
      shape.push_back(write_extent(extent));
    entry["shape"] = tensor.scalar ? json(nullptr) : std::move(shape);
    entry["dtype"] = to_string(tensor.type);
    if (!tensor.description.empty())
      entry["description"] = tensor.description;
    out[tensor.name] = std::move(entry);
  }
  return out;
}

json write_axes(const std::vector<axis>& axes) {
  json out = json::object();
  for (const auto& x : axes) {
    json entry = json::object();
    entry["type"] = x.kind == axis_kind::constant ? "const" : x.kind == axis_kind::variable ? "var" : "expr";
    if (x.kind == axis_kind::constant)
      entry["value"] = x.value;
    if (x.kind == axis_kind::expression)
      entry["expression"] = x.expression;
    if (!x.description.empty())
      entry["description"] = x.description;
    out[x.name] = std::move(entry);
  }
  return out;
}

} // namespace

result<operator_definition> definition_from_json(const json& value, const std::string& where) {
  const json_place at(value, where);
  operator_definition op;
  json extra = json::object();
  KEVOLVE_TRY_VOID(at.is_object("a Definition"));
  KEVOLVE_TRY_VOID(read_texts(op, at));
  KEVOLVE_TRY(axes_at, at.field("axes", "axes by name"));
  KEVOLVE_TRY_VOID(axes_at.is_object("axes by name"));
  for (const auto& [name, entry] : axes_at->items()) {
    if (auto good = json_place(json(name), "").identifier(); !good)
      return axes_at.member(name).problem("found the name \"" + name + "\", expected letters, digits and _, not starting with a digit");
    KEVOLVE_TRY(found, read_axis(name, axes_at.member(name), extra));
    op.axes.push_back(std::move(found));
  }
  for (const auto& x : op.axes)
    if (x.kind == axis_kind::expression)
      KEVOLVE_TRY_VOID(check_names(op, x.expression, axes_at.member(x.name)));
  KEVOLVE_TRY(inputs_at, at.field("inputs", "tensors by name"));
  KEVOLVE_TRY(inputs, read_tensors(op, inputs_at, extra));
  op.inputs = std::move(inputs);
  KEVOLVE_TRY(outputs_at, at.field("outputs", "tensors by name"));
  KEVOLVE_TRY(outputs, read_tensors(op, outputs_at, extra));
  op.outputs = std::move(outputs);
  if (op.outputs.empty())
    return outputs_at.problem("found no output, expected at least one");
  for (const auto& output : op.outputs)
    if (inputs_at->contains(output.name))
      return outputs_at.member(output.name).problem("an input has the same name");
  KEVOLVE_TRY_VOID(check_constant_shapes(op, at));
  if (auto ours = at.find("x_kevolve"))
    KEVOLVE_TRY_VOID(read_ours(op, *ours, where, extra));
  at.keep_unknown({"name", "op_type", "axes", "inputs", "outputs", "reference", "tags", "description", "constraints", "x_kevolve"}, extra);
  if (!extra.empty())
    op.extra = extra.dump();
  return op;
}

json to_json(const operator_definition& op) {
  json out = json::object();
  out["name"] = op.name;
  out["op_type"] = op.op_type;
  out["axes"] = write_axes(op.axes);
  out["inputs"] = write_tensors(op.inputs);
  out["outputs"] = write_tensors(op.outputs);
  out["reference"] = op.reference;
  out["tags"] = op.tags;
  if (!op.description.empty())
    out["description"] = op.description;
  out["constraints"] = op.constraints;
  json ours = json::object(), distributions = json::object();
  ours["tolerance"] = write_tolerance(op.tolerated);
  for (const auto& d : op.distributions)
    distributions[d.input] = write_distribution(d);
  if (!distributions.empty())
    ours["distributions"] = std::move(distributions);
  if (!op.provenance.empty())
    ours["provenance"] = op.provenance;
  if (op.traced)
    ours["graph"] = to_json(*op.traced);
  out["x_kevolve"] = std::move(ours);
  restore_unknown(out, op.extra);
  return out;
}

} // namespace kevolve
