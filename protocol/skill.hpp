// A skill, first form: a transformation and how it did, over edges of search trees under one bottleneck. A session begins with what is known
// for its hardware and operator's features and leaves what it saw (events session_opened, skills_learnt). Pure data.
#pragma once

#include "protocol/candidate.hpp"
#include "protocol/evaluation.hpp"
#include "protocol/operator.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve {

struct skill {
  std::string transformation; // "vectorize(width=8)": a schedule's step without the loop or tensor it was applied to
  bound under = bound::unknown; // what the parent was bound by
  std::uint32_t trials = 0;   // edges evaluated, failures included
  std::uint32_t wins = 0;     // of them: faster than the parent by more than the noise of both (95%)
  std::uint32_t failures = 0; // of them: did not pass
  double log_gain = 0;        // sum over the trials that passed of log(parent's time / its time)

  friend bool operator==(const skill&, const skill&) = default;
};

/// "vectorize(out, width=8)" -> "vectorize(width=8)"; flags and functions are part of the transformation and stay. A summary that is no step
/// is itself ("plain stores"), without the name of what is recomputed.
std::string transformation_of(std::string_view edge_summary);
/// What operators must share for a skill of one to be a guess for another: "contraction", "reduction", "gather" and "scan", joined by '+', or
/// "elementwise"; by the graph's operations.
std::string features_of(const operator_definition& op);
/// Adds evidence for the same transformation under the same bottleneck, or a new skill.
void add_evidence(std::vector<skill>& to, const skill& more);

/// The schedule for another operator: what named a loop or tensor names all of them; what only makes sense for one value is left out.
schedule transferable(const schedule& of);

template <class Inspector>
bool inspect(Inspector& f, skill& x) {
  return f.object(x).fields(f.field("transformation", x.transformation), f.field("under", x.under), f.field("trials", x.trials),
                            f.field("wins", x.wins), f.field("failures", x.failures), f.field("log_gain", x.log_gain));
}

} // namespace kevolve
