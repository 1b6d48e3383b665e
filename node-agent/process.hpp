// Runs one command without a shell: own session and process group, cleared environment, no inherited descriptor, hard limits, a wall-clock
// deadline, capped and scrubbed output. A command that hangs, forks, floods or crashes never holds its caller up longer than the deadline:
// the whole group is killed. `pause_gate` stops running commands while a device on shared cores measures; stopped time does not count.
// Any thread; one call per command, synchronous. Linux only.
#pragma once

#include "protocol/result.hpp"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve::agent {

/// Zero means unlimited. `processes` does nothing for uid 0 (the kernel ignores RLIMIT_NPROC there).
struct process_limits {
  double wall_s = 60;
  double cpu_s = 0;
  std::uint64_t memory_bytes = 0;  // address space
  std::uint64_t file_bytes = 0;    // each file written
  std::uint64_t open_files = 256;
  std::uint64_t processes = 0;
};

struct command {
  std::vector<std::string> arguments;   // [0]: a path, or a name looked up in our PATH
  std::vector<std::string> environment; // KEY=VALUE, all that it gets; see plain_environment
  std::filesystem::path directory;      // empty: ours
  std::string input;                    // stdin; empty: /dev/null
  process_limits limits;
  unsigned identity = 0;                // uid and gid to become (root only); 0: ours
  int nice = 0;
  std::size_t output_bytes = 64u << 10; // kept of stdout and of stderr, each; the rest is read and dropped
  bool scrub_output = true;             // stdout through scrub(); stderr always is
};

enum class process_fate : std::uint8_t { exited, signalled, timed_out, cancelled };

struct process_end {
  process_fate fate = process_fate::exited;
  int status = 0;          // exit code, or signal number
  std::string output;      // stdout
  std::string errors;      // stderr
  bool truncated = false;  // one of the two was longer than output_bytes
  double wall_s = 0;       // stopped time included
  double cpu_s = 0;        // of the command and every descendant it waited for

  [[nodiscard]] bool good() const { return fate == process_fate::exited && status == 0; }
};
/// "exited with status 1", "was killed by signal 11 (Segmentation fault)", "was stopped after 2.0 s".
std::string describe(const process_end& end);

/// While paused, every command that runs under this gate is stopped (SIGSTOP to its group) and none starts. Any thread.
class pause_gate {
public:
  void pause();
  void resume();
  [[nodiscard]] bool paused() const noexcept { return depth_.load(std::memory_order_relaxed) > 0; }
  /// Seconds spent paused since the gate exists: what deadlines leave out.
  [[nodiscard]] double paused_s() const;

  // called by run
  void wait(const std::atomic<bool>* cancelled); // until it opens, once; nothing begins beside a measurement
  void enter(int group);
  void leave(int group);

private:
  mutable std::mutex mutex_;
  std::condition_variable opened_;
  std::uint64_t openings_ = 0;
  std::set<int> groups_;
  std::atomic<int> depth_{0};
  double paused_s_ = 0;
  double since_s_ = 0;
};

/// Errors only when the command could not be started at all (not found, no processes left); everything else is a process_end.
result<process_end> run(const command& what, const std::atomic<bool>* cancelled = nullptr, pause_gate* gate = nullptr);

/// PATH (a fixed one of system folders), LANG=C.UTF-8, TMPDIR, HOME=/nonexistent: nothing of ours leaks.
std::vector<std::string> plain_environment();
/// Control bytes (all but newline and tab) and invalid UTF-8 replaced, escape sequences gone, at most `most` bytes.
std::string scrub(std::string_view text, std::size_t most = 64u << 10);
/// A command by name in PATH, or empty.
std::filesystem::path find_command(const std::string& name);
/// bwrap in PATH, or the one that an agent's package has beside its programs; empty where there is none.
std::filesystem::path find_bubblewrap();
/// Monotonic seconds.
double now_s() noexcept;

/// Our namespace of processes, as digits: process numbers mean something in it only, and containers may share folders.
const std::string& process_space();

/// Walks up from this executable's folder until `relative` exists there or under share/kevolve; empty when nowhere.
std::filesystem::path find_beside_executable(const std::filesystem::path& relative);

} // namespace kevolve::agent
