// Whether an operator is worth optimising at all: where its output is constant, does not depend on an input, or passes as zeros, a kernel can
// pass without computing it, and a search would find exactly that. Asks the oracle on small sizes. (METR removed 45 such problems of
// KernelBench; robust-kbench filters by range, deviation and the effect of each input.) Pure; any thread.
#pragma once

#include "protocol/operator.hpp"
#include "protocol/result.hpp"

#include <string>
#include <vector>

namespace kevolve::agent {

/// One sentence each, which names output and input; empty: nothing to object to. Errors: the oracle cannot run the operator.
result<std::vector<std::string>> lint(const problem& subject);

} // namespace kevolve::agent
