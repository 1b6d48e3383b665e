// What scheduler and agents say to each other, over ZeroMQ between processes and over inproc:// in one. Every message is an envelope with
// sender, receiver and sequence. The work of a lease is a whole migrated evaluator actor's state: one MessagePack value. Pure data.
#pragma once

#include "protocol/evaluation.hpp"
#include "protocol/operator.hpp"
#include "protocol/writing.hpp"

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

/// What a program must be made for: a compiler elsewhere knows nothing of the CPU that it will run on.
struct program_host {
  std::string machine;                 // "x86_64"
  std::uint32_t libc = 0;              // glibc 2.36: 2036; what was linked with a newer one may not start there
  std::vector<std::string> native;     // what -march=native means there, as flags; a compiler that does not know one leaves it out
};

/// Compile a candidate for another host, which fetches the program by its hash. The first alternative of `work` that older agents do not know.
struct compile_work {
  candidate what;
  std::string toolchain;               // "g++": any version; "g++ 12.2.0": this one
  program_host runs_on;
  double limit_s = 60;                 // each command's
};

using work = std::variant<evaluate_work, trace_work, compile_work, write_work, kept_work>;

/// Bytes that travel in pieces: too many for one frame, or perhaps known already where they are wanted (blob_wanted).
struct blob_reference {
  std::string hash;                    // SHA-256 of all of them, 64 hexadecimal digits
  std::uint64_t bytes = 0;
};

/// What a compiler made of a candidate. A candidate that does not compile is an answer like any other.
struct compile_made {
  candidate_id candidate;
  bool good = false;
  blob_reference artifact;             // where good
  std::string log;                     // the compiler's messages, capped and scrubbed
  std::vector<std::string> remarks;
  std::string toolchain;               // "g++ 12.2.0"
  bool cached = false;
  double queued_s = 0, wall_s = 0, cpu_s = 0;
};

/// SHA-256 of all that an evaluation's answer depends on, the inputs' seed included: the same work asked for again, by whatever task and however
/// often a scheduler started in between; the print that a write_work brings. "": a trace or a compilation, which are not kept.
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
                     std::vector<std::string> kept;      // work_print of what it has finished and nobody has counted yet, newest first; what it is writing, before them
                     std::vector<found_device> found;    // beside `devices`, for people
                     bool compiles = true;               // has a compiler; agents of before this field have one
                     bool pieces = false;                // takes and gives blobs, and asks for what it cannot compile; agents of before this field do neither
                     std::vector<std::string> toolchains; // that it compiles with for others: "g++ 12.2.0"
                     std::string machine;                // of the programs that they make: "x86_64"
                     std::uint32_t libc = 0;             // and their glibc (program_host)
                     std::vector<writer_description> writers; // who writes candidates on its host
                     std::uint32_t writing_slots = 0;    // proposals that they write at once
                     std::vector<std::string> labels; }; // what sessions may choose agents by, besides its name
struct agent_heartbeat { std::uint32_t leases = 0; double load = 0; };
struct lease_accepted { std::string lease; std::uint64_t epoch = 0; };
struct lease_finished { std::string lease; std::uint64_t epoch = 0; std::variant<evaluation, problem, std::string, compile_made, blob_reference, written> answer; };
                                                         // string: infrastructure error; blob: the encoded variant, to be fetched
using lease_answer = decltype(lease_finished::answer);
struct agent_goodbye { std::string reason; };
struct compile_wanted { std::string request; compile_work what; };  // said again until it is answered
struct compile_dropped { std::string request; };                    // nobody waits for it any more
// scheduler -> agent
struct agent_welcome { std::string scheduler; std::uint32_t version = protocol_version;
                       bool pieces = false; };           // takes large answers as blobs; schedulers of before this field do not
