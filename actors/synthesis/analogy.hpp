// Schedules by analogy: what won on another operator, for this one. Each nest of the first schedule by rules of thumb is tuned as that nest of the other
// operator is which it is most like, so that names and shapes need have nothing in common. Pure; any thread.
#pragma once

#include "protocol/candidate.hpp"
#include "protocol/operator.hpp"
#include "protocol/result.hpp"

#include <string>

namespace kevolve::synthesis {

struct analogy {
  schedule how;
  double unlikeness = 0; // of the operators' nests, weighted by their share of this operator's work: 0 for one operator in one size, above 4 where kinds of work differ
};

/// Errors: one of the two cannot be generated.
result<analogy> adapt(const problem& to, const problem& from, const schedule& won, const target& on, const std::string& compiler);

} // namespace kevolve::synthesis
