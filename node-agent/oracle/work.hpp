// What each operation costs and sums, from the shapes that the graph declares: the basis of `cost_of`, of tolerances for long sums and of the
// choice of large inputs. Pure; any thread.
#pragma once

#include "node-agent/oracle/tensor.hpp"
#include "protocol/expression.hpp"
#include "protocol/graph.hpp"

#include <string>
#include <unordered_map>

namespace kevolve::agent::oracle {

using shapes_of_values = std::unordered_map<std::string, extents>;

/// Shapes of all inputs and results; refuses (throws) what does not bind.
shapes_of_values shapes_of(const graph& g, const axis_binding& axes);

struct node_work {
  double operations = 0;      // a multiply-add counts 2
  double transcendentals = 0; // counted in operations, too
  double terms = 1;           // added into one result
  bool multiplies = false;    // terms are products of two inputs
  bool squares = false;       // terms are squares of the input
};
node_work work_of(const graph_node& node, const shapes_of_values& shapes, const axis_binding& axes);

} // namespace kevolve::agent::oracle
