// Compares what a candidate wrote with what the oracle expects. Pure; any thread.
//
// An element fails when its absolute error exceeds all of: atol; rtol * |expected|; a unit in the last place of the output's type; the row's
// slack (expectation.hpp). The slack is 8 * eps * sqrt(K) * (root mean square of the expected row) where the graph sums K > 1 terms, eps
// being float32's (float64's for float64 operators): the error of a sum of K rounded terms relative to its row, which matters where terms
// cancel and is far below what a wrong or lower-precision kernel makes; adversarial cases add what the operator's own conditioning makes
// of rounding errors. NaN must meet NaN, except that in a row where NaN is expected anywhere it may stand elsewhere, too (with -ffast-math a
// reciprocal root of infinity is NaN, not 0: honest, and no finite number is excused); and Inf must meet an Inf of the same sign; an expected value past the type's range counts as Inf. Integers,
// booleans and operators declared bitwise must be equal. `matched_ratio` of the elements have to match; NaN and Inf always.
#pragma once

#include "node-agent/expectation.hpp"
#include "protocol/operator.hpp"

#include <cstddef>
#include <span>
#include <string>

namespace kevolve::agent {

struct agreement {
  bool agrees = true;
  double max_absolute_error = 0; // over the finite elements that were compared
  double max_relative_error = 0; // |error| / (|expected| + 1e-8), where |expected| > atol
  std::size_t compared = 0;
  std::size_t failed = 0;
  std::string first_failure;     // "element [3, 17] (12305): found 1.5, expected 0.25"
};

/// `found`: the output's bytes, dense. A size that does not fit is a failure that says so.
agreement compare(const expected_output& expected, std::span<const std::byte> found, const tolerance& allowed);
/// The same for elements [first, first + count) of the output: `found` holds these only.
agreement compare_part(const expected_output& expected, std::size_t first, std::size_t count, std::span<const std::byte> found,
                       const tolerance& allowed);

} // namespace kevolve::agent
