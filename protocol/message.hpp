// What scheduler and agents say to each other, over ZeroMQ between processes and over inproc:// in one. Every message is an envelope with
// sender, receiver and sequence. The work of a lease is a whole migrated evaluator actor's state: one MessagePack value. Pure data.
#pragma once

#include "protocol/evaluation.hpp"
#include "protocol/operator.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace kevolve {

inline constexpr std::uint32_t protocol_version = 1;

/// How thoroughly to check and measure.
enum class effort : std::uint8_t {
  search,  // against one C++ anchor, stops early when clearly slower
  verify,  // fresh processes and seeds, every baseline, full intervals
};
constexpr std::uint64_t enum_max(effort) { return static_cast<std::uint64_t>(effort::verify); }

/// Evaluate one candidate: compile -> check -> measure -> profile -> diagnose.
struct evaluate_work {
  problem subject;
  target on;
  candidate what;
  std::vector<candidate> anchors;      // at most one while searching; verify adds the plain loop nest
  std::vector<std::string> baselines;  // verify: "eager", "compile"
  effort how = effort::search;
  std::uint64_t seed = 0;              // of inputs; never shown to a synthesizer
  double limit_s = 60;                 // wall clock for the candidate's own runs, compile included
  std::vector<evaluation> known;       // search: what the store has of this candidate and target, newest first; what still holds here is answered again
};

/// Trace a reference to a graph (Python where present): fills problem.op.traced.
struct trace_work {
  std::string path;                    // KernelBench .py or Definition .json
  std::string scale;                   // "", "cpu" or a factor
};

using work = std::variant<evaluate_work, trace_work>;

/// SHA-256 of all that an evaluation's answer depends on, the inputs' seed included: the same work asked for again, by whatever task and however
/// often a scheduler started in between. "": a trace, which is not kept.
std::string work_print(const work& what);

struct device_description {
  std::string name;                    // "cpu0"
  std::string hardware;                // hardware key
  target on;
  std::uint32_t slots = 1;
  std::string facts;                   // what results depend on besides the hardware key: toolchain, judge, calibrated roofs
};

/// An accelerator that a host has; `trouble` says why nothing runs on it.
struct found_device {
  std::string name;                    // "cuda0"
  std::string platform;                // cuda, hip
  std::string model;                   // "NVIDIA H100 80GB HBM3"
  std::string architecture;            // sm_90, gfx942
  std::vector<std::pair<std::string, std::string>> facts;
  std::string trouble;
};

// agent -> scheduler
struct agent_hello { std::string agent; std::string incarnation; std::uint32_t version = protocol_version;
                     std::vector<device_description> devices; std::uint32_t compile_slots = 1;
                     std::vector<std::string> kept;      // work_print of what it has finished and nobody has counted yet, newest first
                     std::vector<found_device> found;    // beside `devices`, for people
                     bool compiles = true; };            // has a compiler; agents of before this field have one
struct agent_heartbeat { std::uint32_t leases = 0; double load = 0; };
struct lease_accepted { std::string lease; std::uint64_t epoch = 0; };
struct lease_finished { std::string lease; std::uint64_t epoch = 0; std::variant<evaluation, problem, std::string> answer; }; // string: infrastructure error
struct agent_goodbye { std::string reason; };
// scheduler -> agent
struct agent_welcome { std::string scheduler; std::uint32_t version = protocol_version; };
struct lease_granted { std::string lease; std::uint64_t epoch = 0; double deadline_s = 0; work what; };
struct lease_cancelled { std::string lease; std::uint64_t epoch = 0; };
struct result_acknowledged { std::string lease; std::uint64_t epoch = 0; bool counted = false; }; // not counted: nobody waits for it under this lease
struct agent_drain { double deadline_s = 0; };

using message = std::variant<agent_hello, agent_heartbeat, lease_accepted, lease_finished, agent_goodbye, agent_welcome, lease_granted,
                             lease_cancelled, result_acknowledged, agent_drain>;

struct envelope {
  std::uint32_t version = protocol_version;
  std::string sender;
  std::string receiver;
  std::uint64_t sequence = 0;
  message body;
};

template <class Inspector>
bool inspect(Inspector& f, evaluate_work& x) {
  return f.object(x).fields(f.field("subject", x.subject), f.field("on", x.on), f.field("what", x.what), f.field("anchors", x.anchors),
                            f.field("baselines", x.baselines), f.field("how", x.how), f.field("seed", x.seed),
                            f.field("limit_s", x.limit_s), f.field("known", x.known));
}
template <class Inspector>
bool inspect(Inspector& f, trace_work& x) {
  return f.object(x).fields(f.field("path", x.path), f.field("scale", x.scale));
}
template <class Inspector>
bool inspect(Inspector& f, device_description& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("hardware", x.hardware), f.field("on", x.on), f.field("slots", x.slots), f.field("facts", x.facts));
}
template <class Inspector>
bool inspect(Inspector& f, found_device& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("platform", x.platform), f.field("model", x.model), f.field("architecture", x.architecture),
                            f.field("facts", x.facts), f.field("trouble", x.trouble));
}
template <class Inspector>
bool inspect(Inspector& f, agent_hello& x) {
  return f.object(x).fields(f.field("agent", x.agent), f.field("incarnation", x.incarnation), f.field("version", x.version),
                            f.field("devices", x.devices), f.field("compile_slots", x.compile_slots), f.field("kept", x.kept), f.field("found", x.found), f.field("compiles", x.compiles));
}
template <class Inspector>
bool inspect(Inspector& f, agent_heartbeat& x) {
  return f.object(x).fields(f.field("leases", x.leases), f.field("load", x.load));
}
template <class Inspector>
bool inspect(Inspector& f, lease_accepted& x) {
  return f.object(x).fields(f.field("lease", x.lease), f.field("epoch", x.epoch));
}
template <class Inspector>
bool inspect(Inspector& f, lease_finished& x) {
  return f.object(x).fields(f.field("lease", x.lease), f.field("epoch", x.epoch), f.field("answer", x.answer));
}
template <class Inspector>
bool inspect(Inspector& f, agent_goodbye& x) {
  return f.object(x).fields(f.field("reason", x.reason));
}
template <class Inspector>
bool inspect(Inspector& f, agent_welcome& x) {
  return f.object(x).fields(f.field("scheduler", x.scheduler), f.field("version", x.version));
}
template <class Inspector>
bool inspect(Inspector& f, lease_granted& x) {
  return f.object(x).fields(f.field("lease", x.lease), f.field("epoch", x.epoch), f.field("deadline_s", x.deadline_s),
                            f.field("what", x.what));
}
template <class Inspector>
bool inspect(Inspector& f, lease_cancelled& x) {
  return f.object(x).fields(f.field("lease", x.lease), f.field("epoch", x.epoch));
}
template <class Inspector>
bool inspect(Inspector& f, result_acknowledged& x) {
  return f.object(x).fields(f.field("lease", x.lease), f.field("epoch", x.epoch), f.field("counted", x.counted));
}
template <class Inspector>
bool inspect(Inspector& f, agent_drain& x) {
  return f.object(x).fields(f.field("deadline_s", x.deadline_s));
}
template <class Inspector>
bool inspect(Inspector& f, envelope& x) {
  return f.object(x).fields(f.field("version", x.version), f.field("sender", x.sender), f.field("receiver", x.receiver),
                            f.field("sequence", x.sequence), f.field("body", x.body));
}

} // namespace kevolve
