#include "node-agent/agent_daemon.hpp"

#include "node-agent/process.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <utility>

namespace kevolve::agent {

agent_daemon::agent_daemon(serving serve, service_manager& manager, std::filesystem::path cache, int told, std::function<void(const std::string&)> say)
    : serve_(std::move(serve)), manager_(manager), cache_(std::move(cache)), told_(told), say_(std::move(say)), room_(cache_) {}

result<void> agent_daemon::begin() {
  KEVOLVE_TRY(service, serve_());
  service_ = std::move(service);
  return {};
}

void agent_daemon::hold_back(std::string device, std::function<std::string()> why) {
  device_ = std::move(device);
  why_ = std::move(why);
}

result<int> agent_daemon::run() {
  for (;;) {
    pollfd ready{told_, POLLIN, 0};
    ::poll(&ready, 1, 200);
    if (const auto code = stop())
      return *code;
    mind_disk();
    KEVOLVE_TRY(here, is_here());
    if (!here)
      continue;
    mind_suspension();
    tell();
    leaving_ |= full_ || draining_;
    if (leaving_ && service_->held() == 0 && now_s() - drained_since_ > 1) {
      leave();
      if (draining_)
        return 0;
    }
  }
}

std::optional<int> agent_daemon::stop() {
  signalfd_siginfo signal{};
  if (::read(told_, &signal, sizeof signal) != sizeof signal)
    return std::nullopt;
  if (draining_)
    return 128 + static_cast<int>(signal.ssi_signo);
  draining_ = true;
  manager_.stopping();
  if (!service_)
    return 0; // its disk is full, and it holds nothing
  drained_since_ = now_s();
  service_->drain();
  say_("draining: takes nothing more, finishes what it holds; once more to end at once");
  return std::nullopt;
}

void agent_daemon::mind_disk() {
  if (draining_ || room_.is_full() == full_)
    return;
  full_ = !full_;
  say_(full_ ? room_.trouble() : "the disk of '" + cache_.string() + "' has room again");
  if (full_ && service_) {
    drained_since_ = now_s();
    service_->drain();
  }
}

result<bool> agent_daemon::is_here() {
  if (service_)
    return true;
  manager_.alive(now_s());
  if (full_)
    return false;
  KEVOLVE_TRY_VOID(begin());
  suspended_.clear();
  leaving_ = false;
  from_spool_ = 0;
  was_connected_ = false;
  return true;
}

void agent_daemon::mind_suspension() {
  if (std::string why = why_ ? why_() : ""; why != suspended_)
    service_->suspend(device_, suspended_ = std::move(why));
}

void agent_daemon::tell() {
  if (const auto now = service_->rounds(); now != rounds_) { // its socket is served
    rounds_ = now;
    manager_.alive(now_s());
  }
  if (const bool connected = service_->connected(); connected != was_connected_) {
    say_(connected ? "the scheduler is there" : "the scheduler is not heard from; what is under way goes on");
    was_connected_ = connected;
  }
  if (auto now = service_->spool_trouble(); now != trouble_)
    say_("spool: " + (trouble_ = now) + "; answers are sent, and lost if this agent ends before they are counted");
  if (auto now = service_->answered_from_spool(); now != from_spool_) {
    say_("spool: " + std::to_string(now - from_spool_) + " answers given without work");
    from_spool_ = now;
  }
}

void agent_daemon::leave() {
  const auto exchanged = service_->exchanges();
  if (exchanged.compiled_for_others + exchanged.blobs > 0)
    say_("compiled " + std::to_string(exchanged.compiled_for_others) + " candidates for other agents; fetched " + std::to_string(exchanged.blobs) + " programs in " + std::to_string(exchanged.pieces) + " pieces, " +
         std::to_string(exchanged.asked_again) + " of them asked for again, " + std::to_string(exchanged.came_twice) + " came twice");
  service_.reset();
}

} // namespace kevolve::agent
