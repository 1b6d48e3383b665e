// Tells systemd (or whoever else set NOTIFY_SOCKET) that a daemon is ready, alive or stopping, by its protocol of datagrams. Without such a variable
// nothing happens. `alive` is called by the loop that has just seen the daemon's work go on, never by a timer of its own. One thread.
#pragma once

#include <string>

namespace kevolve::agent {

class service_manager {
public:
  /// Of this process. Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment: children are none of the manager's business.
  /// Call before other threads start.
  static service_manager of_environment();

  service_manager(std::string socket, double watchdog_s) : socket_(std::move(socket)), watchdog_s_(watchdog_s) {}
  void ready(const std::string& status);
  void stopping();
  /// At most three times in the watchdog's time.
  void alive(double now_s);

private:
  void say(const std::string& text) const;

  std::string socket_;   // a path, or "@name" in the abstract name space; empty: nobody listens
  double watchdog_s_ = 0; // 0: no watchdog
  double next_s_ = 0;
};

} // namespace kevolve::agent
