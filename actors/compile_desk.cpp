#include "actors/compile_desk.hpp"

#include "protocol/check.hpp"
#include "protocol/limits.hpp"

#include <utility>

namespace kevolve::dispatch {
namespace {

constexpr std::size_t holders_bound = 1 << 16;  // programs that were made: a day of a fleet's; what is forgotten is compiled again, from its maker's cache
constexpr std::size_t poison_bound = 1024;
constexpr std::size_t expected_bound = 1024;    // pieces that one agent waits for: far above what its workers have under way
constexpr std::size_t requests_bound = 4096;    // of one agent

/// What is compiled, with what and for whom: what killed three agents will kill a fourth.
std::string print_of(const compile_work& what) {
  std::string print = what.what.id + "\n" + what.toolchain;
  for (const auto& flag : what.runs_on.native)
    print += "\n" + flag;
  return print;
}

} // namespace

compile_desk::opened compile_desk::wanted(const std::string& agent, compile_wanted&& what) {
  if (requests_.contains({agent, what.request}))
    return {};
  const auto refuse = [&](std::string why) { return opened{std::nullopt, letter{agent, compile_answered{what.request, std::move(why)}}}; };
  if (what.what.toolchain.empty() || what.what.runs_on.machine.empty())
    return refuse("the request names no toolchain, or not the machine that it is for");
  if (const auto known = poisonous_.find(print_of(what.what)); known != poisonous_.end())
    return refuse(known->second);
  std::size_t held = 0;
  for (auto each = requests_.lower_bound({agent, ""}); each != requests_.end() && each->first.first == agent; ++each)
    ++held;
  if (held >= requests_bound)
    return refuse("this agent waits for " + std::to_string(held) + " compilations already");
  submit s;
  s.task = "compile/" + agent + "/" + what.request + "/" + life_ + "." + std::to_string(++opened_);
  s.owner = "compiling for " + agent;
  s.priority = 0;
  s.limit_s = what.what.limit_s;
  s.needs_device = false;
  s.toolchain = what.what.toolchain;
  s.machine = what.what.runs_on.machine;
  s.libc = what.what.runs_on.libc;
  requests_[{agent, what.request}] = s.task;
  tasks_[s.task] = {agent, std::move(what.request), std::move(what.what), s};
  return {std::move(s), std::nullopt};
}

std::vector<std::string> compile_desk::hopeless(const std::function<bool(const submit&)>& served, double now_s, double wait_s) {
  std::vector<std::string> all;
  for (auto& [task, r] : tasks_)
    if (served(r.asks))
      r.unserved_since_s = -1;
    else if (r.unserved_since_s < 0)
      r.unserved_since_s = now_s;
    else if (now_s - r.unserved_since_s > wait_s)
      all.push_back(task);
  return all;
}

std::string compile_desk::dropped(const std::string& agent, const std::string& request) {
  const auto found = requests_.find({agent, request});
  if (found == requests_.end())
    return {};
  std::string task = found->second;
  forget(task);
  return task;
}

void compile_desk::forget(const std::string& task) {
  const auto found = tasks_.find(task);
  if (found == tasks_.end())
    return;
  requests_.erase({found->second.agent, found->second.name});
  tasks_.erase(found);
}

std::vector<std::string> compile_desk::agent_gone(const std::string& agent) {
  std::vector<std::string> theirs;
  for (auto each = requests_.lower_bound({agent, ""}); each != requests_.end() && each->first.first == agent; ++each)
    theirs.push_back(each->second);
  expected_.erase(agent);
  std::erase_if(holders_, [&](const auto& each) { return each.second == agent; });
  return theirs;
}

bool compile_desk::answers(const std::string& task, const compile_made& made) const {
  const auto found = tasks_.find(task);
  return found != tasks_.end() && made.candidate == found->second.what.what.id;
}

letter compile_desk::delivered(const std::string& task, const std::string& by, compile_made made) {
  const auto found = tasks_.find(task);
  KEVOLVE_CHECK(found != tasks_.end());
  if (made.good) {
    if (holders_.insert_or_assign(made.artifact.hash, by).second)
      holder_order_.push_back(made.artifact.hash);
    while (holder_order_.size() > holders_bound) {
      holders_.erase(holder_order_.front());
      holder_order_.pop_front();
    }
  }
  letter to{found->second.agent, compile_answered{found->second.name, std::move(made)}};
  forget(task);
  return to;
}

letter compile_desk::given_up(const std::string& task, std::string reason) {
  const auto found = tasks_.find(task);
  KEVOLVE_CHECK(found != tasks_.end());
  if (reason.starts_with("quarantined") && poisonous_.emplace(print_of(found->second.what), reason).second) {
    poison_order_.push_back(print_of(found->second.what));
    if (poison_order_.size() > poison_bound) {
      poisonous_.erase(poison_order_.front());
      poison_order_.pop_front();
    }
  }
  letter to{found->second.agent, compile_answered{found->second.name, std::move(reason)}};
  forget(task);
  return to;
}

letter compile_desk::asked(const std::string& agent, blob_wanted&& what) {
  const auto holder = holders_.find(what.hash);
  auto& expected = expected_[agent];
  if (holder == holders_.end() || what.bytes > limits::piece_bytes || (expected.size() >= expected_bound && !expected.contains({what.hash, what.offset})))
    return {agent, blob_missing{std::move(what.hash), {}}};
  expected.emplace(what.hash, what.offset);
  what.to = agent;
  return {holder->second, std::move(what)};
}

std::optional<letter> compile_desk::came(const std::string& agent, blob_piece&& what) {
  const auto holder = holders_.find(what.hash);
  const auto waits = expected_.find(what.to);
  if (holder == holders_.end() || holder->second != agent || waits == expected_.end() || waits->second.erase({what.hash, what.offset}) == 0)
    return std::nullopt;
  return letter{std::exchange(what.to, {}), std::move(what)};
}

std::optional<letter> compile_desk::missing(const std::string& agent, blob_missing&& what) {
  const auto holder = holders_.find(what.hash);
  if (holder == holders_.end() || holder->second != agent)
    return std::nullopt;
  holders_.erase(holder);
  const auto waits = expected_.find(what.to);
  if (waits == expected_.end())
    return std::nullopt;
  std::erase_if(waits->second, [&](const auto& piece) { return piece.first == what.hash; });
  return letter{std::exchange(what.to, {}), std::move(what)};
}

} // namespace kevolve::dispatch
