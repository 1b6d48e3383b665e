// kevolve as a child of kevolve, for campaigns: started without a shell, in a process group of its own with our environment, its output
// sent to files, waited for with a deadline, killed with everything it started.
#pragma once

#include "protocol/result.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace kevolve::scheduler {

/// A child that runs while its owner does something else. Output goes to files.
class background_child {
public:
  static result<background_child> start(const std::vector<std::string>& arguments, const std::string& output_file, const std::string& errors_file);
  background_child(background_child&& other) noexcept : pid_(other.pid_) { other.pid_ = -1; }
  background_child& operator=(background_child&&) = delete;
  ~background_child();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// Exit status (or 128 + signal) when it ends before the deadline.
  std::optional<int> wait_for(std::chrono::milliseconds deadline);
  /// kill -9 of the child and of all its descendants, whatever process groups they are in; reaps them. This process must be a subreaper
  /// (`adopt_orphans`), otherwise descendants that re-parented escape.
  void kill_tree();

private:
  explicit background_child(pid_t pid) noexcept : pid_(pid) {}
  pid_t pid_;
};

/// Makes this process the parent of its descendants' orphans.
void adopt_orphans();
/// Living descendants of this process.
std::vector<pid_t> descendants_of(pid_t root);

} // namespace kevolve::scheduler
