#include "protocol/json_fields.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <unordered_map>

namespace kevolve {

result<std::string> read_expression(const json_place& at) {
  if (at->is_number_integer()) {
    KEVOLVE_TRY(value, at.integer());
    return std::to_string(value);
  }
  if (!at->is_string())
    return at.wrong("an integer or an expression over the axes");
  KEVOLVE_TRY(text, at.text());
  if (auto names = names_in(text); !names)
    return at.problem(names.error().message);
  return text;
}

result<dtype> read_dtype(const json_place& at) {
  KEVOLVE_TRY(name, at.text());
  if (auto type = dtype_from_string(name))
    return *type;
  std::string known;
  for (std::uint64_t i = 0; i <= enum_max(dtype{}); ++i)
    known += (i ? ", " : "") + std::string(to_string(static_cast<dtype>(i)));
  return at.wrong("one of " + known);
}

json write_extent(const std::string& text) {
  std::int64_t value = 0;
  for (char c : text)
    if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, c - '0', &value))
      return text;
  return text.empty() ? json(text) : json(value);
}

namespace {

constexpr std::size_t deepest_list = 8;
constexpr const char* argument_forms =
  "an integer, a real, true, false, null, a text, a list, {\"v\": value}, {\"e\": expression}, {\"f\": \"Infinity\"} or {\"dtype\": name}";

result<graph_value> read_value(const json_place& at) {
  graph_value value;
  KEVOLVE_TRY(name_at, at.field("name", "a value's name"));
  KEVOLVE_TRY(name, name_at.text());
  KEVOLVE_TRY(dtype_at, at.field("dtype", "an element type"));
  KEVOLVE_TRY(type, read_dtype(dtype_at));
  KEVOLVE_TRY(shape_at, at.field("shape", "a list of extents"));
  KEVOLVE_TRY_VOID(shape_at.is_array("of extents"));
  if (shape_at->size() > limits::rank)
    return shape_at.problem("rank " + std::to_string(shape_at->size()) + ", expected at most " + std::to_string(limits::rank));
  for (std::size_t i = 0; i < shape_at->size(); ++i) {
    KEVOLVE_TRY(extent, read_expression(shape_at.item(i)));
    value.shape.push_back(std::move(extent));
  }
  value.name = std::move(name);
  value.type = type;
  return value;
}

result<argument> read_argument(const json_place& at, std::size_t depth);

result<argument> read_tagged(const json_place& at) {
  argument found;
  if (at->size() != 1)
    return at.wrong(argument_forms);
  const std::string tag = at->begin().key();
  const auto inner = at.member(tag);
  if (tag == "dtype") {
    KEVOLVE_TRY(type, read_dtype(inner));
    found.kind = argument_kind::type;
    found.text = to_string(type);
  } else if (tag == "v") {
    KEVOLVE_TRY(name, inner.text());
    found.kind = argument_kind::value;
    found.text = std::move(name);
  } else if (tag == "e") {
    KEVOLVE_TRY(text, read_expression(inner));
    found.kind = argument_kind::expression;
    found.text = std::move(text);
  } else if (tag == "f") {
    KEVOLVE_TRY(value, inner.real());
    found.kind = argument_kind::real;
    found.real = value;
  } else {
    return at.wrong(argument_forms);
  }
  return found;
}

result<argument> read_argument(const json_place& at, std::size_t depth) {
  argument found;
  if (at->is_object())
    return read_tagged(at);
  if (at->is_null())
    return found;
  if (at->is_boolean()) {
    found.kind = argument_kind::boolean;
    found.boolean = at->get<bool>();
  } else if (at->is_number_integer()) {
    KEVOLVE_TRY(value, at.integer());
    found.kind = argument_kind::expression;
    found.text = std::to_string(value);
  } else if (at->is_number()) {
    found.kind = argument_kind::real;
    found.real = at->get<double>();
  } else if (at->is_string()) {
    found.kind = argument_kind::text;
    found.text = at->get<std::string>();
  } else {
    if (depth == 0)
      return at.problem("lists nested deeper than " + std::to_string(deepest_list));
    found.kind = argument_kind::list;
    found.items.reserve(at->size());
    for (std::size_t i = 0; i < at->size(); ++i) {
      KEVOLVE_TRY(item, read_argument(at.item(i), depth - 1));
      found.items.push_back(std::move(item));
    }
  }
  return found;
}

result<graph_node> read_node(const json_place& at) {
  graph_node node;
  KEVOLVE_TRY(op_at, at.field("op", "an operation such as aten.add.Tensor"));
  KEVOLVE_TRY(op, op_at.text());
  node.op = std::move(op);
  if (std::count(node.op.begin(), node.op.end(), '.') < 1)
    return op_at.wrong("namespace.name.overload");
  KEVOLVE_TRY(args_at, at.field("args", "the operation's arguments by name"));
  KEVOLVE_TRY_VOID(args_at.is_object("arguments by name"));
  for (const auto& [name, value] : args_at->items()) {
    KEVOLVE_TRY(found, read_argument(args_at.member(name), deepest_list));
    node.arguments.emplace_back(name, std::move(found));
  }
  KEVOLVE_TRY(out_at, at.field("out", "a list of values"));
  KEVOLVE_TRY_VOID(out_at.is_array("of values"));
  for (std::size_t i = 0; i < out_at->size(); ++i) {
    KEVOLVE_TRY(value, read_value(out_at.item(i)));
    node.outputs.push_back(std::move(value));
  }
  return node;
}

/// Every value is made once, before it is read.
class order_check {
public:
  result<void> define(const std::string& name, const json_place& at) {
    if (!name.empty() && !known_.emplace(name, true).second)
      return at.problem("the value '" + name + "' is made twice");
    return {};
  }
  result<void> read(const argument& argument, const json_place& at) const {
    if (argument.kind == argument_kind::value && !known_.count(argument.text))
      return at.problem("reads the value '" + argument.text + "', which nothing before it makes");
    for (const auto& item : argument.items)
      KEVOLVE_TRY_VOID(read(item, at));
    return {};
  }
  bool knows(const std::string& name) const { return known_.count(name) > 0; }

private:
  std::unordered_map<std::string, bool> known_;
};

json write_value(const graph_value& value) {
  json shape = json::array();
  for (const auto& extent : value.shape)
    shape.push_back(write_extent(extent));
  return {{"name", value.name}, {"dtype", to_string(value.type)}, {"shape", std::move(shape)}};
}

json write_argument(const argument& a) {
  switch (a.kind) {
    case argument_kind::none: return nullptr;
    case argument_kind::value: return {{"v", a.text}};
    case argument_kind::expression: {
      bool negative = a.text.size() > 1 && a.text[0] == '-';
      json number = write_extent(negative ? a.text.substr(1) : a.text);
      if (!number.is_number())
        return {{"e", a.text}};
      return negative ? json(-number.get<std::int64_t>()) : number;
    }
    case argument_kind::real: return json_real(a.real).is_string() ? json{{"f", json_real(a.real)}} : json(a.real);
    case argument_kind::boolean: return a.boolean;
    case argument_kind::text: return a.text;
    case argument_kind::type: return {{"dtype", a.text}};
    case argument_kind::list: break;
  }
  json items = json::array();
  for (const auto& item : a.items)
    items.push_back(write_argument(item));
  return items;
}

} // namespace

