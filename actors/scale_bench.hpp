// What one scheduler carries: `kevolve bench scale`. Evaluations are SIMULATED (and synthesizers answer at once); sessions, tree nodes, dispatcher,
// leases, the durable store, the ROUTER socket with CURVE and its gatekeeper, and every agent's connection over loopback TCP are real. Who runs the
// fleet is the caller's: a process of its own, so that the figures of this one are the scheduler's. Blocks; needs no other thread.
#pragma once

#include "actors/own_usage.hpp"
#include "actors/simulated_fleet.hpp"

#include <filesystem>
#include <functional>
#include <memory>

namespace kevolve {

struct scale_bench_settings {
  std::filesystem::path directory;      // for store and allow list; created, left behind
  std::uint32_t agents = 1000;          // each may hold two leases: a device slot and a compile slot
  std::uint32_t evaluations = 30'000;   // over all sessions
  std::uint32_t sessions = 10;
  std::uint32_t in_flight = 2'500;      // proposals under way over all sessions; more than there are leases keeps work waiting
  std::size_t source_bytes = 8'000;     // of a candidate; generated kernels have 4 to 10 kB
  double rate = 0;                      // evaluations a second that the agents can do together, at most; 0: they answer at once
  std::uint64_t seed = 1;
  unsigned threads = 0;                 // CAF workers; 0: one per core
};

/// A fleet that runs somewhere.
class running_fleet {
public:
  virtual ~running_fleet() = default;
  /// Ends it; what it saw.
  virtual result<simulated_fleet_report> end() = 0;
};
using fleet_starter = std::function<result<std::unique_ptr<running_fleet>>(const simulated_fleet_settings&)>;

/// From the moment when work and room for it were both there, to the lease's receipt: work, when its evaluator had frozen; room, when the agent's
/// answer to an earlier lease left. Leases into places that never held one are left out: there everybody connects at once.
struct dispatch_latency {
  std::uint64_t leases = 0;
  double median_s = 0, p99_s = 0, longest_s = 0;
};

struct scale_bench_report {
  std::uint32_t agents = 0;             // connected, when the sessions began
  double connect_s = 0;                 // until all were
  std::uint64_t evaluations = 0;        // counted, by the log
  std::uint64_t lost = 0;               // asked for and not counted
  std::uint64_t twice = 0;              // counted again
  double wall_s = 0;                    // from the first submission to the last session's end
  double steady_per_s = 0;              // leases received a second, without the first and the last tenth of them
  double cpu_s = 0;                     // the scheduler's process, meanwhile
  resident before, at_end;              // before the first agent came; with all connected, the sessions' trees still in memory
  std::uint32_t descriptors = 0;        // open in the scheduler's process, with all agents connected
  dispatch_latency dispatch;
  simulated_fleet_report fleet;         // without its leases

  [[nodiscard]] double evaluations_per_s() const { return static_cast<double>(evaluations) / wall_s; }
  [[nodiscard]] double cpu_s_per_evaluation() const { return cpu_s / static_cast<double>(evaluations); }
};

/// Errors: a fleet that does not connect within a minute (no_agent), a session that fails, the store's own.
result<scale_bench_report> run_scale_bench(const scale_bench_settings& settings, const fleet_starter& start_fleet,
                                           const std::function<void(const std::string& phase, std::uint64_t done)>& progress = {});

} // namespace kevolve
