// What kevolve says about itself: spdlog on stderr, warnings only unless -v, one JSON object per line with --log-json.
#pragma once

namespace kevolve::scheduler {

/// `verbosity`: 0 warnings, 1 (-v) progress of parts, 2 (-vv) everything. Once per process.
void start_log(int verbosity, bool json);

} // namespace kevolve::scheduler
