// The runtime: the actor system, its supervisor and the link, behind calls that block. Shutdown: drain (sessions are paused, their logs
// durable), then kill what did not end in time, then close the link and let the system end.
#include "actors/runtime.hpp"

#include "actors/engine.hpp"
#include "actors/ensemble.hpp"
#include "actors/session_state.hpp"
#include "actors/supervisor.hpp"
#include "actors/synthesis/analogy.hpp"

#include <algorithm>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>
#include <chrono>
#include <ctime>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <tuple>

namespace kevolve {
namespace actors {
namespace {

using namespace std::chrono_literals;

constexpr auto drain_time = 10s; // a pause needs one durable commit; a slow disk gets ten seconds for it
constexpr std::size_t priors_kept = 8;
constexpr std::size_t leaders_looked_at = 64;   // the newest, of as many operators: each costs the lowering of one
constexpr double other_hardware = 2, another_kind = 4; // in unlikeness: what won elsewhere is a lesser guess; what did other work is none
constexpr std::size_t skills_kept = 256;
constexpr std::size_t sessions_like_it = 8;     // of the same class, whose synthesizers' records a bandit starts from
constexpr std::size_t sessions_looked_at = 64;  // to find them: a log is read in milliseconds

std::int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

session_id new_session_id(const std::string& definition) {
  std::time_t t = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&t, &utc);
  char stamp[32], unique[8];
  std::strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &utc);
  std::snprintf(unique, sizeof unique, "%04x", std::random_device{}() & 0xffffu);
  return definition + "-" + stamp + "-" + unique;
}

/// "rms_norm_h4096" and "rms_norm_h8192" are alike: their leaders may inspire each other.
std::string family_of(const std::string& definition) { return definition.substr(0, definition.rfind('_')); }

class engine_config : public caf::actor_system_config {
public:
  explicit engine_config(unsigned threads) {
    add_message_types<caf::id_block::kevolve_actors>();
    // Sharing waits on a condition variable. Stealing polls, and an idle scheduler must not disturb what is being measured beside it.
    set("scheduler.policy", caf::atom("sharing"));
    if (threads > 0)
      set("scheduler.max-threads", threads);
    set("logger.file-verbosity", caf::atom("quiet"));
    set("logger.console-verbosity", caf::atom("quiet"));
  }
};

class engine_runtime final : public runtime {
public:
  engine_runtime(kb::store& memory, unsigned threads, engine_parts parts)
      : memory_(memory), parts_(std::move(parts)), config_(threads), address_(std::make_shared<dispatcher_address>()), system_(config_) {}

  result<void> begin() {
    link_callbacks callbacks;
    callbacks.received = [to = address_](std::string agent, message what) {
      if (auto dispatcher = to->get())
        caf::anon_send(dispatcher, from_agent{std::move(agent), std::make_shared<message>(std::move(what))});
    };
    callbacks.undeliverable = [to = address_](std::string agent, std::string reason) {
      if (auto dispatcher = to->get())
        caf::anon_send(dispatcher, agent_unreachable{std::move(agent), std::move(reason)});
    };
    KEVOLVE_TRY(opened, parts_.open_link(std::move(callbacks)));
    link_ = std::move(opened);
    supervisor_parts parts{&memory_, parts_, {link_, {}, parts_.probe, parts_.unserved_limit_s}, address_};
    supervisor_ = system_.spawn(supervisor, std::move(parts));
    // An agent that says hello before there is a dispatcher would go unheard until its next hello.
    for (auto until = std::chrono::steady_clock::now() + 5s; !address_->get();) {
      if (std::chrono::steady_clock::now() > until)
        return error{errc::infrastructure, "the dispatcher did not start within 5 s"};
      std::this_thread::sleep_for(100us);
    }
    return {};
  }

  ~engine_runtime() override {
    if (supervisor_) {
      drain();
      caf::anon_send(supervisor_, shut_down{});
      supervisor_ = nullptr;
    }
    link_.reset();
  }

