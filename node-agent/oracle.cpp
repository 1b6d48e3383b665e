#include "node-agent/oracle.hpp"

#include "node-agent/oracle/call.hpp"
#include "node-agent/oracle/run.hpp"
#include "node-agent/oracle/work.hpp"
#include "node-agent/storage.hpp"

#include <algorithm>
#include <cmath>
#include <new>
#include <unordered_map>

namespace kevolve::agent {
namespace oracle {

operation find_operation(std::string_view op) {
  static const auto table = [] {
    std::unordered_map<std::string_view, operation> all;
    for (auto f : {unary_operations(), binary_operations(), activation_operations(), view_operations(), reduction_operations(),
                   softmax_operations(), contraction_operations(), creation_operations(), indexing_operations(), convolution_operations(),
                   attention_operations(), normalisation_operations(), pooling_operations(), resampling_operations(),
                   ordering_operations(), loss_operations(), recurrent_operations(), segment_operations()})
      for (const auto& e : f)
        all.emplace(e.name, e.run);
    return all;
  }();
  constexpr std::string_view prefix = "aten.";
  if (op.starts_with(prefix))
    op.remove_prefix(prefix.size());
  if (auto found = table.find(op); found != table.end())
    return found->second;
  auto base = op.substr(0, op.find('.'));
  if (base.ends_with('_') && !base.ends_with("__"))
    base.remove_suffix(1); // in-place variants are recorded as functions of their old value
  auto found = table.find(base);
  return found == table.end() ? nullptr : found->second;
}

} // namespace oracle

namespace {

using oracle::refusal;
using oracle::tensor;

/// A view of the caller's tensor: storage is borrowed, never written.
tensor borrow(const oracle_tensor& t) {
  tensor out;
  out.type = t.type;
  out.shape = t.shape;
  out.strides = oracle::dense_strides(t.shape);
  auto keep = [](auto*) {};
  if (is_floating(t.type))
    out.reals = {const_cast<std::vector<double>*>(&t.reals), keep};
  else
    out.integers = {const_cast<std::vector<std::int64_t>*>(&t.integers), keep};
  return out;
}

result<oracle::environment_of_values> bind_inputs(const graph& g, const axis_binding& axes, const std::vector<oracle_tensor>& inputs) {
  if (inputs.size() != g.inputs.size())
    return error{errc::specification, "the graph has " + std::to_string(g.inputs.size()) + " inputs, found " + std::to_string(inputs.size())};
  oracle::environment_of_values values;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    KEVOLVE_TRY(shape, bind_shape(g.inputs[i].shape, axes));
    KEVOLVE_TRY(count, element_count(shape));
    const auto& in = inputs[i];
    auto held = is_floating(in.type) ? in.reals.size() : in.integers.size();
    if (in.shape != shape || held != static_cast<std::size_t>(count) || is_floating(in.type) != is_floating(g.inputs[i].type))
      return error{errc::specification, "input " + g.inputs[i].name + ": expected " + std::string(to_string(g.inputs[i].type)) +
                                            oracle::to_text(shape) + ", found " + std::string(to_string(in.type)) + oracle::to_text(in.shape) +
                                            " with " + std::to_string(held) + " elements"};
    values.insert_or_assign(g.inputs[i].name, borrow(in));
  }
  return values;
}

void count_reads(const argument& a, std::unordered_map<std::string, std::size_t>& last, std::size_t node) {
  if (a.kind == argument_kind::value)
    last[a.text] = node;
  for (const auto& each : a.items)
    count_reads(each, last, node);
}

/// For each node, the values that nobody reads after it.
std::vector<std::vector<std::string>> last_reads(const graph& g) {
  std::unordered_map<std::string, std::size_t> last;
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    for (const auto& out : g.nodes[n].outputs)
      last.insert_or_assign(out.name, n);
    for (const auto& [name, a] : g.nodes[n].arguments)
      count_reads(a, last, n);
  }
  for (const auto& name : g.outputs)
    last.erase(name);
  std::vector<std::vector<std::string>> dead(g.nodes.size());
  for (const auto& [name, n] : last)
    dead[n].push_back(name);
  return dead;
}

/// Runs one node and files its results under their names.
void run_node(const graph_node& node, const axis_binding& axes, oracle::environment_of_values& values) {
  auto run = oracle::find_operation(node.op);
  if (!run)
    oracle::refuse("this operation is not known to the interpreter");
  oracle::call c(node, axes, values);
  auto made = run(c);
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const auto& declared = node.outputs[i];
    if (i >= made.size()) {
      if (declared.name.empty())
        continue;
      oracle::refuse("output " + std::to_string(i) + " (" + declared.name + ") is not made by the interpreter");
    }
    tensor& t = made[i];
    if (!declared.name.empty() && t.shape != c.result_shape(i))
      oracle::refuse("gave shape " + oracle::to_text(t.shape) + " for " + declared.name + ", declared " + oracle::to_text(c.result_shape(i)));
    if (t.real() == is_floating(declared.type))
      t.type = declared.type;
    else
      t = oracle::convert(t, declared.type);
    if (!declared.name.empty())
      values.insert_or_assign(declared.name, std::move(t));
  }
}

