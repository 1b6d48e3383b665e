// Which cases a check runs: bindings of the variable axes and kinds of values.
#include "node-agent/inputs.hpp"
#include "protocol/rng.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

namespace kevolve::agent {
namespace {

constexpr double cheap_work = 2e7; // operations of a call that takes a plain loop nest some 20 ms

/// A constraint like "M % 8 == 0" or "K <= N and N > 1": true, false, or nothing where it is not of this form.
std::optional<bool> holds(std::string_view constraint, const axis_binding& axes) {
  if (auto both = constraint.find(" and "); both != std::string_view::npos) {
    auto left = holds(constraint.substr(0, both), axes), right = holds(constraint.substr(both + 5), axes);
    return left && right ? std::optional(*left && *right) : std::nullopt;
  }
  for (std::string_view sign : {"==", "!=", "<=", ">=", "<", ">"}) {
    auto at = constraint.find(sign);
    if (at == std::string_view::npos)
      continue;
    auto left = evaluate(constraint.substr(0, at), axes), right = evaluate(constraint.substr(at + sign.size()), axes);
    if (!left || !right)
      return std::nullopt;
    if (sign == "==")
      return *left == *right;
    if (sign == "!=")
      return *left != *right;
    if (sign == "<=")
      return *left <= *right;
    if (sign == ">=")
      return *left >= *right;
    return sign == "<" ? *left < *right : *left > *right;
  }
  return std::nullopt;
}

bool acceptable(const operator_definition& op, const axis_binding& variable_axes) {
  auto axes = bind_axes(op, variable_axes);
  if (!axes)
    return false;
  for (const auto& constraint : op.constraints)
    if (!holds(constraint, *axes).value_or(false))
      return false;
  for (const auto* tensors : {&op.inputs, &op.outputs}) {
    auto bound = layouts(*tensors, *axes);
    if (!bound)
      return false;
    for (const auto& t : *bound)
      if (t.bytes == 0)
        return false;
  }
  return true;
}

double elements_of(const operator_definition& op, const axis_binding& variable_axes) {
  double total = 0;
  auto axes = bind_axes(op, variable_axes);
  if (!axes)
    return total;
  for (const auto* tensors : {&op.inputs, &op.outputs})
    if (auto bound = layouts(*tensors, *axes))
      for (const auto& t : *bound)
        total += static_cast<double>(t.bytes / size_of(t.type));
  return total;
}

/// What one call costs at the least: operations, and elements moved.
double work_of(const operator_definition& op, const axis_binding& variable_axes) {
  auto axes = bind_axes(op, variable_axes);
  auto cost = axes ? cost_of(op, *axes) : result<graph_cost>(axes.error());
  return (cost ? cost->operations : 0) + elements_of(op, variable_axes);
}

/// Bindings off the beaten track, the small ones first. Axes are rotated through the sizes so that they differ from one another. None costs more
/// than `most_work`, except that there is always one.
std::vector<axis_binding> odd_bindings(const operator_definition& op, double most_work) {
  constexpr std::array<std::int64_t, 6> sizes{7, 1, 17, 3, 37, 65}; // 65: one past a multiple of every vector width
  std::vector<std::string> names;
  for (const auto& a : op.axes)
    if (a.kind == axis_kind::variable)
      names.push_back(a.name);
  std::vector<axis_binding> out;
  if (names.empty())
    return out;
  auto add = [&](axis_binding b) {
    if (acceptable(op, b) && work_of(op, b) <= most_work && std::find(out.begin(), out.end(), b) == out.end())
      out.push_back(std::move(b));
  };
  for (std::size_t turn = 0; turn < sizes.size(); ++turn) {
    axis_binding rotated;
    for (std::size_t i = 0; i < names.size(); ++i)
      rotated.emplace_back(names[i], sizes[(turn + (sizes[turn] == 1 ? 0 : 2 * i)) % sizes.size()]);
    add(rotated);
  }
  for (auto multiple : {std::int64_t{8}, std::int64_t{48}}) // for operators that insist on divisibility
    if (out.empty()) {
      axis_binding even;
      for (const auto& name : names)
        even.emplace_back(name, multiple);
      add(even);
    }
  if (out.empty() && std::isfinite(most_work)) {
    auto any = odd_bindings(op, std::numeric_limits<double>::infinity());
    const auto cheapest = std::min_element(any.begin(), any.end(), [&](const auto& a, const auto& b) { return work_of(op, a) < work_of(op, b); });
    if (cheapest != any.end())
      out = {*cheapest};
  }
  return out;
}

} // namespace

std::vector<check_case> plan_cases(const problem& subject, std::uint64_t seed) {
  std::vector<check_case> plan;
  auto add = [&](axis_binding axes, case_kind kind, bool optional, std::string workload) {
    rng draw(seed, plan.size(), "case");
    plan.push_back({std::move(axes), kind, draw(), 1, optional, std::move(workload)});
  };
  const axis_binding* smallest = nullptr;
  std::string smallest_id;
  double least = 0, most_work = cheap_work;
  for (const auto& w : subject.workloads) {
    most_work = std::max(most_work, work_of(subject.op, w.axes));
    add(w.axes, case_kind::random, false, w.uuid);
    if (auto size = elements_of(subject.op, w.axes); !smallest || size < least) {
      smallest = &w.axes;
      smallest_id = w.uuid;
      least = size;
    }
  }
  auto odd = odd_bindings(subject.op, most_work);
  for (const auto& axes : odd)
    add(axes, case_kind::random, true, {});
  // Hard values need no large sizes.
  if (auto cheap = odd_bindings(subject.op, cheap_work); !cheap.empty())
    odd = std::move(cheap);
  for (std::uint64_t k = 1; k <= enum_max(case_kind{}); ++k)
    if (!odd.empty())
      add(odd[(k - 1) % std::min<std::size_t>(odd.size(), 4)], static_cast<case_kind>(k), true, {});
    else if (smallest)
      add(*smallest, static_cast<case_kind>(k), false, smallest_id);
  return plan;
}

} // namespace kevolve::agent
