// What to try next: the neighbourhood of a schedule as single transformations with reasons, the analytic first schedule, crossover and fresh
// starts. Reads diagnosis and history; draws only from the given rng. Pure; any thread.
#pragma once

#include "actors/synthesis/generator.hpp"
#include "actors/synthesis/plan.hpp"

namespace kevolve::synthesis {

struct move {
  schedule to;
  transformation edge;
  double weight = 1; // how promising; drawn in proportion
};

/// Facts about an operator that proposals need and that do not change during a session.
struct outlook {
  const program* subject = nullptr;
  std::string compiler;
  tolerance tolerated;
  int width = 16;                       // float lanes of the target's vectors
  std::vector<std::int64_t> axis_values; // estimate of each axis: geometric mean over the workloads

  [[nodiscard]] std::int64_t estimate(const index& i) const;
};

outlook look_at(const program& p, const problem& subject, const target& on, const std::string& compiler);
/// The root of a session: no schedule. Products of more than 10^8 multiplications run in vectors and threads, since a plain loop nest would take
/// seconds a call and most of a session's time.
schedule plain_schedule(const outlook& o);
/// A compound first schedule by rules of thumb: fusion, rows, vectors, accumulators, parallel rows, blocking of contractions.
schedule analytic_schedule(const outlook& o);
/// Without the steps that do not apply.
schedule that_apply(const outlook& o, schedule s);
/// A shorter form of this function is there, used, and within the tolerance.
bool may_approximate(const outlook& o, const std::string& function);
/// All single transformations of `from`, with reasons drawn from the parent's diagnosis.
std::vector<move> neighbourhood(const outlook& o, const schedule& from, const std::optional<attempt>& parent);
/// One draw: applies history to the weights, mixes in crossover and priors.
std::vector<move> ranked(const outlook& o, const context& given, rng& draw);
/// Longer walks, for where all of those are known. Each is as much work as many neighbourhoods.
std::vector<move> fresh_starts(const outlook& o, rng& draw);

} // namespace kevolve::synthesis
