#include "node-agent/golden_watch.hpp"

#include "node-agent/process.hpp"

#include <chrono>
#include <utility>

namespace kevolve::agent {

golden_watch::golden_watch(host_evaluator& host, const device_health::settings& how, std::function<void(const std::string&)> say)
    : host_(host), health_(how, now_s()), say_(std::move(say)), thread_([this] { watch(); }) {}

golden_watch::~golden_watch() {
  stop_ = true;
  thread_.join();
}

std::string golden_watch::why_suspended() const {
  std::lock_guard lock(mutex_);
  return why_;
}

void golden_watch::watch() {
  using namespace std::chrono_literals;
  for (; !stop_; std::this_thread::sleep_for(100ms))
    if (health_.is_due(now_s()))
      check();
}

void golden_watch::check() {
  const auto found = host_.check_device(stop_);
  if (stop_)
    return;
  if (!found)
    return health_.put_off(now_s());
  const auto verdict = health_.heard(found->run, found->calibrated, now_s());
  {
    std::lock_guard lock(mutex_);
    why_ = health_.why_suspended();
  }
  switch (verdict) {
    case device_health::verdict::goes_on: break;
    case device_health::verdict::doubted: say_("golden run: " + health_.newest() + "; looks again before it is suspended"); break;
    case device_health::verdict::suspended: say_("suspended: " + health_.why_suspended()); break;
    case device_health::verdict::serves_again: say_("serves again: " + health_.newest()); break;
    case device_health::verdict::to_be_calibrated:
      say_("golden run: " + health_.newest() + ": calibrates again");
      if (const auto again = host_.calibrate_again(); !again)
        say_("calibration: " + again.error().message);
      break;
  }
}

} // namespace kevolve::agent
