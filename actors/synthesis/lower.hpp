// Operator graph -> program: views fold into access maps, composite operations decompose into maps, reductions and scans. One table of
// operations per family (pointwise, views, reductions, contractions, windows, recurrent layers). Any thread, one object each.
#pragma once

#include "actors/synthesis/ir.hpp"
#include "protocol/operator.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace kevolve::synthesis {

/// A graph value as an access: element `$0, $1, …` of `shape` lies at `at` of a program value.
struct tensor_ref {
  int value = -1;
  std::vector<index> at;
  std::vector<index> shape;
  dtype type = dtype::float32;
};

class lowering {
public:
  using element = std::function<expr_ref(const std::vector<index>& at)>;
  explicit lowering(const operator_definition& op) : op_(op) {}
  result<program> run();

  // What the tables of operations are written with.
  const tensor_ref& tensor(const std::string& argument_name);
  const tensor_ref& named(const std::string& value_name);
  [[nodiscard]] const argument* find(const std::string& argument_name) const;
  bool has(const std::string& argument_name) const; // present and not None
  std::optional<double> real(const std::string& argument_name) const;
  std::int64_t integer(const std::string& argument_name, std::int64_t otherwise);
  bool flag(const std::string& argument_name, bool otherwise) const;
  std::string text(const std::string& argument_name, const std::string& otherwise) const;
  index extent(const argument& a);
  std::vector<std::int64_t> integers(const std::string& argument_name);
  std::vector<std::size_t> dims(const std::string& argument_name, std::size_t rank); // wrapped; all when absent or empty
  std::size_t wrap(std::int64_t dim, std::size_t rank);
  std::vector<index> output_shape(std::size_t which = 0);
  const graph_node& node() const { return *node_; }
  /// Name of the value that output `which` gets, with a suffix for an inner step ("softmax" + ".max").
  std::string name(const std::string& suffix = "", std::size_t which = 0) const;

  expr_ref read(const tensor_ref& t, const std::vector<index>& at, const std::vector<index>& guards = {});
  /// Reads with broadcasting of `t` to a space of rank at.size().
  expr_ref read_broadcast(const tensor_ref& t, const std::vector<index>& at);
  /// Reads t at `at` with position `dim` replaced by an integer that is itself read (negative counts from the end).
  expr_ref gather(const tensor_ref& t, std::vector<index> at, std::size_t dim, const expr_ref& which);
  expr_ref gather(const tensor_ref& t, std::vector<index> at, const std::vector<std::pair<std::size_t, expr_ref>>& which);
  /// A tensor argument or a number.
  element operand(const std::string& argument_name);
  tensor_ref map(const std::string& name, dtype type, const std::vector<index>& shape, const element& body);
  /// Reduces `over` dimensions of `shape`; the result has the others (or extent 1 with keepdim).
  tensor_ref reduce(const std::string& name, dtype type, const std::vector<index>& shape, const std::vector<std::size_t>& over, bool keepdim,
                    combiner c, const element& body, const element& chosen = {}, bool last_nan = false);
  /// A constant of the reference; as many values as `shape` has elements.
  tensor_ref literal(const std::string& name, dtype type, const std::vector<index>& shape, std::vector<double> values);
  tensor_ref scan(const std::string& name, dtype type, const std::vector<index>& shape, std::size_t along, combiner c, const element& body);
  /// What one step hands to the next, made before its loop; `history`: every step's stays.
  tensor_ref state(const std::string& name, dtype type, const std::vector<index>& shape, const index& steps, bool history, const element& first);
  /// A state as step `step` finds it (`steps`: as the last one leaves it), in the shape that it was made with.
  tensor_ref at_step(const tensor_ref& state, const index& step);
  /// Values made until `end_steps` are computed once in each step; the result is the step, from 0.
  index begin_steps(const index& steps);
  /// The state after this step.
  tensor_ref next(const std::string& name, const tensor_ref& of, const std::vector<index>& shape, const element& body);
  void end_steps();
  /// The tensor is an input of the operator, element for element.
  bool is_whole_input(const tensor_ref& t) const;
  /// Same elements in another shape.
  tensor_ref reshaped(const tensor_ref& t, const std::vector<index>& shape);
  tensor_ref view(const tensor_ref& t, const std::vector<index>& shape, const std::function<std::vector<index>(const std::vector<index>&)>& to);
  void bind(std::size_t which, tensor_ref t);
  index product(const std::vector<index>& shape) const;
  static std::vector<index> formals(const std::vector<index>& shape);
  void fail(const std::string& why);

private:
  result<void> declare_axes();
  result<void> declare_inputs();
  result<void> lower_nodes();
  result<void> bind_outputs();
  void drop_dead_values();
  std::string dimension_name(const index& extent, std::size_t position) const;
  dimension new_dimension(const index& extent, std::size_t position);
  int append(value v);
  std::string step_name() const;
  bool never_mixes(int loop) const;
  bool same_layout(const tensor_ref& t);

  const operator_definition& op_;
  const graph_node* node_ = nullptr;
  program out_;
  std::map<std::string, index> names_;
  std::map<std::string, tensor_ref> env_;
  std::map<std::string, int> used_names_;
  std::string problem_;
  int next_loop_ = 0;
  int steps_of_ = -1; // the recurrence that values are made in now
};

using lower_rule = void (*)(lowering&);
using lower_table = std::unordered_map<std::string, lower_rule>;
const lower_table& pointwise_rules();
const lower_table& activation_rules();
const lower_table& view_rules();
const lower_table& reduction_rules();
const lower_table& contraction_rules();
const lower_table& window_rules();
const lower_table& search_rules();
const lower_table& loss_rules();
const lower_table& resampling_rules();
const lower_table& update_rules();
const lower_table& recurrent_rules();
const lower_table& scan_rules();

/// A bound of slice: negative counts from the end, beyond the end is the end.
index slice_bound(lowering& l, const char* argument_name, const index& extent, const index& otherwise);
/// The position that select and select_scatter name, counted from the beginning.
index selected_position(lowering& l, const index& extent);

/// Errors name every operation that cannot be generated.
result<program> lower(const operator_definition& op);
/// "aten.add.Tensor" -> "add"
std::string base_name(const std::string& op);
/// A C++ identifier made of `text`.
std::string identifier(const std::string& text);

} // namespace kevolve::synthesis
