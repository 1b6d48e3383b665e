// The judge's hold on one untrusted process: a harness with a candidate, or a baseline host. Starts it with its own identity, session,
// limits and an empty environment, hands it buffers, has it called, and ends it with everything it started. Reads nothing from it but
// fixed records, checked. The clock around a call is ours. One thread.
#pragma once

#include "node-agent/cgroup.hpp"
#include "node-agent/memory.hpp"
#include "node-agent/namespaces.hpp"
#include "protocol/expression.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kevolve::agent {

/// How a program misbehaved, in the words that the verdict uses.
enum class misbehaviour : std::uint8_t { none, failed, crashed, hung, cheated, cancelled, unavailable };

struct call_end {
  misbehaviour what = misbehaviour::none;
  std::string detail;
  double seconds = 0; // CLOCK_MONOTONIC from before the request to after the reply
  [[nodiscard]] bool good() const { return what == misbehaviour::none; }
};

struct program_settings {
  std::vector<std::string> arguments;   // [0]: the executable
  std::vector<std::string> environment;
  unsigned identity = 0;                // uid and gid to drop to; 0: keep ours
  const namespaces* inside = nullptr;   // enters these; null: ours
  control_group* group = nullptr;       // joins it, and is ended with all of it; null: none
  bool limited = true;                  // rlimits
  bool clean = true;                    // no descriptor of ours
  bool read_only = true;                // inputs come as a descriptor that cannot be written
  bool numbered = true;                 // a reply that answers no question is seen
  int nice = 0;
  std::vector<int> cores;               // may run on these; empty: all
  std::uint64_t private_bytes = 0;      // limit of private writable memory; 0: none
  std::filesystem::path log;            // stderr goes there; empty: nowhere
};

/// What interrupts a wait: returns true to give up. Polled at least every 100 ms; `control` wakes it at once.
struct interruption {
  int control = -1;
  std::function<bool()> poll;
};

/// What a process did by its own CPU clock, beside the judge's.
struct work_clock {
  double called_s = 0;     // by the judge's clock, in calls
  double called_cpu_s = 0; // all threads, meanwhile
  double idle_cpu_s = 0;   // between calls
  work_clock& operator+=(const work_clock& o) { return called_s += o.called_s, called_cpu_s += o.called_cpu_s, idle_cpu_s += o.idle_cpu_s, *this; }
};

class program {
public:
  static result<std::unique_ptr<program>> start(const program_settings& settings, const interruption& stop);
  ~program(); // ends it and everything it started
  program(const program&) = delete;
  program& operator=(const program&) = delete;

  /// Installs a system call filter (system_calls.hpp; empty: none) and Landlock's fence, for good.
  call_end confine(const std::string& filter, bool fence, double limit_s);
  /// The artifact as a descriptor (a sealed memfd); -1 for a program that needs none.
  call_end load(int artifact, double limit_s);
  call_end map(std::uint32_t slot, const axis_binding& axes, const buffer_set& inputs, const buffer_set& outputs, double limit_s);
  /// `seed` not 0: a harness poisons one element of the outputs before each call (channel.hpp).
  call_end call(std::uint32_t slot, std::uint32_t count, double limit_s, std::uint64_t seed = 0);
  call_end unmap(std::uint32_t slot);
  /// `map` without waiting for the answer: a baseline compiles meanwhile. `settle` collects the answers in order; what is `none` and
  /// `pending()` is not zero: still busy.
  call_end post_map(std::uint32_t slot, const axis_binding& axes, const buffer_set& inputs, const buffer_set& outputs);
  call_end settle(double wait_s);
  [[nodiscard]] std::size_t pending() const { return pending_.size(); }

  /// Stops and continues the whole group (a baseline that compiles while the device measures).
  void freeze();
  void thaw();
  /// Back to nice 0, all threads (root only).
  void restore_priority();
  [[nodiscard]] int id() const { return pid_; }
  [[nodiscard]] double cpu_s() const { return cpu_s_; } // once it has ended
  /// The second clock, up to now.
  [[nodiscard]] work_clock clock();
  /// Kills and reaps; how it had ended, if it had by itself.
  std::string end();

private:
  program() = default;
  call_end send(std::uint32_t what, std::uint32_t slot, std::uint32_t count, const std::string& body, const std::vector<int>& fds);
  call_end exchange(std::uint32_t what, std::uint32_t slot, std::uint32_t count, const std::string& body, const std::vector<int>& fds, double limit_s);
  call_end await(std::uint64_t number, double limit_s);
  call_end died();
  [[nodiscard]] double cpu_now_s() const;
  int pid_ = -1;
  int channel_ = -1;
  int watch_ = -1;
  unsigned identity_ = 0;
  control_group* group_ = nullptr;
  std::uint64_t memory_kills_ = 0; // of the group, before this process
  double cpu_s_ = 0;
  bool numbered_ = true; // replies must answer
  bool write_inputs_ = false;
  work_clock clock_;
  double cpu_mark_s_ = -1; // when the last request was answered; below 0: nothing was called yet
  bool frozen_ = false;
  std::uint64_t number_ = 0;
  std::vector<std::uint64_t> pending_;
  interruption stop_;
};

/// A copy of a file as a sealed memfd, so that what was checked is what is loaded and its path stays unknown.
result<int> sealed_copy(const std::filesystem::path& file);
/// Kills every process of this identity, wherever it hides. Root only; otherwise does nothing.
void sweep_identity(unsigned identity);
/// Reaps adopted orphans (this process must be a subreaper) and kills those that live.
void sweep_orphans(const std::vector<int>& ours);

} // namespace kevolve::agent
