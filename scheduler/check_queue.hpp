// Compile checks of what models wrote, one after the other on a few threads, beside the compilers of evaluations. Owned by a desk.
#pragma once

#include "node-agent/evaluate.hpp"
#include "protocol/candidate.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace kevolve::scheduler {

class check_queue {
public:
  /// Null: nothing is compiled here, and every check is answered with "".
  explicit check_queue(agent::host_evaluator* evaluator);
  ~check_queue();
  /// The check that belongs to a target; `then` on a thread of the queue's: "" where it compiles or nobody here can tell.
  void put(const candidate& what, const target& on, std::function<void(std::string)> then);

private:
  struct check {
    candidate what;
    std::vector<std::string> command;
    std::function<void(std::string)> then;
  };
  void work();

  agent::host_evaluator* evaluator_;
  std::mutex mutex_; // guards what follows
  std::condition_variable changed_;
  std::deque<check> waiting_;
  bool over_ = false;
  std::atomic<bool> cancelled_{false};
  std::vector<std::thread> threads_;
};

} // namespace kevolve::scheduler
