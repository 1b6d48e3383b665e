#include "node-agent/service_manager.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace kevolve::agent {

service_manager service_manager::of_environment() {
  const auto taken = [](const char* name) {
    const char* value = std::getenv(name);
    std::string text = value ? value : "";
    ::unsetenv(name);
    return text;
  };
  const std::string socket = taken("NOTIFY_SOCKET"), pid = taken("WATCHDOG_PID"), period = taken("WATCHDOG_USEC");
  const bool ours = pid.empty() || std::atoll(pid.c_str()) == ::getpid();
  return {socket, ours ? static_cast<double>(std::max(0LL, std::atoll(period.c_str()))) * 1e-6 : 0};
}

void service_manager::ready(const std::string& status) { say("READY=1\nSTATUS=" + status); }

void service_manager::stopping() { say("STOPPING=1"); }

void service_manager::alive(double now_s) {
  if (watchdog_s_ <= 0 || now_s < next_s_)
    return;
  next_s_ = now_s + watchdog_s_ / 3;
  say("WATCHDOG=1");
}

void service_manager::say(const std::string& text) const {
  sockaddr_un to{};
  if (socket_.empty() || (socket_[0] != '/' && socket_[0] != '@') || socket_.size() >= sizeof to.sun_path)
    return;
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, socket_.data(), socket_.size());
  if (socket_[0] == '@')
    to.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return; // systemd notices by itself that nothing is said
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size() + (socket_[0] == '/' ? 1 : 0));
  (void)!::sendto(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&to), size);
  ::close(fd);
}

} // namespace kevolve::agent
