// The library's end of one judge process: starts it, speaks with it, replaces it when it dies or hangs. One user at a time (the device
// slot's owner).
#pragma once

#include "node-agent/judge_messages.hpp"
#include "protocol/result.hpp"

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>

namespace kevolve::agent {

class judge_link {
public:
  judge_link(std::filesystem::path executable, judge_setup setup) : executable_(std::move(executable)), setup_(std::move(setup)) {}
  ~judge_link();
  judge_link(const judge_link&) = delete;
  judge_link& operator=(const judge_link&) = delete;

  result<void> start();
  std::uint64_t next_number() { return ++number_; }
  /// Sends a request and follows it to its end. `on_stage` is told of stages; its return value answers "measuring" (false cancels).
  /// Errors: the judge died or said nothing for `silence_s` (it has been replaced), or interrupted.
  result<judge_reply> ask(const judge_request& what, std::uint64_t number, const std::atomic<bool>& cancelled, double silence_s,
                          const std::function<void(const std::string&)>& on_stage);
  /// Sends without waiting for an answer.
  void tell(const judge_request& what);
  [[nodiscard]] const judge_setup& setup() const { return setup_; }

private:
  void stop();
  std::filesystem::path executable_;
  judge_setup setup_;
  int pid_ = -1;
  int socket_ = -1;
  std::uint64_t number_ = 0;
};

} // namespace kevolve::agent
