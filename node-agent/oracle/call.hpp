// One operation about to run: its arguments by their schema names, evaluated under bound axes. Every accessor refuses what does not fit,
// naming the argument. The table of operations is assembled from the families, each in a file of its own.
#pragma once

#include "node-agent/oracle/tensor.hpp"
#include "protocol/expression.hpp"
#include "protocol/graph.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kevolve::agent::oracle {

using environment_of_values = std::unordered_map<std::string, tensor>;

class call {
public:
  call(const graph_node& node, const axis_binding& axes, const environment_of_values& values)
      : node_(node), axes_(axes), values_(values) {}

  [[nodiscard]] std::string_view overload() const; // "Tensor" of aten.add.Tensor
  /// Present and not None.
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] bool is_tensor(std::string_view name) const;
  [[nodiscard]] tensor value(std::string_view name) const; // numbers become rank-0 tensors
  [[nodiscard]] std::optional<tensor> maybe(std::string_view name) const;
  [[nodiscard]] std::vector<std::optional<tensor>> values(std::string_view name) const; // Tensor?[]
  [[nodiscard]] double real(std::string_view name) const;
  [[nodiscard]] double real(std::string_view name, double otherwise) const;
  [[nodiscard]] std::int64_t integer(std::string_view name) const;
  [[nodiscard]] std::int64_t integer(std::string_view name, std::int64_t otherwise) const;
  [[nodiscard]] bool flag(std::string_view name, bool otherwise = false) const;
  [[nodiscard]] extents integers(std::string_view name) const; // one number counts as a list of one; absent: empty
  [[nodiscard]] std::vector<double> reals(std::string_view name) const;
  [[nodiscard]] std::string text(std::string_view name, std::string_view otherwise) const;
  [[nodiscard]] std::optional<dtype> type(std::string_view name) const;

  [[nodiscard]] std::size_t results() const { return node_.outputs.size(); }
  [[nodiscard]] dtype result_type(std::size_t i = 0) const;
  [[nodiscard]] extents result_shape(std::size_t i = 0) const;

private:
  [[nodiscard]] const argument* find(std::string_view name) const;
  [[nodiscard]] const argument& need(std::string_view name) const;
  [[nodiscard]] std::int64_t integer_of(const argument& a, std::string_view name) const;
  [[nodiscard]] double real_of(const argument& a, std::string_view name) const;
  [[nodiscard]] tensor tensor_of(const argument& a, std::string_view name) const;

  const graph_node& node_;
  const axis_binding& axes_;
  const environment_of_values& values_;
};

using results = std::vector<tensor>;
using operation = results (*)(const call&);

/// "add" (all overloads) or "max.dim" (that one).
struct entry {
  std::string_view name;
  operation run;
};
using family = std::span<const entry>;

family unary_operations();
family binary_operations();
family activation_operations();
family view_operations();
family creation_operations();
family indexing_operations();
family reduction_operations();
family softmax_operations();
family contraction_operations();
family convolution_operations();
family attention_operations();
family normalisation_operations();
family pooling_operations();
family segment_operations();
family resampling_operations();
family ordering_operations();
family loss_operations();
family recurrent_operations();

/// The operation that runs `op` ("aten.max.dim"), or null.
operation find_operation(std::string_view op);

} // namespace kevolve::agent::oracle
