// One evaluation under way inside the judge: what is asked, the candidate's process, the verdict so far. Private to the judge.
#pragma once

#include "node-agent/judge.hpp"
#include "node-agent/process.hpp"

#include <algorithm>

namespace kevolve::agent {

inline constexpr double load_limit_s = 10;

inline outcome outcome_of(misbehaviour m) {
  switch (m) {
    case misbehaviour::none: return outcome::passed;
    case misbehaviour::failed:
    case misbehaviour::crashed: return outcome::runtime_error;
    case misbehaviour::hung: return outcome::timeout;
    case misbehaviour::cheated: return outcome::reward_hack;
    case misbehaviour::cancelled:
    case misbehaviour::unavailable: return outcome::infrastructure;
  }
  return outcome::infrastructure;
}

/// One evaluation under way.
struct judge::attempt {
  const judge_evaluate& what;
  case_set& cases;
  hosted candidate;
  judge_verdict verdict;
  double deadline = 0;
  double patience = 1; // times the limit of a call

  double limit() const { return std::clamp(deadline - now_s(), 0.001, what.call_limit_s) * patience; }
  bool good() const { return verdict.result == outcome::passed; }
  void fail(outcome result, const std::string& log) {
    verdict.result = result;
    verdict.log = log;
  }
  /// Turns a misbehaved call into the verdict.
  bool accept(const call_end& e, const std::string& during) {
    if (e.good())
      return true;
    fail(outcome_of(e.what), "the candidate " + e.detail + (e.what == misbehaviour::hung ? " in time" : "") + " (" + during + ")");
    return false;
  }
  void count(const case_verdict& v) {
    auto& c = verdict.correct;
    ++c.cases;
    c.max_absolute_error = std::max(c.max_absolute_error, v.max_absolute_error);
    c.max_relative_error = std::max(c.max_relative_error, v.max_relative_error);
  }
  bool accept(const case_verdict& v, const test_case& c) {
    if (v.result == outcome::passed)
      return true;
    verdict.correct.failed_case = c.name + ", " + v.detail;
    fail(v.result, verdict.correct.failed_case);
    return false;
  }
};

} // namespace kevolve::agent
