// Ports on loopback for the servers of a test.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace kevolve {

/// The first of three neighbouring ports that nobody listens on: agents, people, monitoring.
inline int free_ports() {
  for (int port = 20000 + ::getpid() % 20000;; port += 3) {
    bool all = true;
    for (const int each : {port, port + 1, port + 2}) {
      const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in at{};
      at.sin_family = AF_INET;
      at.sin_port = htons(static_cast<std::uint16_t>(each));
      at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      all &= ::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
      ::close(fd);
    }
    if (all)
      return port;
  }
}

} // namespace kevolve