struct lease_granted { std::string lease; std::uint64_t epoch = 0; double deadline_s = 0; work what; };
struct lease_cancelled { std::string lease; std::uint64_t epoch = 0; };
struct result_acknowledged { std::string lease; std::uint64_t epoch = 0; bool counted = false; }; // not counted: nobody waits for it under this lease
struct agent_drain { double deadline_s = 0; };
struct lease_offered { std::string lease; std::uint64_t epoch = 0; double deadline_s = 0; blob_reference what; }; // a lease_granted whose encoded work is to be fetched
struct compile_answered { std::string request; std::variant<compile_made, std::string> answer; };                 // string: infrastructure error
// both ways. `to`: the agent that asks, where a scheduler passes on what another agent holds.
struct blob_wanted { std::string hash; std::uint64_t offset = 0; std::uint64_t bytes = 0; std::string to; }; // at most limits::piece_bytes
struct blob_piece { std::string hash; std::uint64_t offset = 0; std::string content; std::string to; };
struct blob_missing { std::string hash; std::string to; };                                                   // nobody here has it

using message = std::variant<agent_hello, agent_heartbeat, lease_accepted, lease_finished, agent_goodbye, agent_welcome, lease_granted,
                             lease_cancelled, result_acknowledged, agent_drain, compile_wanted, compile_dropped, lease_offered, compile_answered,
                             blob_wanted, blob_piece, blob_missing>;

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
bool inspect(Inspector& f, program_host& x) {
  return f.object(x).fields(f.field("machine", x.machine), f.field("libc", x.libc), f.field("native", x.native));
}
template <class Inspector>
bool inspect(Inspector& f, compile_work& x) {
  return f.object(x).fields(f.field("what", x.what), f.field("toolchain", x.toolchain), f.field("runs_on", x.runs_on), f.field("limit_s", x.limit_s));
}
template <class Inspector>
bool inspect(Inspector& f, blob_reference& x) {
  return f.object(x).fields(f.field("hash", x.hash), f.field("bytes", x.bytes));
}
template <class Inspector>
bool inspect(Inspector& f, compile_made& x) {
  return f.object(x).fields(f.field("candidate", x.candidate), f.field("good", x.good), f.field("artifact", x.artifact), f.field("log", x.log),
                            f.field("remarks", x.remarks), f.field("toolchain", x.toolchain), f.field("cached", x.cached), f.field("queued_s", x.queued_s),
                            f.field("wall_s", x.wall_s), f.field("cpu_s", x.cpu_s));
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
                            f.field("devices", x.devices), f.field("compile_slots", x.compile_slots), f.field("kept", x.kept), f.field("found", x.found), f.field("compiles", x.compiles),
                            f.field("pieces", x.pieces), f.field("toolchains", x.toolchains), f.field("machine", x.machine), f.field("libc", x.libc),
                            f.field("writers", x.writers), f.field("writing_slots", x.writing_slots), f.field("labels", x.labels));
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
  return f.object(x).fields(f.field("scheduler", x.scheduler), f.field("version", x.version), f.field("pieces", x.pieces));
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
bool inspect(Inspector& f, compile_wanted& x) {
  return f.object(x).fields(f.field("request", x.request), f.field("what", x.what));
}
template <class Inspector>
bool inspect(Inspector& f, compile_dropped& x) {
  return f.object(x).fields(f.field("request", x.request));
}
template <class Inspector>
bool inspect(Inspector& f, lease_offered& x) {
  return f.object(x).fields(f.field("lease", x.lease), f.field("epoch", x.epoch), f.field("deadline_s", x.deadline_s), f.field("what", x.what));
}
template <class Inspector>
bool inspect(Inspector& f, compile_answered& x) {
  return f.object(x).fields(f.field("request", x.request), f.field("answer", x.answer));
}
template <class Inspector>
bool inspect(Inspector& f, blob_wanted& x) {
  return f.object(x).fields(f.field("hash", x.hash), f.field("offset", x.offset), f.field("bytes", x.bytes), f.field("to", x.to));
}
template <class Inspector>
bool inspect(Inspector& f, blob_piece& x) {
  return f.object(x).fields(f.field("hash", x.hash), f.field("offset", x.offset), f.field("content", x.content), f.field("to", x.to));
}
template <class Inspector>
bool inspect(Inspector& f, blob_missing& x) {
  return f.object(x).fields(f.field("hash", x.hash), f.field("to", x.to));
}
template <class Inspector>
bool inspect(Inspector& f, envelope& x) {
  return f.object(x).fields(f.field("version", x.version), f.field("sender", x.sender), f.field("receiver", x.receiver),
                            f.field("sequence", x.sequence), f.field("body", x.body));
}

} // namespace kevolve
