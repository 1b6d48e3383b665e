// What changed between two versions of a candidate's sources, as a unified diff. Pure; any thread.
#pragma once

#include "protocol/candidate.hpp"

#include <string>
#include <vector>

namespace kevolve::scheduler {

/// File by file in the order of their paths, three lines of context; "" where nothing changed. A file that is new or gone is compared with nothing.
std::string changes_between(const std::vector<source_file>& before, const std::vector<source_file>& after);

} // namespace kevolve::scheduler
