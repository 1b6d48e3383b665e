// How often what other sessions learnt (leaders' schedules, skills) goes into a context, and what came of it in this one. Pure data.
#pragma once

#include <cstdint>

namespace kevolve::search {

/// What came of proposals that were told of other sessions (a prior or skills) and of those that were not, in this one.
struct injection_record {
  std::uint32_t primed = 0, primed_gains = 0;
  std::uint32_t unprimed = 0, unprimed_gains = 0;

  friend bool operator==(const injection_record&, const injection_record&) = default;
};

/// How often what other sessions learnt goes into a context.
struct injection {
  double p = 0.2;
  bool adaptive = false;  // p follows the node, the search's stagnation and the record; otherwise it is p for priors, and skills are always told
  bool skills = false;    // there are some
  bool skills_by_p = false; // with a fixed p: skills, too (to measure what p is worth)
  injection_record seen{};
  std::uint32_t island = 0, islands = 1;
};

} // namespace kevolve::search
