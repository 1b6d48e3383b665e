#include "scheduler/replays.hpp"

#include <cmath>
#include <limits>
#include <set>

namespace kevolve::scheduler {

replayed_runs replay_runs(const landscape_file& file, const search::proposal_source& propose, search::replay_settings how, std::uint32_t seeds, std::uint64_t first_seed) {
  const double best = file.land.best_log_speed();
  replayed_runs out;
  for (std::uint32_t s = 0; s < seeds; ++s) {
    how.seed = first_seed + s;
    auto replayed = search::replay(file.land, propose, how);
    for (const skill& each : replayed.learnt)
      add_evidence(out.learnt, each);
    std::set<std::string> strategies;
    for (const auto point : replayed.points)
      if (file.land.log_speed(point).value_or(-1) >= 0)
        strategies.insert(strategy_of(file.land.points()[point].how));
    auto& course = replayed.best;
    double needed = std::numeric_limits<double>::infinity(), sum = 0;
    course.resize(how.evaluations, course.empty() ? 0 : course.back()); // the space ended before the budget
    for (std::size_t i = 0; i < course.size(); ++i) {
      const double share = std::exp(course[i] - best);
      sum += share;
      if (share >= near_enough && !std::isfinite(needed))
        needed = static_cast<double>(i + 1);
    }
    out.reached.push_back(std::exp(course.back() - best));
    out.mean.push_back(sum / static_cast<double>(course.size()));
    out.needed.push_back(needed);
    out.strategies.push_back(static_cast<double>(strategies.size()));
  }
  return out;
}

} // namespace kevolve::scheduler
