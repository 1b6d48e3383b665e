// The simulated cluster's scheduler: real sessions, dispatcher and settlements behind a made-up store and synthesizer, put together as the
// actors do it. What is on its disk survives crashes; a life is lost whole. Driven by the world alone.
#pragma once

#include "actors/compile_desk.hpp"
#include "actors/dispatch_logic.hpp"
#include "actors/migration.hpp"
#include "actors/session_logic.hpp"
#include "actors/settlements.hpp"
#include "tests/simulation/cluster.hpp"
#include "tests/simulation/ledger.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

namespace kevolve::simulation {

class simulated_scheduler {
public:
  using speaker = std::function<bool(const std::string& identity, message what)>; // false: nobody of that name is connected
  simulated_scheduler(world& w, ledger& books, std::uint64_t seed, planted bug, speaker say) : w_(w), books_(books), seed_(seed), bug_(bug), say_(std::move(say)) {}

  /// A person submits one more session; it is opened again if a crash forgets it.
  void submit();
  void start();
  void die(bool loses_unsynced);
  void hear(const std::string& identity, message what);
  [[nodiscard]] bool all_ended() const { return ended_.size() == openings_.size(); }
  [[nodiscard]] std::size_t sessions() const { return openings_.size(); }

  /// A model took so much for a proposal of that session.
  void paid(const std::string& session, std::uint64_t tokens) { books_.spent(session, tokens, disks_.at(session)); }

  double disk_stalls_until = 0; // full or slow: no commit ends before

private:
  struct origin { std::string session; node_number number = 0; std::uint32_t attempt = 0; bool verification = false; };
  struct kept { origin whose; work what; std::string print; };
  struct life {
    explicit life(std::string name) : identity(std::move(name)), compilations(identity) {}
    std::string identity;
    dispatch::dispatcher logic;
    dispatch::settlements<origin> settled{4096};
    std::map<std::string, kept> tasks;
    std::set<std::string> agents;
    std::map<std::string, std::string> holders;                           // print -> the agent that keeps its answer
    std::map<std::string, search::session> sessions;
    std::map<std::pair<std::string, node_number>, std::string> under_way; // a proposal's newest task
    std::map<std::string, migration::origin> away;                        // by session: synthesizers that migrate
    std::uint32_t askings = 0;
    std::vector<std::pair<std::uint64_t, std::string>> verified;          // (events, task): acknowledged once so many are durable
    dispatch::compile_desk compilations;
    std::vector<std::string> gone;                                        // agents, while a step's effects are carried out
    bool commits = false;
    const lease_finished* answer = nullptr;
  };

  void step(dispatch::input in);
  void step(const std::string& session, search::input in);
  void tick();
  void commit();
  void open(const std::string& session);
  bool hear_of_compiling(const std::string& agent, message& what);
  bool carry_out_compiling(const dispatch::effect& what);
  void give_up_compiling();
  void forget_the_gone();
  void say(std::optional<dispatch::letter> what);
  void submit_task(std::string task, origin whose, evaluate_work what);
  void submit_task(dispatch::submit asked, kept what);
  void withdraw(const std::string& task, bool keeps);
  void write_elsewhere(const std::string& session, node_number number);
  void step(const std::string& session, migration::event e);
  void carry_out(const std::string& session, const migration::effect& what);
  [[nodiscard]] std::string why_no_answer(const lease_finished& what) const;
  void durable(const std::string& task);
  void acknowledge(const std::string& agent, const std::string& lease, std::uint64_t epoch, bool counted);
  void say(const std::string& agent, message what);
  void answer(const origin& whose, std::optional<evaluation> got, const std::string& why);
  void carry_out(const dispatch::effect& what);
  void carry_out(const std::string& session, search::effect what);
  void synthesize(const std::string& session, node_number number);
  [[nodiscard]] search::moment now() const { return {w_.now_s, static_cast<std::int64_t>(w_.now_s * 1000) + 1}; }

  world& w_;
  ledger& books_;
  const std::uint64_t seed_;
  const planted bug_;
  speaker say_;
  std::map<std::string, session_opened> openings_;
  std::map<std::string, session_disk> disks_;
  std::set<std::string> ended_;
  std::unique_ptr<life> life_;
};

} // namespace kevolve::simulation