  result<session_id> submit(problem subject, target on, session_settings settings) override {
    KEVOLVE_TRY(device, find(on, "", settings.hosts));
    auto record = std::make_shared<session_record>();
    auto& opening = record->opening;
    opening.session = new_session_id(subject.op.name);
    opening.subject = std::move(subject);
    opening.on = device.on;
    opening.settings = std::move(settings);
    opening.hardware = device.hardware;
    opening.at_ms = unix_ms();
    record->session = opening.session;
    KEVOLVE_TRY_VOID(add_leaders(opening));
    KEVOLVE_TRY_VOID(add_skills(opening));
    KEVOLVE_TRY_VOID(add_synthesizers(opening));
    if (parts_.policy_model)
      opening.policy_model = parts_.policy_model(opening.hardware);
    return open(std::move(record));
  }

  result<session_id> resume(const session_id& session, std::optional<budget_changed> budget) override {
    if (auto running = record_of(session); running && !running->ended())
      return error{errc::refused, "session " + session + " is running here"};
    KEVOLVE_TRY(events, memory_.events(session));
    if (events.empty())
      return error{errc::not_found, "no session " + session};
    auto* opening = std::get_if<session_opened>(&events.front());
    if (!opening)
      return error{errc::damaged, "the log of " + session + " does not begin with its opening"};
    if (auto* finished = std::get_if<session_finished>(&events.back()))
      return error{errc::refused, "session " + session + " has ended: " + finished->stopped_by};
    auto record = std::make_shared<session_record>();
    record->session = session;
    record->opening = *opening;
    KEVOLVE_TRY(device, find(opening->on, opening->hardware, opening->settings.hosts));
    if (record->opening.priors.empty()) // of before they were recorded
      KEVOLVE_TRY_VOID(add_priors_of(events, record->opening));
    record->log = std::move(events);
    record->budget = budget;
    return open(std::move(record));
  }

  session_outcome wait(const session_id& session, std::function<void(const session_progress&)> progress) override {
    auto record = record_of(session);
    if (record)
      return record->await_end(progress);
    session_outcome unknown;
    unknown.failure = error{errc::not_found, "no session " + session + " runs here"};
    return unknown;
  }

  result<void> pause(const session_id& session) override {
    KEVOLVE_TRY_VOID(running(session));
    caf::anon_send(supervisor_, pause_by_id{session, "asked to"});
    return {};
  }

  result<void> cancel(const session_id& session) override {
    KEVOLVE_TRY_VOID(running(session));
    caf::anon_send(supervisor_, cancel_by_id{session});
    return {};
  }

  result<std::vector<agent_status>> agents() override {
    auto promise = std::make_shared<std::promise<std::vector<agent_status>>>();
    return asked(promise->get_future(), list_agents{promise});
  }
  result<std::size_t> drain(const std::string& agent) override {
    auto promise = std::make_shared<std::promise<std::size_t>>();
    return asked(promise->get_future(), drain_agents{agent, promise});
  }
  result<std::string> waits_for(const session_id& session) override {
    auto promise = std::make_shared<std::promise<std::string>>();
    return asked(promise->get_future(), explain_waiting{session, promise});
  }

private:
  /// Sends a question to the dispatcher and waits for its answer; it never blocks.
  template <class Answer, class Question>
  result<Answer> asked(std::future<Answer> answer, Question question) {
    auto dispatcher = address_->get();
    if (!dispatcher)
      return error{errc::infrastructure, "the dispatcher does not run"};
    caf::anon_send(dispatcher, std::move(question));
    if (answer.wait_for(std::chrono::seconds(5)) != std::future_status::ready)
      return error{errc::infrastructure, "the dispatcher did not answer"};
    return answer.get();
  }

  std::shared_ptr<session_record> record_of(const session_id& session) const {
    std::lock_guard lock(mutex_);
    auto found = records_.find(session);
    return found == records_.end() ? nullptr : found->second;
  }

  result<void> running(const session_id& session) const {
    auto record = record_of(session);
    if (!record)
      return error{errc::not_found, "no session " + session + " runs here"};
    return {};
  }

