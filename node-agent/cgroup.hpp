// One control group for one untrusted process and whatever it starts: memory and task limits, CPU time, and killing everybody at once. Where
// the unified hierarchy has the controllers it alone is used; on a hybrid host the version 1 controllers limit and the unified hierarchy kills
// (measured: a bomb of 200 tasks is gone in 20 ms, one by one it takes a second). One thread. Linux only.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace kevolve::agent {

struct group_limits {
  std::uint64_t memory_bytes = 0; // 0: none
  std::uint64_t tasks = 0;        // 0: none
};

class control_group {
public:
  /// A new, empty group below our own in every hierarchy that takes part. Errors: no hierarchy can be written.
  static result<std::unique_ptr<control_group>> make(const std::string& name, const group_limits& limits);
  ~control_group(); // kills and removes it
  control_group(const control_group&) = delete;
  control_group& operator=(const control_group&) = delete;

  /// A process that writes "0" to each of these descriptors is in the group.
  [[nodiscard]] const std::vector<int>& entrances() const { return entrances_; }
  /// Kills all members and waits until there is none, at most `limit_s`. False: somebody lives on (uninterruptible).
  bool kill(double limit_s = 5);
  [[nodiscard]] bool empty() const;
  /// Seconds of CPU that its members have used since it was made; negative where no hierarchy counts.
  [[nodiscard]] double cpu_s() const;
  /// How often the kernel has killed a member for memory.
  [[nodiscard]] std::uint64_t out_of_memory() const;
  /// What it limits and how it kills: "memory, tasks (v1); kill (v2)".
  [[nodiscard]] const std::string& description() const { return description_; }
  [[nodiscard]] bool limits_memory() const { return !memory_.empty(); }
  [[nodiscard]] bool limits_tasks() const { return !tasks_.empty(); }

private:
  control_group() = default;
  std::vector<std::string> folders_;
  std::vector<int> entrances_;
  std::string memory_, tasks_, unified_, cpu_; // folders
  std::string description_;
};

/// The folder in the unified hierarchy below which groups have limits of memory and tasks: `own` where it hands these controllers down, or is made to (a
/// group with processes of its own cannot, but for the top); else the nearest group above it, up to `top`, that hands them down already (as systemd's
/// slices do) and may be written. `own` where there is none: groups below it only kill.
std::string place_for_groups(const std::string& own, const std::string& top);

/// Removes groups that processes of our namespace which no longer live have left behind. Returns how many.
std::size_t sweep_control_groups();

} // namespace kevolve::agent