/// The caller's copy of a result; storage is taken over where nobody else holds it.
oracle_tensor hand_over(tensor t) {
  oracle_tensor out;
  out.type = t.type;
  out.shape = t.shape;
  t = oracle::contiguous(t);
  auto take = [&](auto& from, auto& to) {
    auto begin = from->begin() + t.offset;
    if (from.use_count() == 1 && from->size() == static_cast<std::size_t>(t.count()))
      to = std::move(*from);
    else
      to.assign(begin, begin + t.count());
  };
  if (t.real())
    take(t.reals, out.reals);
  else
    take(t.integers, out.integers);
  return out;
}

/// The largest finite magnitude; infinite where finite inputs gave something that is not.
double magnitude_of(const tensor& t) {
  if (!t.real())
    return 0;
  double most = 0;
  const tensor dense = oracle::contiguous(t);
  const double* x = oracle::data<double>(dense);
  for (std::int64_t i = 0, n = dense.count(); i < n; ++i) {
    double size = std::abs(x[i]);
    most = size > most || size != size ? size : most;
    if (size != size)
      return HUGE_VAL;
  }
  return most;
}

/// The largest magnitude that a kernel may form while it computes this node: sums of terms, of products, of squares.
double formed_magnitude(const graph_node& node, const oracle::node_work& work, const oracle::environment_of_values& values) {
  double largest = 0, second = 0, made = 0;
  const auto look = [&](const argument& a) {
    if (auto found = a.kind == argument_kind::value ? values.find(a.text) : values.end(); found != values.end()) {
      double size = magnitude_of(found->second);
      second = std::max(second, std::min(size, largest));
      largest = std::max(largest, size);
    }
  };
  for (const auto& [name, a] : node.arguments) {
    look(a);
    std::for_each(a.items.begin(), a.items.end(), look);
  }
  for (const auto& out : node.outputs)
    if (auto found = values.find(out.name); found != values.end())
      made = std::max(made, magnitude_of(found->second));
  double term = work.multiplies ? largest * second : work.squares ? largest * largest : work.terms > 1 ? largest : 0;
  return std::max(made, term * work.terms);
}

void note_headroom(const graph_node& node, const axis_binding& axes, const oracle::shapes_of_values& shapes,
                   const oracle::environment_of_values& values, double& headroom) {
  for (const auto& out : node.outputs)
    if (is_floating(out.type) && !out.name.empty()) {
      double formed = formed_magnitude(node, oracle::work_of(node, shapes, axes), values);
      headroom = std::min(headroom, format_of(out.type).largest / std::max(formed, 1e-300));
    }
}

void round_outputs(const graph_node& node, oracle::environment_of_values& values) {
  for (const auto& out : node.outputs) {
    auto found = values.find(out.name);
    if (found == values.end() || !found->second.real() || out.type == dtype::float64)
      continue;
    auto type = out.type;
    found->second = oracle::map<double, double>(type, found->second, [=](double x) { return round_to(type, x); });
  }
}

} // namespace

namespace oracle {

result<std::vector<oracle_tensor>> run(const graph& g, const axis_binding& axes, const std::vector<oracle_tensor>& inputs,
                                       run_settings settings) {
  storage_scope recycled;
  KEVOLVE_TRY(values, bind_inputs(g, axes, inputs));
  const auto borrowed = values; // a second owner, so that no result takes over the caller's storage
  auto dead = last_reads(g);
  shapes_of_values shapes;
  if (settings.headroom) {
    *settings.headroom = HUGE_VAL;
    try {
      shapes = shapes_of(g, axes);
    } catch (const refusal& r) {
      return error{errc::specification, r.message};
    }
  }
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    const auto& node = g.nodes[n];
    auto where = [&] { return node.op + " (node " + std::to_string(n) + ")"; };
    try {
      run_node(node, axes, values);
      if (settings.round_to_declared)
        round_outputs(node, values);
      if (settings.headroom)
        note_headroom(node, axes, shapes, values, *settings.headroom);
    } catch (const refusal& r) {
      return error{errc::specification, where() + ": " + r.message};
    } catch (const std::bad_alloc&) {
      return error{errc::full, where() + ": not enough memory"};
    } catch (const std::exception& e) {
      return error{errc::specification, where() + ": " + e.what()};
    }
    for (const auto& name : dead[n])
      values.erase(name);
  }
  std::vector<oracle_tensor> out;
  for (const auto& name : g.outputs) {
    auto found = values.find(name);
    if (found == values.end())
      return error{errc::specification, "the graph returns " + name + ", which nothing has made"};
    bool again = std::count(g.outputs.begin(), g.outputs.end(), name) > 1;
    tensor t = again ? found->second : std::move(found->second);
    out.push_back(hand_over(std::move(t)));
  }
  return out;
}

} // namespace oracle

result<std::vector<oracle_tensor>> interpret(const graph& g, const axis_binding& axes, const std::vector<oracle_tensor>& inputs) {
  return oracle::run(g, axes, inputs, {});
}

std::vector<std::string> unsupported_operations(const graph& g) {
  std::vector<std::string> missing;
  for (const auto& node : g.nodes)
    if (!oracle::find_operation(node.op) && std::find(missing.begin(), missing.end(), node.op) == missing.end())
      missing.push_back(node.op);
  return missing;
}

} // namespace kevolve::agent
