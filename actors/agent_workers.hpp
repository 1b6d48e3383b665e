// The agent's threads that work, and what waits for them. One evaluates per compile slot and device slot, so that compiles run beside each other while one
// candidate is measured; one per compile slot compiles for other agents, which waits for nothing but a compiler; one per writing slot writes candidates.
// What a suspended device would do is refused. Thread-safe; answers go to the thread that polls `wake_descriptor`.
#pragma once

#include "actors/agent_leases.hpp"
#include "actors/outbox.hpp"
#include "actors/program_shelf.hpp"
#include "protocol/message.hpp"
#include "protocol/result.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace kevolve::agent {
class host_evaluator;
}

namespace kevolve {

class answer_spool;
class host_writer;

struct worker_answer {
  std::string lease;
  std::uint64_t epoch = 0;
  lease_answer answer;
};

class agent_workers {
public:
  /// `writes`, `spool`: null where nobody writes, where answers are not kept. Programs that were compiled for others go to `programs`. No more than `bound` answers wait.
  agent_workers(agent::host_evaluator& host, std::shared_ptr<host_writer> writes, std::shared_ptr<answer_spool> spool, program_shelf& programs, std::size_t bound);
  agent_workers(const agent_workers&) = delete;
  agent_workers& operator=(const agent_workers&) = delete;
  ~agent_workers();

  void start(unsigned evaluating, unsigned compiling, unsigned writing);
  /// Begins nothing more, and waits for what is under way.
  void close();
  /// Queues it; "" or why not. `print`: of the work; "": its answer is not kept.
  std::string give(start_work what, std::string print);
  void cancel(const std::string& lease, std::uint64_t epoch);
  [[nodiscard]] std::vector<worker_answer> answers() { return answers_.take(); }
  [[nodiscard]] int wake_descriptor() const { return answers_.wake_descriptor(); }
  void wake() { answers_.wake(); }

  /// `why`: for people; "": the device of this name serves again.
  void suspend(const std::string& device, const std::string& why);
  struct held_back {
    std::string lease;
    std::uint64_t epoch = 0;
    std::string why;
  };
  /// What is under way on suspended devices, where `suspend` was called since this was asked last; empty: it was not.
  std::optional<std::vector<held_back>> suspended_since();
  /// Devices that serve are offered; a suspended one is one that the host has and nothing runs on.
  void offer(std::vector<device_description> devices, agent_hello& hello);

  [[nodiscard]] std::string spool_trouble() const;
  [[nodiscard]] std::uint64_t compiled() const { return compiled_; }

private:
  struct job {
    start_work what;
    std::string print;
    std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
  };
  struct job_queue {
    std::condition_variable arrived;
    std::deque<job> waiting;
  };
  struct live {
    std::string lease;
    std::uint64_t epoch = 0;
    std::shared_ptr<std::atomic<bool>> cancelled;
    std::optional<target> on; // of an evaluation
  };

  void work_until_closed(job_queue& queue);
  lease_answer attempt(job& mine);
  lease_answer evaluate(job& mine, const evaluate_work& what);
  lease_answer write(job& mine, const write_work& what);
  lease_answer compile(job& mine, const compile_work& what);
  std::string why_suspended(const target& on) const; // of the device that would evaluate for it; "": it serves. With the mutex
  bool is_suspended(const target& on) const;
  void note(const result<void>& kept);

  agent::host_evaluator& host_;
  const std::shared_ptr<host_writer> writes_;
  const std::shared_ptr<answer_spool> spool_;
  program_shelf& programs_;
  outbox<worker_answer> answers_;
  bool compiles_ = false; // there are workers for it
  std::atomic<std::uint64_t> compiled_ = 0;

  mutable std::mutex mutex_; // guards what follows
  std::vector<device_description> devices_;      // of the host, suspended or not
  std::map<std::string, std::string> suspended_; // device -> why
  bool suspension_changed_ = false;              // and nobody has asked yet
  std::string spool_trouble_;
  job_queue evaluating_, compiling_, writing_;
  std::vector<live> live_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

} // namespace kevolve
