// Many seeds of one kind of search on one recorded landscape, and what they came to. Pure.
#pragma once

#include "scheduler/landscape_file.hpp"

#include <vector>

namespace kevolve::scheduler {

inline constexpr double near_enough = 0.95; // of the best known speed

/// One value a seed.
struct replayed_runs {
  std::vector<double> reached;    // best speed at the end / best known speed
  std::vector<double> mean;       // the same, mean over all evaluations: how early it was good
  std::vector<double> needed;     // evaluations to 95% of the best known; infinite: never
  std::vector<double> strategies; // distinct ones among what was evaluated, passed and not slower than the root
  std::vector<skill> learnt;      // over all seeds
};

replayed_runs replay_runs(const landscape_file& file, const search::proposal_source& propose, search::replay_settings how, std::uint32_t seeds, std::uint64_t first_seed);

} // namespace kevolve::scheduler
