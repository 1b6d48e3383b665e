// kevolve serve: the scheduler as a daemon. Owns the store; agents come in on one port, people's commands on the next, both by CURVE. Sessions that
// ran when it stopped, however it stopped, go on when it is back and an agent serves their target. Each running session has one thread that waits
// for it and keeps its newest progress.
#include "actors/client_port.hpp"
#include "actors/own_usage.hpp"
#include "actors/suspension.hpp"
#include "node-agent/process.hpp"
#include "node-agent/service_manager.hpp"
#include "protocol/failpoint.hpp"
#include "protocol/host_selection.hpp"
#include "scheduler/policy_file.hpp"
#include "scheduler/answers.hpp"
#include "scheduler/cluster_keys.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/leader_files.hpp"
#include "scheduler/session_lookup.hpp"
#include "scheduler/single_host.hpp"
#include "scheduler/specification.hpp"
#include "scheduler/standing_work.hpp"
#include "scheduler/status_page.hpp"
#include "scheduler/store_upkeep.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <list>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <spdlog/spdlog.h>
#include <thread>
#include <unistd.h>
#include <zmq.hpp>

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr const char* stopped_with_us = "the scheduler stops"; // the runtime's reason for pausing what ran when it was destroyed
constexpr double unserved_limit_s = 30.0 * 24 * 3600;          // agents come and go: a session waits for weeks
constexpr auto full_patience = std::chrono::hours(10 * 365 * 24); // a full disk stops nothing for good: what is queued waits until there is space

std::int64_t unix_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count(); }

object progress_object(const session_progress& p) {
  object outcomes = object::object();
  for (const auto& [what, count] : p.outcomes)
    outcomes[std::string(to_string(what))] = count;
  return {{"session", p.session}, {"phase", p.phase}, {"evaluations", p.evaluations}, {"outcomes", outcomes}, {"best_over_root", p.best_over_root},
          {"best_latency_s", p.best_latency_s}, {"roofline_fraction", p.roofline_fraction}, {"best_edge", p.best_edge}, {"elapsed_s", p.elapsed_s}, {"time_left_s", p.time_left_s}};
}

/// The sessions that run here.
class session_desk {
public:
  session_desk(runtime& engine, const kb::store& memory, std::filesystem::path data) : engine_(engine), memory_(memory), data_(std::move(data)) {}
  /// The runtime is gone by then, so that every wait has ended.
  ~session_desk() {
    for (watched& w : sessions_)
      if (w.waiting.joinable())
        w.waiting.join();
  }

  void watch(const session_id& session) {
    std::lock_guard lock(mutex_);
    watched& w = sessions_.emplace_back();
    w.session = session;
    w.newest.session = session;
    w.waiting = std::thread([this, &w] { follow(w); });
  }
  std::optional<session_progress> progress_of(const session_id& session) {
    std::lock_guard lock(mutex_);
    for (const watched& w : sessions_)
      if (w.session == session && !w.over)
        return w.newest;
    return std::nullopt;
  }
  /// Any but this one.
  bool others_than(const session_id& session) {
    std::lock_guard lock(mutex_);
    return std::any_of(sessions_.begin(), sessions_.end(), [&](const watched& w) { return !w.over && w.session != session; });
  }
  /// Joins the threads of those that have ended.
  void tidy() {
    std::list<watched> ended;
    {
      std::lock_guard lock(mutex_);
      for (auto w = sessions_.begin(); w != sessions_.end();) {
        const auto next = std::next(w);
        if (w->over)
          ended.splice(ended.end(), sessions_, w);
        w = next;
      }
    }
    for (watched& w : ended)
      w.waiting.join();
  }

private:
  struct watched {
    session_id session;
    session_progress newest;
    bool over = false;
    std::thread waiting;
  };

  void follow(watched& w) {
    const session_outcome how = engine_.wait(w.session, [&](const session_progress& p) {
      std::lock_guard lock(mutex_);
      w.newest = p;
    });
    if (how.failure)
      spdlog::warn("session {}: {}", w.session, how.failure->message);
    else
      spdlog::info("session {}: {}", w.session, how.finished.stopped_by);
    write_leader_of(w.session);
    std::lock_guard lock(mutex_);
    w.over = true;
  }

  void write_leader_of(const session_id& session) {
    auto best = find_candidate(memory_, session);
    if (!best)
      return;
    if (auto written = write_candidate(leader_folder(data_, best->what), best->what, best->in.opening.hardware); !written)
      spdlog::warn("session {}: {}", session, written.error().message);
  }

  runtime& engine_;
  const kb::store& memory_;
  std::filesystem::path data_;
  std::mutex mutex_;
  std::list<watched> sessions_;
};

class daemon {
public:
  daemon(context& in, kb::store& memory, runtime& engine, session_desk& desk, standing_work& standing)
      : in_(in), memory_(memory), engine_(engine), desk_(desk), standing_(standing) {}

