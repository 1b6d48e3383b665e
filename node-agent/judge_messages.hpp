// What the evaluation library and a judge say to each other: MessagePack frames with a 32-bit length in front, over a socket pair. Every
// request carries a number; a reply to a number that nobody waits for any more is dropped. Pure data.
#pragma once

#include "protocol/message.hpp"

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace kevolve::agent {

/// Once, first.
struct judge_setup {
  std::string harness;            // executable
  std::string python;             // empty: none
  std::string baseline_script;
  std::string cache;              // a folder for the baselines' compilers
  std::vector<std::int32_t> cores; // of this device slot
  std::uint32_t slot = 0;
  std::uint64_t defences_off = 0;  // defence.hpp; 0: all are on
};

struct judge_program {
  std::string name;     // candidate id
  std::string artifact; // shared object
};

struct judge_evaluate {
  std::uint64_t number = 0;
  problem subject;
  judge_program what;
  std::vector<judge_program> anchors;
  std::vector<std::string> baselines;
  judge_program yardstick;  // yardstick.hpp's, to be timed beside a leader; no artifact: none
  effort how = effort::search;
  std::uint64_t seed = 0;
  double limit_s = 60;      // all of the candidate's calls
  double call_limit_s = 10; // one call
};

/// Starts baseline hosts; answered at once by judge_stage "prepared".
struct judge_prepare {
  std::uint64_t number = 0;
  problem subject;
  std::vector<std::string> baselines;
  std::uint64_t seed = 0;
};

/// Times a program of ours on plain float32 buffers (the roofs), once per set of axes: the least time per call of each.
struct judge_probe {
  std::uint64_t number = 0;
  judge_program what;
  std::vector<std::int64_t> inputs;  // elements each
  std::vector<std::int64_t> outputs;
  std::vector<std::vector<std::int64_t>> axes;
  std::uint32_t repeats = 3;
};

/// One thing that a golden run does: calls with these axes, of which each is timed, until `most_calls` or `budget_s`; then the results are checked.
struct golden_step {
  std::vector<std::int64_t> axes;
  bool copies = false;          // the first output is the first input; otherwise:
  std::vector<float> sums;      // each thread's, in every 16th element of the second output, is one of these
  std::uint32_t most_calls = 1;
  double budget_s = 0.5;
};

/// Runs a program of ours whose results are known, on inputs drawn from `seed`: a golden run (golden.hpp).
struct judge_golden {
  std::uint64_t number = 0;
  judge_program what;
  std::vector<std::int64_t> inputs;  // float32 elements each
  std::vector<std::int64_t> outputs;
  std::vector<golden_step> steps;
  std::uint64_t seed = 0;
};

/// What confines candidates here; answered by judge_described.
struct judge_describe { std::uint64_t number = 0; };

struct judge_go { std::uint64_t number = 0; };
struct judge_cancel { std::uint64_t number = 0; };

using judge_request = std::variant<judge_setup, judge_evaluate, judge_prepare, judge_probe, judge_golden, judge_describe, judge_go, judge_cancel>;

/// "checking", "measuring" (answered by judge_go once the compilers stand still), "measured", "prepared".
struct judge_stage {
  std::uint64_t number = 0;
  std::string name;
};

struct judge_verdict {
  std::uint64_t number = 0;
  outcome result = outcome::infrastructure;
  std::string log;
  correctness correct;
  std::vector<workload_timing> timings; // comparisons included
  std::vector<std::string> notes;       // baselines that were not available, and why
  std::vector<counter> counters;        // of one call each, summed over workloads
  std::string sandbox;
  double check_s = 0, measure_s = 0, prepare_s = 0, cpu_s = 0, handshake_s = 0;
};

struct judge_probed {
  std::uint64_t number = 0;
  std::vector<double> least_s;
  std::string problem; // empty: good
};

/// Of one call of a step.
struct golden_seconds { double least_s = 0, mean_s = 0; };

struct judge_golden_done {
  std::uint64_t number = 0;
  std::vector<golden_seconds> steps;
  std::string wrong;   // which result, and how; empty: all were right
  std::string problem; // why it did not come to its end; empty: it did
  bool began = false;  // false: the program could not be started
  bool hung = false;   // a call did not return
};

struct judge_layer {
  std::string name;
  bool holds = false;
  std::string detail;
};

struct judge_described {
  std::uint64_t number = 0;
  std::string level; // "full", or "reduced: no …"
  std::vector<judge_layer> layers;
};

using judge_reply = std::variant<judge_stage, judge_verdict, judge_probed, judge_golden_done, judge_described>;

template <class Inspector>
bool inspect(Inspector& f, judge_setup& x) {
  return f.object(x).fields(f.field("harness", x.harness), f.field("python", x.python), f.field("baseline_script", x.baseline_script),
                            f.field("cache", x.cache), f.field("cores", x.cores), f.field("slot", x.slot), f.field("defences_off", x.defences_off));
}
template <class Inspector>
bool inspect(Inspector& f, judge_program& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("artifact", x.artifact));
}
template <class Inspector>
bool inspect(Inspector& f, judge_evaluate& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("subject", x.subject), f.field("what", x.what), f.field("anchors", x.anchors),
                            f.field("baselines", x.baselines), f.field("how", x.how), f.field("seed", x.seed), f.field("limit_s", x.limit_s),
                            f.field("call_limit_s", x.call_limit_s), f.field("yardstick", x.yardstick));
}
template <class Inspector>
bool inspect(Inspector& f, judge_prepare& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("subject", x.subject), f.field("baselines", x.baselines), f.field("seed", x.seed));
}
template <class Inspector>
bool inspect(Inspector& f, judge_probe& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("what", x.what), f.field("inputs", x.inputs), f.field("outputs", x.outputs),
                            f.field("axes", x.axes), f.field("repeats", x.repeats));
}
template <class Inspector>
bool inspect(Inspector& f, golden_step& x) {
  return f.object(x).fields(f.field("axes", x.axes), f.field("copies", x.copies), f.field("sums", x.sums), f.field("most_calls", x.most_calls), f.field("budget_s", x.budget_s));
}
template <class Inspector>
bool inspect(Inspector& f, judge_golden& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("what", x.what), f.field("inputs", x.inputs), f.field("outputs", x.outputs), f.field("steps", x.steps),
                            f.field("seed", x.seed));
}
template <class Inspector>
bool inspect(Inspector& f, golden_seconds& x) {
  return f.object(x).fields(f.field("least_s", x.least_s), f.field("mean_s", x.mean_s));
}
template <class Inspector>
bool inspect(Inspector& f, judge_golden_done& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("steps", x.steps), f.field("wrong", x.wrong), f.field("problem", x.problem),
                            f.field("began", x.began), f.field("hung", x.hung));
}
template <class Inspector>
bool inspect(Inspector& f, judge_describe& x) {
  return f.object(x).fields(f.field("number", x.number));
}
template <class Inspector>
bool inspect(Inspector& f, judge_layer& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("holds", x.holds), f.field("detail", x.detail));
}
template <class Inspector>
bool inspect(Inspector& f, judge_described& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("level", x.level), f.field("layers", x.layers));
}
template <class Inspector>
bool inspect(Inspector& f, judge_go& x) {
  return f.object(x).fields(f.field("number", x.number));
}
template <class Inspector>
bool inspect(Inspector& f, judge_cancel& x) {
  return f.object(x).fields(f.field("number", x.number));
}
template <class Inspector>
bool inspect(Inspector& f, judge_stage& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("name", x.name));
}
template <class Inspector>
bool inspect(Inspector& f, judge_verdict& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("result", x.result), f.field("log", x.log), f.field("correct", x.correct),
                            f.field("timings", x.timings), f.field("notes", x.notes), f.field("sandbox", x.sandbox),
                            f.field("check_s", x.check_s), f.field("measure_s", x.measure_s), f.field("prepare_s", x.prepare_s),
                            f.field("cpu_s", x.cpu_s), f.field("handshake_s", x.handshake_s),
                            f.field("counters", x.counters));
}
template <class Inspector>
bool inspect(Inspector& f, judge_probed& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("least_s", x.least_s), f.field("problem", x.problem));
}

} // namespace kevolve::agent
