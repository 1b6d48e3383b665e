// Does what other sessions learnt help a new one? Cold searches (an empty store) against warm ones (a store that knows all other families), on the
// same operator with the same seed. Recorded runs in, table out. Pure.
#pragma once

#include "protocol/event.hpp"
#include "scheduler/table.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace kevolve::scheduler {

/// One search, evaluation by evaluation.
struct course {
  std::vector<double> best;               // root's time / best time so far, as the search measured it; or the leader's speed so far, as it was measured again
  std::vector<std::uint32_t> strategies;  // distinct ones so far, of candidates that passed and are not slower than the root
  std::vector<candidate_id> leaders;      // after each evaluation; "": none, or the root

  /// Evaluations until `best` reaches `speed`; infinite: never.
  [[nodiscard]] double needed(double speed) const;
};
/// A session's, from its log.
course course_of(const std::vector<event>& log);
nlohmann::ordered_json to_json(const course& c);
course course_of_json(const nlohmann::ordered_json& text);
/// The same search by what its leaders, timed again beside one another, come to: `speeds` by candidate, against the cold search's last leader. A leader without one counts as no gain.
/// What a search believed while it ran is the best of many noisy figures, against a root that was measured once.
course measured_again(course c, const std::map<candidate_id, double>& speeds);

/// Cold and warm runs of one operator, by seed.
struct compounding_runs {
  std::string name;
  std::vector<course> cold, warm;
};

/// Per operator and over all (geometric means; 95 % intervals by resampling operators and seeds): evaluations to 95 % of the cold run's best, cold
/// and warm, a run that never gets there counted at the longer of both runs and said; best result, warm over cold; distinct strategies at equal numbers of
/// evaluations, warm over cold.
nlohmann::ordered_json compounding_summary(const std::vector<compounding_runs>& all);
/// With the published experiment's figures beside them.
std::string compounding_table(const nlohmann::ordered_json& summary, const style& look);

} // namespace kevolve::scheduler