  /// Sessions that ran when the scheduler stopped; tried again until an agent serves them.
  void find_unfinished() {
    auto all = memory_.sessions();
    if (!all)
      return spdlog::error("the sessions cannot be read: {}", all.error().message);
    for (const kb::session_summary& s : *all)
      if (s.state == "running" || (s.state == "paused" && s.stopped_by == stopped_with_us)) {
        if (!standing_.adopt(s.session))
          unfinished_.emplace(s.session, "");
      }
    if (!unfinished_.empty())
      spdlog::info("{} unfinished session{} to go on with", unfinished_.size(), unfinished_.size() == 1 ? "" : "s");
  }

  void tick() {
    desk_.tidy();
    if (const std::string why = why_not_ready(); why != trouble_) {
      trouble_ = why;
      if (why.empty())
        spdlog::info("the store takes writes again");
      else
        spdlog::error("{}", why);
    }
    if (!trouble_.empty())
      return; // what runs goes on as far as it can; nothing is begun
    standing_.tick(desk_.others_than(standing_.session()), unix_ms());
    std::set<session_id> waiting;
    {
      std::lock_guard lock(mutex_);
      for (const auto& [session, why] : unfinished_)
        waiting.insert(session);
    }
    for (const session_id& session : waiting) {
      pass(failpoint::resume_before_start);
      auto resumed = engine_.resume(session);
      if (!resumed && resumed.error().code == errc::no_agent) {
        std::lock_guard lock(mutex_);
        if (auto later = unfinished_.find(session); later != unfinished_.end())
          later->second = resumed.error().message;
        continue;
      }
      if (resumed) {
        spdlog::info("session {}: goes on", session);
        desk_.watch(session);
      } else {
        spdlog::error("session {}: cannot go on: {}", session, resumed.error().message);
      }
      (void)no_longer_goes_on(session);
    }
  }

  /// It ran when the scheduler stopped, and will run again.
  bool goes_on(const session_id& session) {
    std::lock_guard lock(mutex_);
    return unfinished_.contains(session);
  }
  /// Why it does not yet; "": nothing is known, or it does.
  std::string why_not_gone_on(const session_id& session) {
    std::lock_guard lock(mutex_);
    const auto found = unfinished_.find(session);
    return found == unfinished_.end() ? "" : found->second;
  }
  /// Whether it would have.
  bool no_longer_goes_on(const session_id& session) {
    std::lock_guard lock(mutex_);
    return unfinished_.erase(session) > 0;
  }

  /// For Prometheus.
  std::string metrics() {
    metrics_text m;
    if (auto all = memory_.sessions()) {
      std::map<std::string, double> states;
      double evaluations = 0;
      for (const kb::session_summary& s : *all)
        ++states[s.state], evaluations += s.evaluations;
      m.begin("kevolve_sessions", "gauge", "Sessions by state.");
      for (const auto& [state, count] : states)
        m.value(count, {{"state", state}});
      m.begin("kevolve_evaluations_total", "counter", "Evaluations in the store, over all sessions.");
      m.value(evaluations);
    }
    std::error_code unknown;
    if (const auto size = std::filesystem::file_size(in_.configured.data / "data.mdb", unknown); !unknown) {
      m.begin("kevolve_store_bytes", "gauge", "Size of the store's file.");
      m.value(static_cast<double>(size));
    }
    if (auto all = engine_.agents()) {
      m.begin("kevolve_agents", "gauge", "Agents that are connected.");
      m.value(static_cast<double>(all->size()));
      m.begin("kevolve_agent_leases", "gauge", "Leases that an agent holds.");
      for (const agent_status& a : *all)
        m.value(a.leases, {{"agent", a.name}, {"state", state_of(a)}});
      m.begin("kevolve_agent_suspended_devices", "gauge", "Devices of an agent that are in trouble; the list of agents says why.");
      for (const agent_status& a : *all)
        m.value(static_cast<double>(suspended_devices(a)), {{"agent", a.name}});
      m.begin("kevolve_agent_silent_seconds", "gauge", "Seconds since an agent was heard.");
      for (const agent_status& a : *all)
        m.value(a.silent_s, {{"agent", a.name}});
    }
    long pages = 0, resident = 0;
    if (std::ifstream in("/proc/self/statm"); in >> pages >> resident) {
      m.begin("process_resident_memory_bytes", "gauge", "Resident memory of the scheduler.");
      m.value(static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)));
    }
    std::error_code failed;
    double descriptors = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd", failed))
      ++descriptors;
    m.begin("process_open_fds", "gauge", "Open descriptors of the scheduler.");
    m.value(descriptors);
    return m.text();
  }
  std::string why_not_ready() const {
    const auto good = memory_.health();
    return good ? std::string() : good.error().message;
  }
  /// The store takes writes, or waits for the disk to have space: starting again would not help.
  bool store_lives() const {
    const auto good = memory_.health();
    return good || good.error().code == errc::full;
  }

  client_reply answer(client_request& asked, const std::string& who) {
    auto done = act(asked, who);
    if (done)
      return {.text = std::move(*done)};
    return {.failure = done.error().message, .exit = static_cast<std::uint32_t>(exit_code(done.error().code))};
  }

