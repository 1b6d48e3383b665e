// Operators built by hand for the generator's tests: a small builder, and one operator for each supported operation or fusion.
#pragma once

#include "protocol/operator.hpp"

#include <initializer_list>
#include <string>
#include <vector>

namespace kevolve::cases {

using named_arguments = std::vector<std::pair<std::string, argument>>;

argument tensor(const std::string& name);
argument real(double x);
argument integer(std::int64_t x);
argument boolean(bool x);
argument text(const std::string& x);
argument none();
argument integers(std::initializer_list<std::int64_t> all);
argument tensors(std::initializer_list<std::string> all);

class builder {
public:
  builder(std::string name, std::initializer_list<std::pair<std::string, std::int64_t>> constants = {}); // axes A, B, C are variable where used
  std::string input(const std::string& name, std::vector<std::string> shape, dtype type = dtype::float32);
  builder& uniform(const std::string& input, double low, double high);
  std::string op(const std::string& name, named_arguments arguments, std::vector<std::string> shape, dtype type = dtype::float32);
  /// Several outputs: shapes and types.
  std::vector<std::string> ops(const std::string& name, named_arguments arguments, std::vector<graph_value> outputs);
  void output(const std::string& value);
  operator_definition done();

private:
  operator_definition op_;
  graph graph_;
  std::vector<std::pair<std::string, graph_value>> known_;
  int next_ = 0;
};

/// Every operator; axes A and B are variable.
std::vector<operator_definition> all();
/// The part of them in cases_recurrent.cpp.
void recurrent_layers(std::vector<operator_definition>& out);

} // namespace kevolve::cases
