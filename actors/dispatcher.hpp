// The dispatcher actor: a shell around dispatch::dispatcher that keeps each task's checkpoint and origin by the task's name, and speaks to the
// agents through the link. Scheduled; sends on the link never block.
#pragma once

#include "actors/compile_desk.hpp"
#include "actors/large_answers.hpp"
#include "actors/link.hpp"
#include "actors/messages.hpp"
#include "actors/settlements.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <map>
#include <optional>
#include <unordered_map>

namespace kevolve::actors {

struct dispatcher_parts {
  std::shared_ptr<link> wire;
  dispatch::options limits;
  std::function<void(const char*)> probe; // tests only
  double agent_wait_s = 10; // tasks that nobody serves for longer are given up as no_agent
};

/// Names no actor of its own: everything the handlers share.
class dispatch_shell {
public:
  dispatch_shell(dispatcher_actor::pointer self, dispatcher_parts parts);

  void submit(submit_task& what);
  void permit(permit_task& what);
  void withdraw(const std::string& task, bool keeps = false);
  void withdraw_all(const withdraw_owner& whose);
  void durable(const std::string& task);
  void heard(const std::string& agent, message& what);
  void unreachable(const std::string& agent, const std::string& reason);
  void find(find_device& what);
  void find(find_writers& what);
  void list(list_agents& what) const;
  void drain(drain_agents& what);
  void explain(explain_waiting& what) const;
  void tick();

private:
  struct kept {
    submit_task what;
    double unserved_since_s = -1;
    std::string print = {}; // of its work; made when an agent says that it has kept answers
  };
  struct origin {
    session_actor owner;
    node_number number = 0;
    std::uint32_t attempt = 0;
  };
  struct looking { find_device what; double until_s; };
  struct looking_for_writers { find_writers what; double until_s; };

  void step(dispatch::input in);
  void on(dispatch::welcome& what);
  void on(dispatch::grant& what);
  void on(dispatch::revoke& what);
  void on(dispatch::deliver& what);
  void on(dispatch::give_up& what);
  void on(dispatch::discarded& what);
  void on(dispatch::acknowledge& what);
  void on(dispatch::requeued& what);
  void on(dispatch::ask_permit& what);
  void on(dispatch::agent_gone& what);
  void on(dispatch::ask_drain& what);
  void heard_from(const std::string& agent, agent_hello& what);
  void heard_from(const std::string& agent, agent_heartbeat& what);
  void heard_from(const std::string& agent, lease_accepted& what);
  void heard_from(const std::string& agent, lease_finished& what);
  void heard_from(const std::string& agent, agent_goodbye& what);
  void heard_from(const std::string& agent, agent_drain& what);
  void heard_from(const std::string& agent, compile_wanted& what);
  void heard_from(const std::string& agent, compile_dropped& what);
  void heard_from(const std::string& agent, blob_wanted& what);
  void heard_from(const std::string& agent, blob_piece& what);
  void heard_from(const std::string& agent, blob_missing& what);
  template <class Other>
  void heard_from(const std::string&, Other&) {} // a scheduler's message: an agent has no business sending it
  void say(const std::string& agent, message what);
  void say(std::optional<dispatch::letter> what);
  void forget_the_gone();
  void give_up_compiling();
  void fetch_large_answers();
  [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const { return self_->clock().now(); }
  void said(const std::string& agent, const result<void>& sent);
  void answer_seekers();
  std::vector<std::string> tasks_held_by(const std::string& agent, const std::vector<std::string>& prints);
  const std::string& print_of(kept& k);
  double now_s() const;

  struct introduced { // what an agent said of itself
    std::vector<device_description> devices;
    std::vector<found_device> found; // for people
    bool compiles = true, pieces = false;
    std::vector<std::string> toolchains;
    std::vector<writer_description> writers;
    std::vector<std::string> labels;
  };
  [[nodiscard]] std::string why_unserved(const dispatch::submit& what) const;
  [[nodiscard]] std::string served() const;
  [[nodiscard]] std::string why_no_answer(const std::string& task, const lease_finished& what) const;
  [[nodiscard]] std::vector<found_writer> writers_of(const find_writers& what) const;

  dispatcher_actor::pointer self_;
  dispatcher_parts parts_;
  const std::string identity_; // of this life: an agent that hears a new one introduces itself again
  dispatch::dispatcher logic_;
  std::unordered_map<std::string, kept> tasks_;
  dispatch::settlements<origin> settled_;
  dispatch::compile_desk compilations_;
  dispatch::large_answers large_answers_;
  blob_shelf large_work_; // what is leased in pieces
  std::vector<std::string> gone_; // agents, while a step's effects are carried out
  std::map<std::string, introduced> agents_;
  std::unordered_map<std::string, std::string> holders_; // print of finished work that nobody has counted -> the agent that keeps its answer
  double ticked_s_ = 0;
  std::vector<looking> seekers_;
  std::vector<looking_for_writers> writer_seekers_;
  lease_finished* answer_ = nullptr; // while `finished` is stepped
};

struct dispatcher_state {
  dispatcher_state() = default;
  static constexpr const char* name = "dispatcher";
  std::optional<dispatch_shell> shell;
};

dispatcher_actor::behavior_type dispatcher(dispatcher_actor::stateful_pointer<dispatcher_state> self, dispatcher_parts parts);

} // namespace kevolve::actors
