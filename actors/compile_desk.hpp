// The scheduler's side of compiling elsewhere: which agent asked for which compilation, as tasks for the dispatcher, and who has the programs that
// were made, so that pieces of them are passed from one agent to another. Pure: no actor, socket or clock. One thread (the dispatcher's).
// What always holds: a request is one task, however often it is said, and one that is said again after its answer was lost another, so that no
// lease of the first counts for it; an agent is sent only pieces that it asked for.
#pragma once

#include "actors/dispatch_logic.hpp"
#include "protocol/message.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace kevolve::dispatch {

/// To be sent to an agent.
struct letter {
  std::string agent;
  message what;
};

class compile_desk {
public:
  /// `life`: of the scheduler, part of tasks' names.
  explicit compile_desk(std::string life) : life_(std::move(life)) {}

  struct opened {
    std::optional<submit> task;   // to be stepped; none: it is under way already
    std::optional<letter> refusal;
  };
  /// Said again while it is under way, it changes nothing.
  opened wanted(const std::string& agent, compile_wanted&& what);
  /// The task that nobody waits for any more; empty: none.
  std::string dropped(const std::string& agent, const std::string& request);
  /// What it holds is no longer to be had. Its tasks: each to be withdrawn, and then to be forgotten here; until then it may still be granted.
  std::vector<std::string> agent_gone(const std::string& agent);
  void forget(const std::string& task);

  /// Tasks that nobody could run for `wait_s`: to be withdrawn and given up. `served` says of a task whether somebody could now.
  std::vector<std::string> hopeless(const std::function<bool(const submit&)>& served, double now_s, double wait_s);
  [[nodiscard]] bool has(const std::string& task) const { return tasks_.contains(task); }
  [[nodiscard]] const compile_work& work_of(const std::string& task) const { return tasks_.at(task).what; }
  /// Whether `made` can be the answer to `task`.
  [[nodiscard]] bool answers(const std::string& task, const compile_made& made) const;
  letter delivered(const std::string& task, const std::string& by, compile_made made);
  letter given_up(const std::string& task, std::string reason);

  // ---- pieces of programs, between agents
  letter asked(const std::string& agent, blob_wanted&& what);
  /// None: nobody asked for it.
  std::optional<letter> came(const std::string& agent, blob_piece&& what);
  std::optional<letter> missing(const std::string& agent, blob_missing&& what);

  [[nodiscard]] std::size_t under_way() const { return tasks_.size(); }

private:
  struct request {
    std::string agent;
    std::string name;
    compile_work what;
    submit asks;
    double unserved_since_s = -1;
  };
  const std::string life_;
  std::uint64_t opened_ = 0;
  std::map<std::string, request> tasks_;
  std::map<std::pair<std::string, std::string>, std::string> requests_; // (agent, request) -> task
  std::map<std::string, std::string> poisonous_; // what to compile -> why nobody is asked any more
  std::deque<std::string> poison_order_;
  std::map<std::string, std::string> holders_;   // hash -> the agent that has it
  std::deque<std::string> holder_order_;
  std::map<std::string, std::set<std::pair<std::string, std::uint64_t>>> expected_; // agent -> pieces (hash, offset) that it waits for
};

} // namespace kevolve::dispatch
