// What a scheduler that runs for weeks does for its store: seals sessions that ended some time ago (kb/sealing.hpp), so that the log grows by a
// fraction of what is written. A thread of its own, so that nobody waits for packing; ends within a session's sealing when it is destroyed.
#pragma once

#include "kb/store.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace kevolve::scheduler {

class store_upkeep {
public:
  /// Looks every so often for sessions that ended more than `seal_after` ago.
  store_upkeep(kb::store& memory, std::chrono::milliseconds seal_after, std::chrono::milliseconds looks_every = std::chrono::minutes(1));
  ~store_upkeep();
  store_upkeep(const store_upkeep&) = delete;
  store_upkeep& operator=(const store_upkeep&) = delete;

private:
  void run();
  void seal();

  kb::store& memory_;
  const std::chrono::milliseconds seal_after_, looks_every_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::string trouble_; // as last told
  std::thread thread_;  // last: starts when everything else is there
};

} // namespace kevolve::scheduler
