#include "node-agent/service_manager.hpp"

#include <cstdlib>
#include <cstring>
#include <doctest/doctest.h>
#include <filesystem>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

using namespace kevolve::agent;

namespace {

struct listener {
  std::string folder, path;
  int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  explicit listener(bool abstract) {
    folder = (std::filesystem::temp_directory_path() / "kevolve-notify-XXXXXX").string();
    REQUIRE(::mkdtemp(folder.data()));
    path = (abstract ? "@" : "") + folder + "/socket";
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::memcpy(at.sun_path, path.data(), path.size());
    if (abstract)
      at.sun_path[0] = '\0';
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&at), static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1))) == 0);
  }
  ~listener() {
    ::close(fd);
    std::filesystem::remove_all(folder);
  }
  std::vector<std::string> heard() {
    std::vector<std::string> all;
    char text[512];
    for (ssize_t n = 0; (n = ::recv(fd, text, sizeof text, MSG_DONTWAIT)) >= 0;)
      all.emplace_back(text, static_cast<std::size_t>(n));
    return all;
  }
};

} // namespace

TEST_CASE("a service manager hears that a daemon is ready, alive at a third of its time, and stopping") {
  for (const bool abstract : {false, true}) {
    listener systemd(abstract);
    service_manager m(systemd.path, 3);
    m.ready("serves");
    m.alive(100);
    m.alive(100.5); // too soon to be said again
    m.alive(101.1);
    m.stopping();
    CHECK(systemd.heard() == std::vector<std::string>{"READY=1\nSTATUS=serves", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"});
  }
}

TEST_CASE("without a watchdog nothing is said of being alive, and without a socket nothing at all") {
  listener systemd(false);
  service_manager(systemd.path, 0).alive(100);
  CHECK(systemd.heard().empty());
  service_manager("", 3).ready("nobody listens");
  service_manager(std::string(500, '/'), 3).ready("a path that no socket can have");
  service_manager("relative", 3).ready("not a path");
}

TEST_CASE("what the manager told this process is not passed on, and another process's watchdog is not served") {
  listener systemd(false);
  ::setenv("NOTIFY_SOCKET", systemd.path.c_str(), 1);
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid() + 1).c_str(), 1);
  auto other = service_manager::of_environment();
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
    CHECK_FALSE(std::getenv(name));
  other.ready("x");
  other.alive(1);
  CHECK(systemd.heard().size() == 1);
  ::setenv("NOTIFY_SOCKET", systemd.path.c_str(), 1);
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  service_manager::of_environment().alive(1);
  CHECK(systemd.heard() == std::vector<std::string>{"WATCHDOG=1"});
}
