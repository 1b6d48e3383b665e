// Schedules with a step more, another or one less. Pure; any thread.
#pragma once

#include "protocol/candidate.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace kevolve::synthesis {

using parameters = std::vector<std::pair<std::string, std::string>>;

inline std::string text_of(const schedule_step& s) {
  schedule one;
  one.steps = {s};
  return to_string(one);
}

/// `s` with the step of this verb and subject replaced or added.
inline schedule with(schedule s, const std::string& verb, const std::string& subject, parameters p = {}) {
  for (auto& step : s.steps)
    if (step.verb == verb && step.subject == subject) {
      step.parameters = std::move(p);
      return s;
    }
  s.steps.push_back({verb, subject, std::move(p)});
  return s;
}

inline schedule without(schedule s, const std::string& verb, const std::string& subject) {
  std::erase_if(s.steps, [&](const schedule_step& step) { return step.verb == verb && step.subject == subject; });
  return s;
}

inline bool has(const schedule& s, const std::string& verb, const std::string& subject) {
  return std::any_of(s.steps.begin(), s.steps.end(), [&](const schedule_step& step) { return step.verb == verb && step.subject == subject; });
}

} // namespace kevolve::synthesis
