// One failpoint of protocol/failpoint.hpp under a cluster of real processes: the process whose it is dies there, is started again, and the session comes to
// its end as if nothing had been. The agent "two" has what it runs compiled by "one", so that programs go in pieces between them. The caller as for live_cluster.
#pragma once

#include "protocol/failpoint.hpp"
#include "scheduler/commands.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

namespace kevolve::scheduler {

/// What came of it: failpoint, who, times (the how-manieth passage was deadly, by the seed), sessions, evaluations, and `faults` as of kill_a_cluster, beside
/// "unreached" (the process never came there: the campaign shows nothing) and "leader" (not verified). Errors: what could not begin or did not end within
/// minutes, with the daemons' last words.
result<nlohmann::ordered_json> die_at_failpoint(const kill_options& options, const failpoint_description& where, const std::filesystem::path& folder, const std::filesystem::path& cache);

} // namespace kevolve::scheduler
