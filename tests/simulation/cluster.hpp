// A whole cluster in one thread: the real state machines (sessions, dispatcher, settlements, the agents' job tables) over a simulated clock,
// network, disk and devices, with faults drawn from the seed. Owns everything it simulates. Every figure of it is simulated, none measured.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kevolve::simulation {

/// Bugs that are built in on purpose: the checks must find each of them.
enum class planted : std::uint8_t { none, acknowledges_early, counts_late, reuses_incarnation, ignores_deadlines, shows_early, loses_durable, pays_unreserved, forgets_written };
inline constexpr planted every_plant[] = {planted::acknowledges_early, planted::counts_late, planted::reuses_incarnation,
                                          planted::ignores_deadlines,    planted::shows_early, planted::loses_durable,
                                          planted::pays_unreserved, planted::forgets_written};
std::string to_string(planted bug);

struct simulation_options {
  std::size_t agents = 8;          // up to three of them, by the seed, have no compiler
  std::uint64_t leases = 200;      // at least; sessions are opened until then
  std::uint32_t faults = 24;       // crashes, cuts, pauses, disks, devices, bursts on the network
  planted bug = planted::none;
  bool keeps_trace = false;
};

struct simulation_report {
  std::uint64_t seed = 0;
  std::string violation;           // empty: none
  std::uint64_t trace_hash = 0, steps = 0, leases = 0, counted = 0;
  std::uint64_t compilations = 0, writings = 0; // leases of compiling for others and of writing candidates, not among `leases`
  std::uint32_t faults = 0, sessions = 0, scheduler_lives = 0, agent_lives = 0;
  double simulated_s = 0;
  std::vector<std::string> trace;  // if asked for
};

simulation_report simulate(std::uint64_t seed, const simulation_options& options = {});

} // namespace kevolve::simulation