result<graph> graph_from_json(const json& value, const std::string& where) {
  const json_place at(value, where);
  graph found;
  order_check order;
  if (auto version = at.find("version")) {
    KEVOLVE_TRY(number, version->size());
    if (number != 1)
      return version->wrong("1: a newer kevolve wrote this graph");
  }
  KEVOLVE_TRY(inputs_at, at.field("inputs", "a list of values"));
  KEVOLVE_TRY_VOID(inputs_at.is_array("of values"));
  for (std::size_t i = 0; i < inputs_at->size(); ++i) {
    KEVOLVE_TRY(input, read_value(inputs_at.item(i)));
    KEVOLVE_TRY_VOID(order.define(input.name, inputs_at.item(i)));
    found.inputs.push_back(std::move(input));
  }
  KEVOLVE_TRY(nodes_at, at.field("nodes", "a list of operations"));
  KEVOLVE_TRY_VOID(nodes_at.is_array("of operations"));
  if (nodes_at->size() > limits::graph_nodes)
    return nodes_at.problem(std::to_string(nodes_at->size()) + " operations, expected at most " + std::to_string(limits::graph_nodes));
  for (std::size_t i = 0; i < nodes_at->size(); ++i) {
    const auto node_at = nodes_at.item(i);
    KEVOLVE_TRY(node, read_node(node_at));
    for (const auto& [name, argument] : node.arguments)
      KEVOLVE_TRY_VOID(order.read(argument, node_at));
    for (const auto& output : node.outputs)
      KEVOLVE_TRY_VOID(order.define(output.name, node_at));
    found.nodes.push_back(std::move(node));
  }
  KEVOLVE_TRY(outputs_at, at.field("outputs", "a list of value names"));
  KEVOLVE_TRY(outputs, outputs_at.texts());
  for (const auto& name : outputs)
    if (!order.knows(name))
      return outputs_at.problem("the value '" + name + "' is made by nothing");
  found.outputs = std::move(outputs);
  return found;
}

json to_json(const graph& g) {
  json inputs = json::array(), nodes = json::array();
  for (const auto& input : g.inputs)
    inputs.push_back(write_value(input));
  for (const auto& node : g.nodes) {
    json arguments = json::object(), outputs = json::array();
    for (const auto& [name, argument] : node.arguments)
      arguments[name] = write_argument(argument);
    for (const auto& output : node.outputs)
      outputs.push_back(write_value(output));
    nodes.push_back({{"op", node.op}, {"args", std::move(arguments)}, {"out", std::move(outputs)}});
  }
  return {{"version", g.version}, {"inputs", std::move(inputs)}, {"nodes", std::move(nodes)}, {"outputs", g.outputs}};
}

} // namespace kevolve
