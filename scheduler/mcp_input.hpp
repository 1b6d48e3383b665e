// Lines from a client by a file descriptor, and whether it is still there. One thread.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace kevolve::scheduler {

class line_reader {
public:
  /// `stopped` is asked several times a second: true ends the waiting.
  line_reader(int fd, std::function<bool()> stopped) : fd_(fd), stopped_(std::move(stopped)) {}

  /// The next line without its end; empty optional: nothing more comes, or it was stopped. `too_long`: a line of more than mcp_line_bytes was left out.
  std::optional<std::string> next(bool& too_long);

private:
  int fd_;
  std::function<bool()> stopped_;
  std::string held_;
  bool skipping_ = false;
};

/// Waits until whoever writes to a pipe or socket has closed it, at most so long. What it wrote before is still to be read. Never true of a file.
bool writer_has_left(int fd, std::chrono::milliseconds at_most);

} // namespace kevolve::scheduler
