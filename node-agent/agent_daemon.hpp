// What kevolve-agent does once its options are read: serves the scheduler until it is told to stop, away for as long as its disk is full, its device held back for as
// long as golden runs say so. One thread; its socket and workers have threads of their own.
#pragma once

#include "actors/agent_service.hpp"
#include "node-agent/disk_room.hpp"
#include "node-agent/golden_watch.hpp"
#include "node-agent/service_manager.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace kevolve::agent {

class agent_daemon {
public:
  using serving = std::function<result<std::unique_ptr<agent_service>>()>;
  /// `serve` introduces the host to its scheduler, each time with a new incarnation; `cache`: whose disk has to have room; `told`: a signalfd. `say`: for people.
  agent_daemon(serving serve, service_manager& manager, std::filesystem::path cache, int told, std::function<void(const std::string&)> say);

  result<void> begin();
  /// From now on `device` is held back while `why` gives a reason. Behind `begin`.
  void hold_back(std::string device, std::function<std::string()> why);
  /// Until it is told to stop: 0, or 128 and the second signal's number. Errors: a disk that had room again, and a scheduler that could not be connected to.
  result<int> run();

private:
  std::optional<int> stop();                    // the first signal drains; the second one ends: with this code
  void mind_disk();
  result<bool> is_here();                       // false: away, for want of room
  void mind_suspension();
  void tell();                                  // people, what has changed
  void leave();

  serving serve_;
  service_manager& manager_;
  const std::filesystem::path cache_;
  const int told_;
  std::function<void(const std::string&)> say_;
  std::unique_ptr<agent_service> service_;      // null: away
  disk_room room_;
  std::string device_, suspended_;              // why, as the service was told
  std::function<std::string()> why_;
  bool was_connected_ = false, draining_ = false, full_ = false, leaving_ = false; // for good; its disk; whatever it holds is its last
  std::string trouble_;
  std::uint32_t from_spool_ = 0;
  std::uint64_t rounds_ = 0;
  double drained_since_ = 0;
};

} // namespace kevolve::agent
