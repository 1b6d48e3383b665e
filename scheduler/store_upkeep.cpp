#include "scheduler/store_upkeep.hpp"

#include <spdlog/spdlog.h>

namespace kevolve::scheduler {

store_upkeep::store_upkeep(kb::store& memory, std::chrono::milliseconds seal_after, std::chrono::milliseconds looks_every)
    : memory_(memory), seal_after_(seal_after), looks_every_(looks_every), thread_([this] { run(); }) {}

store_upkeep::~store_upkeep() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

void store_upkeep::run() {
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, looks_every_, [this] { return stopping_; })) {
    lock.unlock();
    seal();
    lock.lock();
  }
}

void store_upkeep::seal() {
  if (!memory_.health()) // the daemon tells; a full disk has no room for segments either
    return;
  const auto before = std::chrono::system_clock::now() - seal_after_;
  const auto report = memory_.seal(std::chrono::duration_cast<std::chrono::milliseconds>(before.time_since_epoch()).count());
  const std::string problem = report ? std::string() : report.error().message;
  if (!problem.empty() && problem != trouble_)
    spdlog::error("sealing finished sessions: {}", problem);
  trouble_ = problem;
  if (report && report->events + report->candidates > 0)
    spdlog::info("sealed {} finished sessions: {} events and {} candidates, {} bytes became {}", report->sessions, report->events, report->candidates,
                 report->bytes_before, report->bytes_after);
}

} // namespace kevolve::scheduler
