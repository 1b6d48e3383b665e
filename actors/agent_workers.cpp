#include "actors/agent_workers.hpp"

#include "actors/answer_spool.hpp"
#include "actors/writer.hpp"
#include "node-agent/evaluate.hpp"
#include "protocol/failpoint.hpp"

#include <utility>

namespace kevolve {

agent_workers::agent_workers(agent::host_evaluator& host, std::shared_ptr<host_writer> writes, std::shared_ptr<answer_spool> spool, program_shelf& programs, std::size_t bound)
    : host_(host), writes_(std::move(writes)), spool_(std::move(spool)), programs_(programs), answers_(bound) {}

agent_workers::~agent_workers() { close(); }

void agent_workers::start(unsigned evaluating, unsigned compiling, unsigned writing) {
  compiles_ = compiling > 0;
  for (const auto& [queue, count] : {std::pair{&evaluating_, evaluating}, {&compiling_, compiling}, {&writing_, writing}})
    for (unsigned i = 0; i < count; ++i)
      threads_.emplace_back([this, queue = queue] { work_until_closed(*queue); });
}

void agent_workers::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    for (job_queue* each : {&evaluating_, &compiling_, &writing_})
      each->waiting.clear();
  }
  for (job_queue* each : {&evaluating_, &compiling_, &writing_})
    each->arrived.notify_all();
  for (auto& thread : threads_)
    thread.join();
  threads_.clear();
}

std::string agent_workers::give(start_work what, std::string print) {
  job_queue& queue = std::holds_alternative<write_work>(what.what) ? writing_ : std::holds_alternative<compile_work>(what.what) && compiles_ ? compiling_ : evaluating_;
  const auto* evaluates = std::get_if<evaluate_work>(&what.what);
  const auto on = evaluates ? std::optional(evaluates->on) : std::nullopt;
  {
    std::lock_guard lock(mutex_);
    if (on)
      if (std::string why = why_suspended(*on); !why.empty())
        return why;
    queue.waiting.push_back(job{std::move(what), std::move(print)});
    const job& given = queue.waiting.back();
    live_.push_back({given.what.lease, given.what.epoch, given.cancelled, on});
  }
  queue.arrived.notify_one();
  return {};
}

void agent_workers::cancel(const std::string& lease, std::uint64_t epoch) {
  std::lock_guard lock(mutex_);
  for (auto& each : live_)
    if (each.lease == lease && each.epoch == epoch)
      *each.cancelled = true;
}

// ---- suspended devices

void agent_workers::suspend(const std::string& device, const std::string& why) {
  {
    std::lock_guard lock(mutex_);
    if (why.empty())
      suspended_.erase(device);
    else
      suspended_[device] = why;
    suspension_changed_ = true;
  }
  answers_.wake();
}

std::optional<std::vector<agent_workers::held_back>> agent_workers::suspended_since() {
  std::lock_guard lock(mutex_);
  if (!std::exchange(suspension_changed_, false))
    return std::nullopt;
  std::vector<held_back> back;
  for (const auto& each : live_)
    if (each.on)
      if (std::string why = why_suspended(*each.on); !why.empty())
        back.push_back({each.lease, each.epoch, std::move(why)});
  return back;
}

void agent_workers::offer(std::vector<device_description> devices, agent_hello& hello) {
  std::lock_guard lock(mutex_);
  devices_ = std::move(devices);
  for (const auto& each : devices_)
    if (const auto why = suspended_.find(each.name); why == suspended_.end())
      hello.devices.push_back(each);
    else
      hello.found.push_back({each.name, each.on.platform, each.hardware, each.on.architecture, {}, "suspended: " + why->second});
}

std::string agent_workers::why_suspended(const target& on) const {
  for (const auto& device : devices_)
    if (const auto found = suspended_.find(device.name); found != suspended_.end() && device.on.platform == on.platform && (on.language.empty() || device.on.language == on.language))
      return device.name + " is suspended: " + found->second;
  return {};
}

bool agent_workers::is_suspended(const target& on) const {
  std::lock_guard lock(mutex_);
  return !why_suspended(on).empty();
}

// ---- work

void agent_workers::work_until_closed(job_queue& queue) {
  for (;;) {
    std::unique_lock lock(mutex_);
    queue.arrived.wait(lock, [&] { return closed_ || !queue.waiting.empty(); });
    if (closed_)
      return;
    job mine = std::move(queue.waiting.front());
    queue.waiting.pop_front();
    lock.unlock();
    worker_answer answer{mine.what.lease, mine.what.epoch, attempt(mine)};
    lock.lock();
    std::erase_if(live_, [&](const live& each) { return each.lease == answer.lease && each.epoch == answer.epoch; });
    lock.unlock();
    (void)answers_.put(std::move(answer)); // the bound is above the number of leases; a lost answer would be found by its deadline
  }
}

lease_answer agent_workers::attempt(job& mine) {
  if (*mine.cancelled)
    return std::string("cancelled before it started");
  try {
    if (auto* what = std::get_if<evaluate_work>(&mine.what.what))
      return evaluate(mine, *what);
    if (auto* what = std::get_if<write_work>(&mine.what.what))
      return write(mine, *what);
    if (auto* what = std::get_if<compile_work>(&mine.what.what))
      return compile(mine, *what);
    auto* trace = std::get_if<trace_work>(&mine.what.what);
    if (!trace)
      return std::string("this agent does no work of that kind");
    auto got = host_.trace(*trace, *mine.cancelled);
    return got ? lease_answer(std::move(*got)) : lease_answer(got.error().message);
  } catch (const std::exception& e) {
    return std::string("the agent's evaluator threw: ") + e.what();
  }
}

lease_answer agent_workers::evaluate(job& mine, const evaluate_work& what) {
  auto got = host_.evaluate(what, *mine.cancelled);
  pass(failpoint::answer_before_spool);
  if (!got)
    return got.error().message;
  if (got->result != outcome::infrastructure && got->candidate == what.what.id && !mine.print.empty() && !is_suspended(what.on))
    note(spool_->keep(mine.print, *got));
  return std::move(*got);
}

lease_answer agent_workers::write(job& mine, const write_work& what) {
  auto got = writes_->write(what, *mine.cancelled);
  if (!got)
    return got.error().message;
  if (spool_ && !*mine.cancelled)
    note(spool_->keep(mine.print, *got));
  return std::move(*got);
}

lease_answer agent_workers::compile(job& mine, const compile_work& what) {
  auto got = host_.compile_for(what, *mine.cancelled);
  if (!got)
    return got.error().message;
  pass(failpoint::program_made);
  ++compiled_;
  if (got->answer.good)
    programs_.add(got->answer.artifact, got->file);
  return std::move(got->answer);
}

void agent_workers::note(const result<void>& kept) {
  if (kept)
    return;
  std::lock_guard lock(mutex_);
  spool_trouble_ = kept.error().message;
}

std::string agent_workers::spool_trouble() const {
  std::lock_guard lock(mutex_);
  return spool_trouble_;
}

} // namespace kevolve
