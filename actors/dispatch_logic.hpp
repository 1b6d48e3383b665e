// Who works on what: agents with slots, a bounded queue of tasks, and leases, as a state machine without actor, socket or clock. The
// dispatcher actor is a shell around it and keeps each task's payload (work, answer) by the task's name. One thread.
// What always holds: a task has at most one current lease; a result is delivered only with the current epoch from the incarnation that
// holds it; submitted = queued + leased + delivered + failed + cancelled; an agent never holds more leases of a resource than it has credit for.
// Compiling for others is a resource of its own, and so is writing candidates: neither waits for a device, nor a device's work for them. A paid
// task is leased only with a permission of its origin's, one for each time: whoever had it before may have spent what was reserved. The permission is asked
// for when its turn has come, and a slot kept free for it until it is there: nothing is reserved for what waits in a line. Whoever keeps its answer, or is
// about it, is asked without one.
#pragma once

#include "protocol/message.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace kevolve::dispatch {

struct options {
  double heartbeat_timeout_s = 5;     // silent for longer: dead
  double accept_timeout_s = 5;        // a grant that nobody accepted
  double grace_s = 5;                 // lease deadline beyond the work's own limit
  std::uint32_t poison_agents = 3;    // a task under which so many agents died is quarantined
  std::uint32_t attempts = 5;         // leases of one task that ended without a result
  std::size_t queue_bound = 100'000;  // tasks queued; beyond it submit is refused
  double permit_wait_s = 10;          // how long a slot is kept free for a paid task that waits for its permission
  double holder_wait_s = 15;          // how long a paid task that was under way before waits for whoever keeps its answer: agents introduce themselves every ten
};

// ---- inputs; `now_s` is the steady clock ----
struct submit {
  std::string task;                   // unique: "<session>/<number>/<attempt>"
  std::string owner;                  // the session
  int priority = 0;                   // higher first
  target on;                          // empty architecture: any of the platform and language
  std::string hardware;               // a hardware key, or "" for any
  double limit_s = 60;                // of one attempt
  bool needs_device = true;           // false: tracing, compiling only
  std::string user = {};              // fairness is between users, by seconds of work; "": the owner stands for itself
  std::string holder = {};            // an agent that has the answer already; "": none is known
  bool needs_compiler = true;         // a candidate is compiled: where it is measured, or elsewhere for that agent; a described device's by its own toolchain
  bool in_pieces = false;             // its work is larger than a frame
  std::string toolchain = {};         // compile for another agent: "g++", or exactly "g++ 12.2.0"; "": no such task
  std::string machine = {};           // what that agent's programs are: "x86_64", with a glibc of at most `libc`
  std::uint32_t libc = 0;
  std::string writer = {};            // a synthesizer's name: the task is to write a candidate as that one
  std::string label = {};             // agents that may, by protocol/host_selection.hpp; "" or "any": all
  std::vector<std::string> avoid = {}; // agents, by name, that may not: they failed at it
  bool paid = false;                  // what it costs is reserved before it is leased: nothing is permitted yet
  bool under_way = false;             // paid: it was leased in an earlier life of ours; whoever has it is waited for

  [[nodiscard]] const std::string& payer() const { return user.empty() ? owner : user; }
  /// By g++ or clang++. What a described device runs is compiled by its description's command, there or elsewhere.
  [[nodiscard]] bool is_compiled_by_us() const { return needs_compiler && (on.platform.empty() || on.platform == "cpu"); }
};
/// `keeps`: whoever has it may finish it and keep the answer; it will be asked for again.
struct withdraw { std::string task; bool keeps = false; };
/// A paid task may be leased once: what that can cost is reserved.
struct permit { std::string task; };
struct hello { std::string agent; agent_hello what;      // agent: the identity of its connection
               std::vector<std::string> holds = {}; };   // tasks whose answers it has kept: granted to it before anything else
struct heartbeat { std::string agent; };
struct goodbye { std::string agent; std::string reason; };
struct lost { std::string agent; std::string reason; };  // the connection ended
struct accepted { std::string agent; std::string lease; std::uint64_t epoch = 0; };
/// The shell keeps the answer while it steps; `deliver` says that it counts.
struct finished { std::string agent; std::string lease; std::uint64_t epoch = 0; bool infrastructure = false; std::string reason;
                  std::optional<double> work_s = {}; };   // what it took of its host, waiting apart, as the agent says; empty: as long as the lease
struct drain { std::string agent; double deadline_s = 30; };
struct tick { double stood_still_s = 0; };               // how long the shell itself could hear nobody

using input = std::variant<submit, withdraw, permit, hello, heartbeat, goodbye, lost, accepted, finished, drain, tick>;

// ---- effects, in order ----
struct welcome { std::string agent; };
/// Send the task's work; `lease` is the task's name.
struct grant { std::string agent; std::string lease; std::uint64_t epoch = 0; double deadline_s = 0;
               bool kept = false; };                      // paid, and this agent said that it has it: it begins nothing
