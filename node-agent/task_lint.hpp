// Whether an operator is worth optimising at all: where its output is constant, does not depend on an input, or passes as zeros, a kernel can
// pass without computing it, and a search would find exactly that. Asks the oracle on small sizes. (METR removed 45 such problems of
// KernelBench; robust-kbench filters by range, deviation and the effect of each input.) Pure; any thread.
#pragma once

#include "protocol/operator.hpp"
#include "protocol/result.hpp"

#include <string>
#include <vector>

namespace kevolve::agent {

/// One sentence each, which names output and input.
struct lint_findings {
  std::vector<std::string> objections; // a kernel can pass without its work
  std::vector<std::string> remarks;    // what it may leave out is next to nothing: a bias in front of a normalisation
};
/// An input that makes no difference is no objection where it holds at most this part of all inputs' bytes.
inline constexpr double negligible_input = 0.05;

/// Errors: the oracle cannot run the operator.
result<lint_findings> lint(const problem& subject);

} // namespace kevolve::agent
