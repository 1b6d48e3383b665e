// What became of one candidate on one target: outcome, correctness, timings with their uncertainty, diagnosis. Pure data; made by
// node-agent/, kept by kb/, read by everybody. All times in seconds, all sizes in bytes.
#pragma once

#include "protocol/candidate.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve {

enum class outcome : std::uint8_t {
  passed,
  compile_error,
  runtime_error,
  timeout,
  incorrect_shape,
  incorrect_numerical,
  incorrect_dtype,
  reward_hack,
  quarantined,     // too good to be true, under re-check
  infrastructure,  // not the candidate's fault; retried, never held against it
};
constexpr std::uint64_t enum_max(outcome) { return static_cast<std::uint64_t>(outcome::infrastructure); }
std::string_view to_string(outcome o) noexcept;
/// The candidate itself failed (neither passed nor infrastructure nor quarantined).
bool is_candidate_fault(outcome o) noexcept;

struct interval {
  double low = 0;
  double high = 0;

  friend bool operator==(const interval&, const interval&) = default;
};

/// A comparison against one anchor on one workload, from alternating (ABBA) blocks in one run.
struct comparison {
  std::string anchor;       // candidate id, or "eager", "compile"
  double ratio = 0;         // anchor's time / candidate's time: above 1 the candidate is faster; median of paired ratios
  interval ratio_ci95;      // distribution-free, from samples taken after the choice
  double anchor_s = 0;      // the anchor's median latency
  double e_value = 1;       // evidence that the candidate is faster; >= 200 means "better" at a false-gain rate of 0.5%
  std::uint32_t blocks = 0;

  friend bool operator==(const comparison&, const comparison&) = default;
};

struct workload_timing {
  std::string workload;     // uuid
  double latency_s = 0;     // median over samples
  interval latency_ci95;
  std::vector<double> samples_s; // per call, thinned to at most 64
  std::uint32_t samples = 0;
  std::uint32_t calls_per_sample = 1;
  double roof_s = 0;        // the least time that this host's measured roofs allow
  double roofline_fraction = 0; // roof_s / latency_s
  std::vector<comparison> comparisons;

  friend bool operator==(const workload_timing&, const workload_timing&) = default;
};

struct correctness {
  double max_absolute_error = 0;
  double max_relative_error = 0;
  std::uint32_t cases = 0;   // input sets compared
  std::string failed_case;   // "workload 1x4096, case denormal, output 0, element 17: found …, expected …"

  friend bool operator==(const correctness&, const correctness&) = default;
};

enum class bound : std::uint8_t { unknown, memory, compute, latency, occupancy, launch };
constexpr std::uint64_t enum_max(bound) { return static_cast<std::uint64_t>(bound::launch); }
std::string_view to_string(bound b) noexcept;

struct counter {
  std::string name; // "instructions", "cycles", "llc_misses"
  double value = 0;

  friend bool operator==(const counter&, const counter&) = default;
};

/// Why it is as fast as it is.
struct diagnosis {
  bound limited_by = bound::unknown;
  double bytes = 0;            // moved at the least, from the graph, summed over workloads
  double operations = 0;       // floating-point operations, from the graph
  double achieved_bytes_per_s = 0;
  double achieved_flops = 0;
  double roofline_fraction = 0; // geometric mean over workloads
  std::vector<counter> counters;
  std::vector<std::string> remarks; // the compiler's, for the hot loop, capped
  std::vector<std::string> hints;   // what to try, most promising first

  friend bool operator==(const diagnosis&, const diagnosis&) = default;
};

/// Where and by what it was measured.
struct environment {
  std::string hardware;       // hardware key, e.g. cpu-x86_64-avx512-amd-epyc
  std::string device;         // what the host calls it
  std::string toolchain;      // "g++ 12.2.0"
  std::string judge_version;
  std::string sandbox;        // level achieved: "full", or "reduced: no …" with each missing layer and why
  std::string clock;          // which clock timed it
  double load = 0;            // 1-minute load average when measuring began
  std::string agent;
  std::string oracle_version; // of the interpreter and comparison that judged correctness
  std::string problem;        // hash of the definition and its workloads: what the result is about

