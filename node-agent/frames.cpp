#include "node-agent/frames.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>

namespace kevolve::agent {
namespace {

bool write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::send(fd, data, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    data += n, size -= static_cast<std::size_t>(n);
  }
  return true;
}

bool read_all(int fd, char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::recv(fd, data, size, 0);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    data += n, size -= static_cast<std::size_t>(n);
  }
  return true;
}

} // namespace

bool write_frame(int fd, std::string_view bytes) {
  const auto size = static_cast<std::uint32_t>(bytes.size());
  char head[4];
  std::memcpy(head, &size, 4);
  return write_all(fd, head, 4) && write_all(fd, bytes.data(), bytes.size());
}

result<std::optional<std::string>> read_frame(int fd, int wait_ms) {
  pollfd ready{fd, POLLIN, 0};
  const int found = ::poll(&ready, 1, wait_ms);
  if (found == 0 || (found < 0 && errno == EINTR))
    return std::optional<std::string>();
  std::uint32_t size = 0;
  char head[4];
  if (!read_all(fd, head, 4))
    return error{errc::infrastructure, "the other end is gone"};
  std::memcpy(&size, head, 4);
  if (size > frame_limit)
    return error{errc::damaged, "a frame of " + std::to_string(size) + " bytes is over the limit"};
  std::string bytes(size, '\0');
  if (!read_all(fd, bytes.data(), size))
    return error{errc::infrastructure, "the other end is gone"};
  return std::optional<std::string>(std::move(bytes));
}

} // namespace kevolve::agent
