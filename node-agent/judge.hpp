// The judge of one device slot: owns inputs, seeds, expected outputs, tolerance, clock and verdict. Candidates run in harnesses of their
// own (program.hpp); nothing that such a process says is believed. Anchors and baseline hosts stay alive between evaluations. One thread.
#pragma once

#include "node-agent/case_set.hpp"
#include "node-agent/counters.hpp"
#include "node-agent/judge_messages.hpp"
#include "node-agent/measure.hpp"
#include "node-agent/sandbox.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace kevolve::agent {

/// How the judge reaches the library while it works.
struct judge_line {
  int control = -1;                                  // wakes waits
  std::function<bool()> cancelled;                   // the current request is no longer wanted
  std::function<bool(const std::string&)> announce;  // a stage begins; false: cancelled
};

class judge {
public:
  judge(judge_setup setup, judge_line line);
  judge_verdict evaluate(const judge_evaluate& what);
  void prepare(const judge_prepare& what);
  judge_probed probe(const judge_probe& what);
  judge_golden_done golden(const judge_golden& what);
  judge_described describe(const judge_describe& what) const;

private:
  /// A running program and the slots it has mapped.
  struct hosted {
    std::unique_ptr<program> process;
    const case_set* cases = nullptr;
    std::set<std::uint32_t> mapped;
    std::map<std::uint32_t, double> touched; // slots called while measuring, and what the first call took
    std::string why_not; // a baseline that cannot be had
    unsigned cell = 0;   // of the sandbox
    double cpu_s = 0;    // of processes that were renewed
    work_clock clock;    // of them, too
    event_counters counters;
  };
  /// Baseline hosts stand still while this lives: they compile beside the search.
  class stillness {
  public:
    explicit stillness(std::map<std::string, hosted>& baselines) : baselines_(baselines) {
      for (auto& [kind, h] : baselines_)
        if (h.process)
          h.process->freeze();
    }
    stillness(const stillness&) = delete;
    stillness& operator=(const stillness&) = delete;
    ~stillness() {
      for (auto& [kind, h] : baselines_)
        if (h.process)
          h.process->thaw();
    }

  private:
    std::map<std::string, hosted>& baselines_;
  };
  struct attempt;
  void start_baselines(const problem& subject, const std::vector<std::string>& kinds, case_set& cases);

  result<case_set*> cases_of(const problem& subject, std::uint64_t seed);
  result<hosted> launch_candidate(const judge_program& what, unsigned cell);
  hosted& baseline(const std::string& kind, const problem& subject);
  call_end ensure_mapped(hosted& h, case_set& cases, test_case& c, double limit_s);
  void ready_baselines(attempt& a);
  call_end check_baseline(hosted& h, case_set& cases, test_case& c);
  hosted* anchor(const judge_program& what);

  void check(attempt& a);
  bool check_case(attempt& a, test_case& c);
  bool check_same_memory(attempt& a, std::size_t workload);
  void measure_workload(attempt& a, std::size_t workload);
  hosted* ready_anchor(attempt& a, const judge_program& what, std::size_t workload);
  void count_events(attempt& a);
  void measure_yardstick(attempt& a, std::size_t workload, workload_timing& timing);
  void watch_clock(attempt& a);
  void audit(attempt& a, std::size_t workload);
  [[nodiscard]] bool on(defence d) const { return box_.off().on(d); }
  call_end renew(hosted& h, const judge_program& what, case_set& cases, test_case& c);
  struct opponent;
  void measure_against(attempt& a, std::size_t workload, const opponent& against, workload_timing& timing);
  void forget_programs();
  static void fail_baseline(hosted& h, const std::string& why);

  judge_setup setup_;
  judge_line line_;
  interruption stop_;
  sandbox box_;
  std::map<std::string, std::unique_ptr<case_set>> cases_;
  std::vector<std::string> cases_order_;
  std::map<std::string, hosted> anchors_, baselines_;
  std::string problem_key_; // what anchors and baselines belong to
  rng secret_;
};

} // namespace kevolve::agent
