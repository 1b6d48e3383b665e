// kevolve bench simulate: clusters of the simulation, one a seed; prints what was found and how to see it again. Every figure but the rate is simulated.
#include "protocol/rng.hpp"
#include "scheduler/commands.hpp"
#include "tests/simulation/cluster.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace kevolve::scheduler {
namespace {

using nlohmann::ordered_json;

ordered_json shown(const simulation::simulation_report& r) {
  return {{"seed", r.seed}, {"violation", r.violation}, {"replay", fmt::format("kevolve bench simulate --replay {}", r.seed)}, {"trace_hash", fmt::format("{:016x}", r.trace_hash)}};
}

result<int> replay(context& in, std::uint64_t seed) {
  simulation::simulation_options options;
  options.keeps_trace = true;
  const auto got = simulation::simulate(seed, options);
  for (const std::string& line : got.trace)
    in.out.say(line + "\n");
  ordered_json answer = shown(got);
  answer["trace"] = got.trace;
  in.out.answer(answer.dump(2));
  in.out.say(fmt::format("seed {}: {} leases, {} faults, {:.0f} s simulated, trace {:016x}: {}\n", seed, got.leases, got.faults, got.simulated_s, got.trace_hash,
                         got.violation.empty() ? "no violation" : got.violation));
  return got.violation.empty() ? 0 : 1;
}

} // namespace

result<int> bench_simulate(context& in, const simulate_options& options) {
  if (options.replay)
    return replay(in, *options.replay);
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t seeds = 0, leases = 0, writings = 0, faults = 0, least_leases = ~0ull, least_faults = ~0ull, hash = 0, sessions = 0, lives = 0;
  double simulated_s = 0;
  ordered_json violations = ordered_json::array();
  for (; seeds < options.seeds && in.signals.received() == 0; ++seeds) {
    const auto got = simulation::simulate(options.from + seeds);
    leases += got.leases;
    writings += got.writings;
    faults += got.faults;
    sessions += got.sessions;
    lives += got.scheduler_lives + got.agent_lives;
    simulated_s += got.simulated_s;
    hash = rng(hash ^ got.trace_hash)();
    if (!got.violation.empty()) {
      violations.push_back(shown(got));
      in.out.note(fmt::format("seed {}: {}; replay it: kevolve bench simulate --replay {}", got.seed, got.violation, got.seed));
    } else { // a run that was ended by a violation is short
      least_leases = std::min(least_leases, got.leases);
      least_faults = std::min<std::uint64_t>(least_faults, got.faults);
    }
    in.out.progress(fmt::format("{}/{} seeds, {} violations", seeds + 1, options.seeds, violations.size()), (seeds + 1) % 1000 == 0);
  }
  const double wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  const double rate = wall_s > 0 ? static_cast<double>(seeds) / wall_s : 0;
  in.out.answer(ordered_json{{"seeds", seeds}, {"from", options.from}, {"violations", violations}, {"seeds_per_s", rate}, {"wall_s", wall_s}, {"simulated_s", simulated_s}, {"sessions", sessions},
                             {"leases", leases}, {"writings", writings}, {"faults", faults}, {"least_leases", least_leases}, {"least_faults", least_faults}, {"process_lives", lives}, {"trace_hash", fmt::format("{:016x}", hash)}}.dump(2));
  in.out.say(fmt::format("{} seeds: {} violations; {:.0f} seeds/s on one core; {} leases, {} more to write, {} faults, {:.1f} h simulated; traces {:016x}\n", seeds, violations.size(), rate, leases, writings, faults,
                         simulated_s / 3600, hash));
  return in.signals.received() ? in.signals.exit_code() : violations.empty() ? 0 : 1;
}

} // namespace kevolve::scheduler
