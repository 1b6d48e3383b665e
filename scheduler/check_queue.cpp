#include "scheduler/check_queue.hpp"

#include "actors/synthesis/prompts/language.hpp"

#include <string_view>

namespace kevolve::scheduler {
namespace {

constexpr unsigned checks_at_once = 2;

} // namespace

check_queue::check_queue(agent::host_evaluator* evaluator) : evaluator_(evaluator) {
  for (unsigned i = 0; evaluator_ && i < checks_at_once; ++i)
    threads_.emplace_back([this] { work(); });
}

check_queue::~check_queue() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
    cancelled_ = true;
  }
  changed_.notify_all();
  for (auto& t : threads_)
    t.join();
}

void check_queue::put(const candidate& what, const target& on, std::function<void(std::string)> then) {
  const synthesis::language* in = synthesis::language_of(on);
  std::vector<std::string> command;
  if (in && !in->runs) {
    command = in->compile_check;
    if (command.empty())
      return then("");
    for (std::string& argument : command)
      if (auto at = argument.find("{architecture}"); at != argument.npos)
        argument.replace(at, std::string_view("{architecture}").size(), on.architecture);
  }
  if (!evaluator_)
    return then("");
  std::lock_guard lock(mutex_);
  waiting_.push_back({what, std::move(command), std::move(then)});
  changed_.notify_one();
}

void check_queue::work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return over_ || !waiting_.empty(); });
    if (over_)
      return;
    check next = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    auto messages = evaluator_->compile_only(next.what, next.command, cancelled_);
    next.then(messages ? *messages : ""); // no compiler here: the agent will tell
  }
}

} // namespace kevolve::scheduler
