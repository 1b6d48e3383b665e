// The linter: what a compiler or the agent would refuse, or what could not be right, said at once and precisely, before anything is compiled.
// It spares an evaluation; it is no defence (node-agent/objects.hpp and the sandbox are). Pure.
#pragma once

#include "actors/synthesis/prompts/language.hpp"
#include "protocol/operator.hpp"

#include <string>
#include <vector>

namespace kevolve::synthesis {

/// Empty, or a line for each fault: "kernel.cpp:12: fopen: a candidate computes; it does not call the system".
std::vector<std::string> lint(const std::vector<source_file>& files, const language& in);

} // namespace kevolve::synthesis
