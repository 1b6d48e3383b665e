#include "scheduler/mcp_input.hpp"

#include "scheduler/mcp_protocol.hpp"

#include <poll.h>
#include <unistd.h>
#include <utility>

namespace kevolve::scheduler {

std::optional<std::string> line_reader::next(bool& too_long) {
  too_long = false;
  for (;;) {
    if (const auto end = held_.find('\n'); end != held_.npos) {
      std::string line = held_.substr(0, end);
      held_.erase(0, end + 1);
      if (std::exchange(skipping_, false)) {
        too_long = true;
        return std::string();
      }
      return line;
    }
    if (held_.size() > mcp_line_bytes) {
      held_.clear();
      skipping_ = true;
    }
    pollfd ready{fd_, POLLIN, 0};
    const int woken = ::poll(&ready, 1, 200);
    if (stopped_())
      return std::nullopt;
    if (woken <= 0)
      continue;
    char part[65536];
    const auto got = ::read(fd_, part, sizeof part);
    if (got <= 0)
      return std::nullopt;
    held_.append(part, static_cast<std::size_t>(got));
  }
}

bool writer_has_left(int fd, std::chrono::milliseconds at_most) {
  pollfd state{fd, POLLRDHUP, 0};
  return ::poll(&state, 1, static_cast<int>(at_most.count())) > 0 && (state.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL)) != 0;
}

} // namespace kevolve::scheduler