struct revoke { std::string agent; std::string lease; std::uint64_t epoch = 0; };
struct deliver { std::string task; std::string agent; std::uint64_t epoch = 0; };
/// The task ends without a result: refused (queue full), quarantined as poison, or out of attempts. Always infrastructure.
struct give_up { std::string task; std::string reason; };
/// A result that does not count, with why; the owner logs it.
struct discarded { std::string task; std::string agent; std::uint64_t epoch = 0; std::string reason; };
/// Tell the agent that it may forget the result (sent for discarded ones too); behind `deliver`: when that one is on the disk, not now.
struct acknowledge { std::string agent; std::string lease; std::uint64_t epoch = 0; };
struct requeued { std::string task; std::uint64_t next_epoch = 0; std::string reason; };
/// A paid task's turn has come: this agent keeps a slot free for it, for so long as `permit_wait_s`. Asked once for each lease.
struct ask_permit { std::string task; std::string agent; };
struct agent_gone { std::string agent; std::string reason; };
struct ask_drain { std::string agent; double deadline_s = 0; };

using effect = std::variant<welcome, grant, revoke, deliver, give_up, discarded, acknowledge, requeued, ask_permit, agent_gone, ask_drain>;

struct counts {
  std::uint64_t submitted = 0, queued = 0 /* waiting for a permission, too */, leased = 0, delivered = 0, failed = 0, cancelled = 0;
  std::uint64_t discarded = 0, requeued = 0;
};

class dispatcher {
public:
  explicit dispatcher(options limits = {});
  std::vector<effect> step(input in, double now_s);

  [[nodiscard]] const counts& totals() const { return totals_; }
  [[nodiscard]] std::size_t agents() const { return agents_.size(); }
  /// Leases held and whether it is being drained; empty: no such agent.
  struct standing { std::uint32_t leases = 0, credit = 0; bool draining = false; double heard_s = 0; std::uint32_t compiling = 0, compile_credit = 0;
                    std::uint32_t writes = 0, writing_slots = 0, keeps = 0 /* leases to write, and of what it has: none of the others */, promised = 0 /* slots to write that wait for permissions */; };
  [[nodiscard]] std::optional<standing> standing_of(const std::string& agent) const;
  /// Somebody who is not draining, and can compile or have it compiled, serves this target.
  [[nodiscard]] bool serves(const target& on, const std::string& hardware = {}) const;
  /// This agent does, draining or not.
  [[nodiscard]] bool serves(const std::string& agent, const submit& like) const;
  /// Somebody who is not draining can run a task like this one.
  [[nodiscard]] bool serves(const submit& like) const;
  /// This agent compiles, or somebody is there who compiles for it.
  [[nodiscard]] bool has_compiler(const std::string& agent) const;
  /// It is here, not draining, and can run that.
  [[nodiscard]] bool can_be_given(const std::string& agent, const submit& what) const;
  [[nodiscard]] bool knows(const std::string& task) const { return tasks_.contains(task); }
  /// Who has the task's lease, or is known to have its answer; "": nobody.
  [[nodiscard]] std::string holder_of(const std::string& task) const;
  /// When `step(tick)` has to come at the latest; nothing pending: empty.
  [[nodiscard]] std::optional<double> next_deadline_s() const;

private:
  struct slots {
    std::uint32_t credit = 0;         // leases it may hold
    std::set<std::string> leases;
    std::set<std::string> promised;   // tasks that it keeps slots free for until they are permitted
    [[nodiscard]] std::size_t taken() const { return leases.size() + promised.size(); }
    [[nodiscard]] bool has_room() const { return taken() < credit; }
  };
  enum resource : std::size_t { devices_of, compilers_of, pens_of, answers_of, resources };
  static resource needed_by(const submit& what) { return !what.toolchain.empty() ? compilers_of : !what.writer.empty() ? pens_of : devices_of; }
  struct agent_state {
    std::string name;                 // without its incarnation
    std::string incarnation;
    std::vector<device_description> devices;
    bool compiles = true, pieces = false;
    std::vector<std::string> toolchains;
    std::string machine;
    std::uint32_t libc = 0;
    std::vector<std::string> writers, labels;
    std::array<slots, resources> has; // of devices: their slots plus those of compilers, so that its own compiles overlap measuring; of answers: without bound
    double heard_s = 0;
    bool draining = false;
  };
  enum class waits : std::uint8_t { in_line, for_holder, for_permit };
  struct task_state {
    submit what;
    std::uint64_t epoch = 0;          // of the current or last lease; 0: never leased
    std::string agent;                // "" while queued
    std::string last_agent;           // tried last: another one is preferred
    bool was_accepted = false;
    double deadline_s = 0;            // current lease: to be accepted, then finished, by then
    std::uint64_t arrived = 0;
    std::uint32_t attempts = 0;
    std::set<std::string> killed;     // incarnations that died under it
    double granted_s = 0, charged_s = 0; // charged with nothing: 0
    bool kept = false;                // the current lease takes no slot: the agent has it
    bool asked = false;               // paid: for its permission, which is still to come
    bool permitted = false;           // to be leased once
    waits waiting = waits::in_line;   // otherwise it is in no line
    std::string promised_by;          // for_permit: who keeps a slot free for it; "": nobody any more
    double waits_until_s = 0;         // for whoever has it, or with a slot kept free
  };
  using turn = std::tuple<int, double, std::uint64_t, std::string>; // an owner's: -priority of the first that waits, what it had, its last turn, who it is
  /// Tasks that the same agents can run, waiting by owner, and the agents with credit left that can. Few: one per target in use.
  struct line {
    submit asks;                      // one of them: what all ask of an agent
    std::set<std::pair<std::size_t, std::string>> idle;                             // (slots taken, agent)
    std::map<std::string, std::map<std::pair<int, std::uint64_t>, std::string>> waiting; // owner -> (-priority, arrival) -> task
    std::set<turn> turns;
  };
  /// What an owner has had of a resource at a priority, in seconds of work; who had least comes first, then who was served longest ago. A lease is charged
  /// with what this owner's took on average until it ends and tells.
  struct share { double used_s = 0; double mean_s = 1; std::uint64_t turn = 0; std::size_t tasks = 0; };
  /// What is shared: who is served before others are does not pay for it among those of another priority.
  using level = std::pair<resource, int>;
  /// Kept while nothing of theirs is here: to ask for one thing at a time is no way to the front.
  using owner_shares = std::map<level, share>;

