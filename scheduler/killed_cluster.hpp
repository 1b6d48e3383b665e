// A cluster of real processes that is shot at: `kevolve serve` and two kevolve-agent, sessions submitted one after the other, and at random moments
// SIGKILL to any of the three (started again at once), or SIGSTOP for up to eight seconds (a lease's heartbeats run out after five). Then its
// sessions must come to their end. The caller must be a subreaper (adopt_orphans), and have no other children.
#pragma once

#include "scheduler/commands.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

namespace kevolve::scheduler {

inline constexpr std::uint32_t kills_of_a_cluster = 10;

/// What came of it: kills, pauses, sessions, evaluations, dispatch_s, rejoin_s, and `faults`, a sentence each that begins with its kind: "lost" (what
/// was durable at a death of the scheduler is not there, or not what it was), "twice", "count" (not the evaluations asked for), "damage", "orphans",
/// "died" (without being killed), "end" (did not stop when told). `folder` is the cluster's own, emptied first. Errors: what could not begin or
/// did not end within minutes, with the daemons' last words.
result<nlohmann::ordered_json> kill_a_cluster(const kill_options& options, const std::filesystem::path& folder, const std::filesystem::path& cache, std::uint32_t number,
                                              const interruption& signals);

} // namespace kevolve::scheduler