  result<device_description> find(const target& on, const std::string& hardware, const std::string& hosts) {
    auto promise = std::make_shared<std::promise<result<device_description>>>();
    auto answer = promise->get_future();
    auto dispatcher = address_->get();
    if (!dispatcher)
      return error{errc::infrastructure, "the dispatcher does not run"};
    caf::anon_send(dispatcher, find_device{on, hardware, hosts, parts_.agent_wait_s, std::move(promise)});
    if (answer.wait_for(std::chrono::duration<double>(parts_.agent_wait_s + 5)) != std::future_status::ready)
      return error{errc::infrastructure, "the dispatcher did not answer"};
    return answer.get();
  }

  result<session_id> open(std::shared_ptr<session_record> record) {
    {
      std::lock_guard lock(mutex_);
      records_[record->session] = record;
    }
    caf::anon_send(supervisor_, open_session{record});
    KEVOLVE_TRY_VOID(record->await_durable());
    return record->session;
  }

  /// Recorded with the opening: what is learnt elsewhere later doesn't change what this session would propose when it is resumed.
  result<void> add_skills(session_opened& opening) const {
    KEVOLVE_TRY(known, memory_.skills());
    const auto features = features_of(opening.subject.op);
    for (const auto& each : known)
      if (each.hardware == opening.hardware && each.features == features && opening.skills.size() < skills_kept)
        opening.skills.push_back(each.what);
    return {};
  }

  /// What the synthesizers did in the newest sessions on operators of the same class, where a bandit chooses among them: recorded like skills.
  result<void> add_synthesizers(session_opened& opening) const {
    if (opening.settings.ensemble != ensemble_kind::bandit || opening.settings.synthesizers.size() < 2)
      return {};
    const auto features = features_of(opening.subject.op);
    KEVOLVE_TRY(sessions, memory_.sessions());
    std::size_t like = 0;
    for (std::size_t i = 0; i < std::min(sessions.size(), sessions_looked_at) && like < sessions_like_it; ++i) {
      KEVOLVE_TRY(events, memory_.events(sessions[i].session));
      const auto* other = events.empty() ? nullptr : std::get_if<session_opened>(&events.front());
      if (!other || other->hardware != opening.hardware || features_of(other->subject.op) != features)
        continue;
      search::session_state state;
      for (const auto& e : events)
        state.apply(e);
      search::add_records(opening.synthesizers, state.synthesizers());
      ++like;
    }
    std::erase_if(opening.synthesizers, [&](const known_synthesizer& each) {
      const auto& mine = opening.settings.synthesizers;
      return each.record.proposals == 0 || std::find(mine.begin(), mine.end(), each.name) == mine.end();
    });
    return {};
  }