  void on(submit&& in);
  void on(withdraw&& in);
  void on(permit&& in);
  void on(hello&& in);
  void on(heartbeat&& in);
  void on(goodbye&& in);
  void on(lost&& in);
  void on(accepted&& in);
  void on(finished&& in);
  void on(drain&& in);
  void on(tick&& in);

  line& line_of(const submit& what);
  [[nodiscard]] turn turn_in(const line& l, const std::string& owner) const;
  void list_turn(line& l, const std::string& owner);         // enters the owner's turn anew
  void unlist_turn(line& l, const std::string& owner);
  void enqueue(task_state& t);
  void leave_queue(const task_state& t);
  static resource needed_by(const task_state& t) { return t.kept ? answers_of : needed_by(t.what); }
  static level level_of(const submit& what) { return {needed_by(what), what.priority}; }
  void hold(task_state& t, waits what, double until_s);
  void release(task_state& t);                               // from waiting, wherever it does
  void promise(task_state& t, const std::string& agent);     // asks for its permission
  void break_promise(task_state& t);
  void break_promises(const std::string& agent);
  void begin_sharing(const std::string& owner, level at);    // it had nothing here
  void charge(task_state& t);                                // its turn has come
  void settle(task_state& t, std::optional<double> took_s);  // what it was charged with becomes what it took; empty: nothing
  template <class Change>
  void change_share(const submit& of, Change how);
  void change_devices(const std::string& agent, std::vector<device_description>&& devices, std::uint32_t compile_slots);
  void list_idle(const std::string& agent);                  // enters an agent with credit left
  void unlist_idle(const std::string& agent);
  void assign();                                             // as many grants as credit allows
  bool grant_one();
  void grant_to(task_state& t, const std::string& agent, bool kept = false);
  void grant_to_holder(task_state& t);
  void take_back(const std::string& task, const std::string& reason, bool died);
  void remove_agent(const std::string& agent, const std::string& reason, bool died);
  void end_lease(task_state& t, std::optional<double> work_s = {});
  [[nodiscard]] double lease_duration_s(const task_state& t) const;
  [[nodiscard]] bool can_run(const agent_state& a, const submit& what) const;
  [[nodiscard]] bool has_compiler(const agent_state& a) const;
  [[nodiscard]] bool is_compiled_for(const agent_state& a, const device_description& described) const;
  void note_compilers();                                     // who compiles for others may have changed
  void forget(const std::string& task);
  void emit(effect e) { out_.push_back(std::move(e)); }

  options limits_;
  std::map<std::string, agent_state> agents_;
  std::map<std::pair<std::string, std::string>, std::uint32_t> compilers_; // (machine, a described device's toolchain or "") -> the oldest glibc of those who compile for others
  std::unordered_map<std::string, task_state> tasks_;                                              // queued and leased
  std::map<std::string, line> lines_;
  std::map<std::string, owner_shares> owners_;               // at least what has tasks here
  std::uint64_t turns_ = 0;
  std::set<std::pair<double, std::string>> deadlines_;       // of current leases
  std::set<std::pair<double, std::string>> holds_;           // of tasks that wait in no line, and not for ever
  std::uint64_t arrivals_ = 0;
  counts totals_;
  double now_s_ = 0;
  std::vector<effect> out_;
};

} // namespace kevolve::dispatch