private:
  result<std::string> act(client_request& asked, const std::string& who) {
    if (asked.session || asked.what == "pause" || asked.what == "resume" || asked.what == "cancel")
      KEVOLVE_TRY_VOID(memory_.health()); // an answer must not wait for as long as the disk is full
    if (asked.session) {
      KEVOLVE_TRY_VOID(check_problem(asked.session->subject));
      if (!asked.session->settings.hosts.empty())
        KEVOLVE_TRY_VOID(check_hosts(asked.session->settings.hosts));
      KEVOLVE_TRY(agents, engine_.agents());
      KEVOLVE_TRY_VOID(take_models(asked.session->settings, in_.models, agents)); // names, weights and limits are the scheduler's, or an agent's
    }
    if (asked.what == "submit" && asked.session) {
      const std::string name = asked.session->subject.op.name;
      asked.session->settings.user = who; // people share the agents evenly, however many sessions each has
      asked.session->settings.priority = std::clamp(asked.session->settings.priority, 0, 9); // below: the standing list
      KEVOLVE_TRY(session, engine_.submit(std::move(asked.session->subject), asked.session->on, std::move(asked.session->settings)));
      spdlog::info("session {}: {} submitted by {}", session, name, who);
      desk_.watch(session);
      return object{{"session", session}, {"operator", name}}.dump();
    }
    if (asked.what == "stand" && asked.session) {
      const double weight = asked.session->weight > 0 ? asked.session->weight : 1;
      const std::string name = asked.session->subject.op.name + (asked.about.empty() ? "" : "@" + asked.about);
      spdlog::info("standing {}: weight {}, by {}", name, weight, who);
      return standing_.put({name, std::move(*asked.session), weight, who, {}});
    }
    if (asked.what == "standing")
      return standing_.shown(unix_ms()).dump(2);
    if (asked.what == "unstand")
      return standing_.remove(asked.about);
    if (asked.what == "sessions") {
      KEVOLVE_TRY(all, memory_.sessions());
      return sessions_answer(all);
    }
    if (asked.what == "agents") {
      KEVOLVE_TRY(all, engine_.agents());
      return agents_object(all).dump(2);
    }
    if (asked.what == "drain") {
      KEVOLVE_TRY(drained, engine_.drain(asked.about));
      if (drained == 0)
        return error{errc::not_found, fmt::format("agent: found '{}', expected one of those that kevolve agents list shows", asked.about)};
      spdlog::info("agent {} is drained, asked by {}", asked.about, who);
      return object{{"agent", asked.about}, {"draining", drained}}.dump();
    }
    KEVOLVE_TRY(found, find_session(memory_, asked.about));
    if (asked.what == "show")
      return shown(found.session);
    if (asked.what == "progress") {
      const auto newest = desk_.progress_of(found.session);
      return (newest ? progress_object(*newest) : object{{"session", found.session}, {"phase", goes_on(found.session) ? "running" : found.state}}).dump();
    }
    if (asked.what == "pause") {
      if (!no_longer_goes_on(found.session)) // it is paused, and stays so
        KEVOLVE_TRY_VOID(engine_.pause(found.session));
    } else if (asked.what == "cancel") {
      KEVOLVE_TRY_VOID(engine_.cancel(found.session));
    } else if (asked.what == "resume") {
      KEVOLVE_TRY(resumed, engine_.resume(found.session));
      desk_.watch(resumed);
    } else {
      return error{errc::usage, fmt::format("request: found '{}', expected submit, stand, standing, unstand, sessions, show, progress, pause, resume, cancel, agents or drain", asked.what)};
    }
    spdlog::info("session {}: {}, asked by {}", found.session, asked.what, who);
    return object{{"session", found.session}, {"done", asked.what}}.dump();
  }

  result<std::string> shown(const session_id& session) {
    KEVOLVE_TRY(events, memory_.events(session));
    KEVOLVE_TRY(account, account_of(events));
    report_facts facts;
    facts.command = in_.command();
    if (account.state == "running" || goes_on(session)) {
      KEVOLVE_TRY(why, engine_.waits_for(session));
      facts.waits_for = why.empty() ? why_not_gone_on(session) : std::move(why);
    }
    return session_answer(account, facts);
  }

  static const char* state_of(const agent_status& a) { return a.draining ? "draining" : is_suspended(a) ? "suspended" : "working"; }

  static object agents_object(const std::vector<agent_status>& all) {
    object rows = object::array();
    for (const agent_status& a : all) {
      object devices = object::array();
      for (const device_description& d : a.devices)
        devices.push_back({{"name", d.name}, {"hardware", d.hardware}, {"target", to_string(d.on)}, {"slots", d.slots}});
      object found = object::array();
      for (const found_device& d : a.found)
        found.push_back(found_answer(d));
      object writers = object::array();
      for (const writer_description& w : a.writers)
        writers.push_back({{"name", w.name}, {"model", w.model}, {"provider", w.provider}});
      rows.push_back({{"agent", a.name}, {"incarnation", a.incarnation}, {"state", state_of(a)}, {"leases", a.leases}, {"credit", a.credit},
                      {"silent_s", a.silent_s}, {"compiles", a.compiles}, {"compiled_elsewhere", !a.compiles && a.served}, {"toolchains", a.toolchains}, {"devices", devices}, {"found", found},
                      {"writers", writers}, {"writing", a.writes}, {"writing_slots", a.writing_slots}, {"labels", a.labels}});
    }
    return rows;
  }

  context& in_;
  kb::store& memory_;
  runtime& engine_;
  session_desk& desk_;
  standing_work& standing_;
  std::mutex mutex_;
  std::map<session_id, std::string> unfinished_; // and why it does not go on yet
  std::string trouble_; // of the store, as last told
};

} // namespace

