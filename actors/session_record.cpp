#include "actors/session_record.hpp"

#include <chrono>

namespace kevolve::actors {

void session_record::show(session_progress progress) {
  std::lock_guard lock(mutex_);
  newest_ = std::move(progress);
  changed_.notify_all();
}

void session_record::durable() {
  std::lock_guard lock(mutex_);
  durable_ = true;
  changed_.notify_all();
}

void session_record::end(session_outcome how) {
  std::lock_guard lock(mutex_);
  if (!end_)
    end_ = std::move(how);
  changed_.notify_all();
}

result<void> session_record::await_durable() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return durable_ || end_; });
  if (!durable_)
    return end_->failure ? *end_->failure : error{errc::interrupted, "the session ended before it began"};
  return {};
}

session_outcome session_record::await_end(const std::function<void(const session_progress&)>& progress) {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return newest_ || end_; });
    if (newest_) {
      session_progress shown = std::move(*newest_);
      newest_.reset();
      lock.unlock();
      if (progress)
        progress(shown);
      lock.lock();
    }
    if (end_ && !newest_)
      return *end_;
    if (!end_)
      changed_.wait_for(lock, 100ms, [this] { return end_.has_value(); });
  }
}

bool session_record::ended() const {
  std::lock_guard lock(mutex_);
  return end_.has_value();
}

} // namespace kevolve::actors