  friend bool operator==(const environment&, const environment&) = default;
};

/// Wall time of each stage and CPU time in total: what a session's overhead is measured against.
struct stage_times {
  double compile_s = 0;
  double check_s = 0;
  double measure_s = 0;
  double profile_s = 0;
  double queued_s = 0;
  double cpu_s = 0;

  friend bool operator==(const stage_times&, const stage_times&) = default;
};

struct evaluation {
  candidate_id candidate;
  std::string definition;
  outcome result = outcome::infrastructure;
  std::string log;                  // compiler messages or the reason, capped and scrubbed
  correctness correct;
  std::vector<workload_timing> timings;
  diagnosis diagnosed;
  environment where;
  stage_times stages;
  std::int64_t at_ms = 0;           // Unix time
  bool cached = false;              // correctness or timing came from a cache

  friend bool operator==(const evaluation&, const evaluation&) = default;
};

template <class Inspector>
bool inspect(Inspector& f, interval& x) {
  return f.object(x).fields(f.field("low", x.low), f.field("high", x.high));
}
template <class Inspector>
bool inspect(Inspector& f, comparison& x) {
  return f.object(x).fields(f.field("anchor", x.anchor), f.field("ratio", x.ratio), f.field("ratio_ci95", x.ratio_ci95),
                            f.field("anchor_s", x.anchor_s), f.field("e_value", x.e_value), f.field("blocks", x.blocks));
}
template <class Inspector>
bool inspect(Inspector& f, workload_timing& x) {
  return f.object(x).fields(f.field("workload", x.workload), f.field("latency_s", x.latency_s), f.field("latency_ci95", x.latency_ci95),
                            f.field("samples_s", x.samples_s), f.field("samples", x.samples),
                            f.field("calls_per_sample", x.calls_per_sample), f.field("roof_s", x.roof_s),
                            f.field("roofline_fraction", x.roofline_fraction), f.field("comparisons", x.comparisons));
}
template <class Inspector>
bool inspect(Inspector& f, correctness& x) {
  return f.object(x).fields(f.field("max_absolute_error", x.max_absolute_error), f.field("max_relative_error", x.max_relative_error),
                            f.field("cases", x.cases), f.field("failed_case", x.failed_case));
}
template <class Inspector>
bool inspect(Inspector& f, counter& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("value", x.value));
}
template <class Inspector>
bool inspect(Inspector& f, diagnosis& x) {
  return f.object(x).fields(f.field("limited_by", x.limited_by), f.field("bytes", x.bytes), f.field("operations", x.operations),
                            f.field("achieved_bytes_per_s", x.achieved_bytes_per_s), f.field("achieved_flops", x.achieved_flops),
                            f.field("roofline_fraction", x.roofline_fraction), f.field("counters", x.counters),
                            f.field("remarks", x.remarks), f.field("hints", x.hints));
}
template <class Inspector>
bool inspect(Inspector& f, environment& x) {
  return f.object(x).fields(f.field("hardware", x.hardware), f.field("device", x.device), f.field("toolchain", x.toolchain),
                            f.field("judge_version", x.judge_version), f.field("sandbox", x.sandbox), f.field("clock", x.clock),
                            f.field("load", x.load), f.field("agent", x.agent),
                            f.field("oracle_version", x.oracle_version), f.field("problem", x.problem));
}
template <class Inspector>
bool inspect(Inspector& f, stage_times& x) {
  return f.object(x).fields(f.field("compile_s", x.compile_s), f.field("check_s", x.check_s), f.field("measure_s", x.measure_s),
                            f.field("profile_s", x.profile_s), f.field("queued_s", x.queued_s), f.field("cpu_s", x.cpu_s));
}
template <class Inspector>
bool inspect(Inspector& f, evaluation& x) {
  return f.object(x).fields(f.field("candidate", x.candidate), f.field("definition", x.definition), f.field("result", x.result),
                            f.field("log", x.log), f.field("correct", x.correct), f.field("timings", x.timings),
                            f.field("diagnosed", x.diagnosed), f.field("where", x.where), f.field("stages", x.stages),
                            f.field("at_ms", x.at_ms), f.field("cached", x.cached));
}

} // namespace kevolve
