// Reads the text that to_string(schedule) writes: "fuse(*); vectorize(H, width=16)". Pure; any thread.
#pragma once

#include "protocol/candidate.hpp"

#include <string_view>

namespace kevolve::synthesis {

/// Errors name the step and what was expected.
result<schedule> schedule_from_text(std::string_view text);

} // namespace kevolve::synthesis