  /// What may be injected: leaders of this operator, then what won on others, adapted to this one, the most alike first.
  result<void> add_leaders(session_opened& opening) const {
    KEVOLVE_TRY(leaders, memory_.leaders(""));
    std::erase_if(leaders, [](const kb::leader& each) { return each.candidate.size() != 64; }); // a baseline leads
    std::stable_sort(leaders.begin(), leaders.end(), [](const kb::leader& a, const kb::leader& b) {
      return std::tuple(a.workload.empty() ? 0 : 1, -a.at_ms) < std::tuple(b.workload.empty() ? 0 : 1, -b.at_ms); // of the operator as a whole
    });
    std::vector<std::tuple<double, candidate_id, schedule>> found; // how unlike, whose
    std::set<std::string> seen; // operators and hardware
    for (const auto& each : leaders) {
      const bool is_own = each.definition == opening.subject.op.name;
      if (!seen.insert(each.definition + "\n" + each.hardware + (is_own ? "\n" + each.candidate : "")).second || seen.size() > leaders_looked_at)
        continue;
      KEVOLVE_TRY(adapted, adapted_to(opening, each.candidate, each.session));
      if (!adapted)
        continue;
      const double unlike = adapted->unlikeness + (each.hardware == opening.hardware ? 0 : other_hardware);
      if (unlike < another_kind)
        found.emplace_back(is_own ? -each.speedup : unlike, each.candidate, std::move(adapted->how));
    }
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return std::get<double>(a) < std::get<double>(b); });
    for (auto& [unlike, id, how] : found) {
      const bool is_new = std::none_of(opening.priors.begin(), opening.priors.end(), [&](const auto& known) { return to_string(known.second) == to_string(how); });
      if (is_new && opening.priors.size() < priors_kept)
        opening.priors.emplace_back("leader:" + id, std::move(how));
    }
    return {};
  }

  /// Those that were used in an earlier life, whatever leads now.
  result<void> add_priors_of(const std::vector<event>& events, session_opened& opening) const {
    for (const auto& each : events) {
      const auto* made = std::get_if<proposal_made>(&each);
      if (!made || !made->prior.starts_with("leader:") || std::any_of(opening.priors.begin(), opening.priors.end(), [&](const auto& known) { return known.first == made->prior; }))
        continue;
      const candidate_id id = made->prior.substr(7);
      KEVOLVE_TRY(where, memory_.occurrences(id));
      if (where.empty())
        continue;
      KEVOLVE_TRY(adapted, adapted_to(opening, id, where.front().first));
      if (adapted)
        opening.priors.emplace_back(made->prior, std::move(adapted->how));
    }
    return {};
  }

  /// What a candidate of another session says for this one; empty: nothing.
  result<std::optional<synthesis::analogy>> adapted_to(const session_opened& opening, const candidate_id& id, const session_id& session) const {
    KEVOLVE_TRY(found, memory_.find_candidate(id));
    if (!found || !found->printed_from)
      return std::optional<synthesis::analogy>();
    if (found->definition == opening.subject.op.name)
      return std::optional(synthesis::analogy{*found->printed_from, 0});
    KEVOLVE_TRY(other, memory_.opening(session));
    if (other.on.platform != opening.on.platform || other.on.language != opening.on.language)
      return std::optional<synthesis::analogy>();
    if (auto adapted = synthesis::adapt(opening.subject, other.subject, *found->printed_from, opening.on, parts_.compiler))
      return std::optional(std::move(*adapted));
    // Not the shipped generator's: by names alone.
    const bool is_like = family_of(other.subject.op.name) == family_of(opening.subject.op.name) || features_of(other.subject.op) == features_of(opening.subject.op);
    return is_like ? std::optional(synthesis::analogy{transferable(*found->printed_from), 1}) : std::nullopt;
  }

  void drain() {
    std::vector<std::shared_ptr<session_record>> open;
    {
      std::lock_guard lock(mutex_);
      for (auto& [id, record] : records_)
        if (!record->ended())
          open.push_back(record);
    }
    for (auto& record : open)
      caf::anon_send(supervisor_, pause_by_id{record->session, "the scheduler stops"});
    auto until = std::chrono::steady_clock::now() + drain_time;
    for (auto& record : open)
      while (!record->ended() && std::chrono::steady_clock::now() < until)
        std::this_thread::sleep_for(2ms);
    session_outcome killed;
    killed.finished.stopped_by = "paused";
    killed.failure = error{errc::interrupted, "the scheduler stopped before the session could be paused"};
    for (auto& record : open)
      record->end(killed); // stays with its own end where it has one
  }

  kb::store& memory_;
  engine_parts parts_;
  engine_config config_;
  std::shared_ptr<dispatcher_address> address_;
  std::shared_ptr<link> link_;
  mutable std::mutex mutex_; // guards records_
  std::map<session_id, std::shared_ptr<session_record>> records_;
  caf::actor_system system_; // after everything that its actors refer to
  supervisor_actor supervisor_;
};

} // namespace
} // namespace actors

result<std::unique_ptr<runtime>> start_engine(kb::store& memory, unsigned threads, engine_parts parts) {
  auto made = std::make_unique<actors::engine_runtime>(memory, threads, std::move(parts));
  KEVOLVE_TRY_VOID(made->begin());
  return std::unique_ptr<runtime>(std::move(made));
}

} // namespace kevolve
