#include "protocol/operator.hpp"

#include "protocol/limits.hpp"

#include <algorithm>

namespace kevolve {
namespace {

kevolve::error specification(std::string message) { return {errc::specification, std::move(message)}; }

const axis* find_declared(const operator_definition& op, const std::string& name) {
  auto found = std::find_if(op.axes.begin(), op.axes.end(), [&](const axis& x) { return x.name == name; });
  return found == op.axes.end() ? nullptr : &*found;
}

std::string list_variable(const operator_definition& op) {
  std::string names;
  for (const auto& x : op.axes)
    if (x.kind == axis_kind::variable)
      names += (names.empty() ? "" : ", ") + x.name;
  return names.empty() ? "it has none" : names;
}

result<void> check_variable(const operator_definition& op, const axis_binding& given) {
  for (auto entry = given.begin(); entry != given.end(); ++entry) {
    const axis* declared = find_declared(op, entry->first);
    if (!declared || declared->kind != axis_kind::variable)
      return specification("axis '" + entry->first + "': " + op.name + " declares no variable axis of that name (variable axes: " +
                           list_variable(op) + ")");
    if (entry->second < 1)
      return specification("axis '" + entry->first + "': found " + std::to_string(entry->second) + ", expected a size of at least 1");
    if (std::any_of(given.begin(), entry, [&](const auto& x) { return x.first == entry->first; }))
      return specification("axis '" + entry->first + "' is bound twice");
  }
  return {};
}

/// Evaluates expression axes in order of dependency; what is left when nothing more can be evaluated is a cycle or an undeclared name.
result<void> bind_expressions(const operator_definition& op, axis_binding& known) {
  std::vector<const axis*> open;
  for (const auto& x : op.axes)
    if (x.kind == axis_kind::expression)
      open.push_back(&x);
  while (!open.empty()) {
    std::size_t before = open.size();
    kevolve::error last;
    for (auto next = open.begin(); next != open.end();) {
      auto value = evaluate((*next)->expression, known);
      if (!value) {
        last = value.error().in("axis '" + (*next)->name + "'");
        ++next;
        continue;
      }
      if (*value < 0)
        return specification("axis '" + (*next)->name + "': " + (*next)->expression + " gives " + std::to_string(*value) +
                             ", expected no negative value");
      known.emplace_back((*next)->name, *value);
      next = open.erase(next);
    }
    if (open.size() == before)
      return last;
  }
  return {};
}

result<void> check_shapes(const std::vector<tensor_spec>& tensors, const char* role, const axis_binding& axes) {
  for (const auto& tensor : tensors) {
    const std::string where = std::string(role) + " '" + tensor.name + "'";
    auto shape = bind_shape(tensor.shape, axes);
    if (!shape)
      return shape.error().in(where);
    for (std::size_t i = 0; i < shape->size(); ++i)
      if ((*shape)[i] == 0)
        return specification(where + ": dimension " + std::to_string(i) + " (" + tensor.shape[i] + ") has size 0, expected at least 1");
    auto count = element_count(*shape);
    if (!count)
      return count.error().in(where);
  }
  return {};
}

} // namespace

result<axis_binding> bind_axes(const operator_definition& op, const axis_binding& variable_axes) {
  KEVOLVE_TRY_VOID(check_variable(op, variable_axes));
  axis_binding known;
  for (const auto& x : op.axes) {
    if (x.kind == axis_kind::expression)
      continue;
    if (x.kind == axis_kind::constant && x.value < 0)
      return specification("axis '" + x.name + "': found " + std::to_string(x.value) + ", expected no negative value");
    auto value = x.kind == axis_kind::constant ? std::optional(x.value) : find_axis(variable_axes, x.name);
    if (!value)
      return specification("axis '" + x.name + "' of " + op.name + " is not bound by the workload");
    known.emplace_back(x.name, *value);
  }
  KEVOLVE_TRY_VOID(bind_expressions(op, known));
  axis_binding ordered;
  for (const auto& x : op.axes)
    ordered.emplace_back(x.name, *find_axis(known, x.name));
  KEVOLVE_TRY_VOID(check_shapes(op.inputs, "input", ordered));
  KEVOLVE_TRY_VOID(check_shapes(op.outputs, "output", ordered));
  return ordered;
}

result<std::vector<std::int64_t>> bind_shape(const std::vector<std::string>& shape, const axis_binding& axes) {
  if (shape.size() > limits::rank)
    return specification("a shape of rank " + std::to_string(shape.size()) + ", expected at most " + std::to_string(limits::rank));
  std::vector<std::int64_t> bound;
  for (const auto& text : shape) {
    auto value = find_axis(axes, text) ? result<std::int64_t>(*find_axis(axes, text)) : evaluate(text, axes);
    if (!value)
      return std::move(value).error();
    if (*value < 0)
      return specification("dimension '" + text + "' is " + std::to_string(*value) + ", expected no negative size");
    bound.push_back(*value);
  }
  return bound;
}

result<std::int64_t> element_count(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (auto extent : shape)
    if (__builtin_mul_overflow(count, extent, &count)) {
      std::string text;
      for (auto x : shape)
        text.append(text.empty() ? "" : "x").append(std::to_string(x));
      return specification("shape " + text + " has more than 2^63 elements");
    }
  return count;
}

} // namespace kevolve