result<int> serve(context& in, const serve_options& options) {
  allow_many_descriptors(); // an agent takes one
  auto manager = agent::service_manager::of_environment();
  KEVOLVE_TRY(people, client_endpoint(options.listen));
  KEVOLVE_TRY_VOID(prepare_data(in));
  KEVOLVE_TRY(keys, cluster_keys::open(in.configured.data));
  kb::store_options waits;
  waits.full_patience = full_patience;
  KEVOLVE_TRY(memory, kb::store::open(in.configured.data, kb::access::read_write, waits));
  KEVOLVE_TRY(list, standing_list::open(in.configured.data));
  zmq::context_t sockets(1);
  KEVOLVE_TRY(gate, gatekeeper::open(sockets.handle(), keys.allowed));
  const link_security security{keys.own, keys.allowed};
  runtime_settings how;
  how.endpoint = options.listen;
  how.zmq_context = sockets.handle();
  how.security = security;
  how.agent_wait_s = 2;
  how.unserved_limit_s = unserved_limit_s;
  how.models = open_models(in.models, {in.env, nullptr}, in.configured, *memory, nullptr); // agents' models are told what its documents say, too
  how.policy_model = policy_source(in.configured);
  KEVOLVE_TRY(engine, runtime::start(*memory, how));
  {
    session_desk desk(*engine, *memory, in.configured.data);
    standing_work standing(std::move(list), {*engine, *memory, [&](const session_id& s) { desk.watch(s); }, [&](const session_id& s) { return desk.progress_of(s).has_value(); },
                                             options.standing_session_s});
    daemon self(in, *memory, *engine, desk, standing);
    self.find_unfinished();
    const store_upkeep upkeep(*memory, std::chrono::ceil<std::chrono::milliseconds>(std::chrono::duration<double>(in.configured.seal_after_s)));
    KEVOLVE_TRY(port, client_port::open(people, sockets.handle(), security, [&](client_request& asked, const std::string& who) { return self.answer(asked, who); }));
    std::unique_ptr<status_page> page;
    if (!options.http.empty()) {
      KEVOLVE_TRY(opened, status_page::open(options.http, {[&] { return self.metrics(); }, [&] { return self.why_not_ready(); }}));
      page = std::move(opened);
    }
    in.signals.on_signal([](int) {});
    if (spdlog::get_level() > spdlog::level::info)
      spdlog::set_level(spdlog::level::info); // who asked for what is a daemon's business
    in.out.note(fmt::format("serving agents at {} and people at {}; data in {}; public key {}", options.listen, people, in.configured.data.string(), keys.own.public_key));
    if (keys.allowed->all().empty())
      in.out.note(fmt::format("nobody may come in yet: make keys with {} keys new NAME --role agent|client{}", in.command(), in.data_option()));
    manager.ready(fmt::format("serves agents at {}", options.listen));
    while (!in.signals.received()) {
      self.tick();
      if (self.store_lives() && engine->agents()) // and the dispatcher answers
        manager.alive(agent::now_s());
      for (int i = 0; i < 10 && !in.signals.received(); ++i)
        std::this_thread::sleep_for(100ms);
    }
    manager.stopping();
    in.out.note("stopping: running sessions are paused and go on when the scheduler is back");
    page.reset();
    port.reset();
    engine.reset(); // ends the waits that the desk joins
  }
  return 0;
}

} // namespace kevolve::scheduler
