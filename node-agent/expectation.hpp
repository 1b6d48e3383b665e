// What the oracle expects of a case, and how much of it a correct kernel can be held to. Beside the exact outputs it runs shadows: the same
// graph with inputs perturbed by the rounding error that any kernel makes and every value rounded to its declared type. Where exact and
// shadow part, the operator itself is ill-conditioned there: the difference widens the tolerance of that row, and an element that is finite
// in one and not in the other (or an integer that differs) is not compared. Random cases on floating outputs go without a shadow.
// Pure; any thread.
#pragma once

#include "node-agent/inputs.hpp"

#include <vector>

namespace kevolve::agent {

struct expected_output {
  oracle_tensor exact;
  std::vector<double> slack;  // absolute error that no kernel can avoid, per run of `slack_width` elements; empty: none
  std::int64_t slack_width = 1;
  std::vector<std::uint8_t> undetermined; // per element; empty: all are compared
  double undetermined_ratio = 0;
};

struct expectation {
  std::vector<expected_output> outputs;
  check_case what;               // with the magnitude that was chosen
  std::vector<std::vector<std::byte>> inputs;
};

/// True where every operation only moves, selects or compares: results are then exact whatever the order of evaluation.
bool moves_data_only(const graph& g);

/// Terms in the longest sum that the graph states (a row's mean, a matmul's K, a softmax's row); at least 1.
double longest_reduction_of(const graph& g, const axis_binding& axes);

/// Draws the inputs of a case and computes what to expect. For `large` and `cancelling` the magnitude is stepped down until every
/// intermediate value, summed over what it reduces, stays finite at its declared type.
result<expectation> expect(const operator_definition& op, const check_case& what, const std::vector<workload_input>& given);

} // namespace kevolve::agent
