#include "actors/session.hpp"

#include "actors/evaluator.hpp"
#include "actors/failure.hpp"
#include "actors/tree_node.hpp"
#include "protocol/check.hpp"
#include "protocol/likeness.hpp"

#include <algorithm>

namespace kevolve::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_period = 100ms;        // the logic wants one at least that often
constexpr double generator_limit_s = 120;  // it answers in milliseconds
constexpr double model_limit_s = 86'400;   // providers have limits of their own; a person may take a day
constexpr std::uint32_t askings = 3;       // of one proposal, when synthesizers die under it
constexpr std::uint32_t attempts_per_life = 256; // names of tasks are never used twice

} // namespace

session_shell::session_shell(session_actor::pointer self, session_parts parts)
    : self_(self), parts_(std::move(parts)), logic_([&] {
        search::session_options options;
        for (const auto& [name, steps] : parts_.record->opening.priors)
          options.priors.push_back(name);
        options.verify = parts_.engine.verify;
        return options;
      }()),
      subject_(std::make_shared<const problem>(parts_.record->opening.subject)) {}

search::moment session_shell::now() const {
  auto unix_time = std::chrono::system_clock::now().time_since_epoch();
  return {std::chrono::duration<double>(self_->clock().now().time_since_epoch()).count(),
          std::chrono::duration_cast<std::chrono::milliseconds>(unix_time).count()};
}

// ---- lives

void session_shell::begin() {
  choose_writers();
  synthesizers_.resize(std::max(1u, parts_.engine.synthesizers) + writers_.size());
  for (std::size_t slot = 0; slot < synthesizers_.size(); ++slot)
    spawn_synthesizer(slot);
  self_->delayed_send(self_, tick_period, session_tick{});
  if (!parts_.restarted_because.empty()) {
    reading_ = true;
    self_->send(parts_.log, read_log{parts_.record->session, self_});
  } else if (parts_.record->log.empty()) {
    start_new();
  } else {
    resume_from(std::exchange(parts_.record->log, {}));
  }
}

void session_shell::start_new() {
  begun_ = true;
  step(search::opened{parts_.record->opening});
}

void session_shell::resume_from(const std::vector<event>& events) {
  begun_ = true;
  for (const auto& each : events) {
    logic_.replay(each);
    note_known(each);
    if (auto* recorded = std::get_if<evaluation_recorded>(&each))
      count_stages(recorded->what);
    else if (auto* verdict = std::get_if<leader_verified>(&each))
      count_stages(verdict->what);
  }
  std::vector<node_number> all(logic_.state().nodes().size());
  for (node_number n = 0; n < all.size(); ++n)
    all[n] = n;
  rebuild_nodes(events, all);
  told_durable_ = true;
  parts_.record->durable();
  step(search::resumed{std::exchange(parts_.record->budget, std::nullopt)});
  if (!parts_.restarted_because.empty())
    step(search::restarted{"session", parts_.restarted_because, {}});
}

void session_shell::read(const log_read& what) {
  reading_ = false;
  const auto& events = *what.events;
  if (!events)
    return failed(events.error());
  if (!begun_)
    return events->empty() ? start_new() : resume_from(*events);
  rebuild_nodes(*events, nodes_to_rebuild_);
  std::vector<node_number> unanswered;
  for (const auto& [number, a] : asked_)
    for (node_number parent : a.parents)
      if (std::find(nodes_to_rebuild_.begin(), nodes_to_rebuild_.end(), parent) != nodes_to_rebuild_.end()) {
        unanswered.push_back(number);
        break;
      }
  std::sort(unanswered.begin(), unanswered.end());
  std::string names;
  for (node_number n : nodes_to_rebuild_)
    names += (names.empty() ? "tree_node " : ", ") + std::to_string(n);
  nodes_to_rebuild_.clear();
  std::string reason = rebuild_reasons_.empty() ? "" : rebuild_reasons_.front();
  rebuild_reasons_.clear();
  step(search::restarted{names, reason, std::move(unanswered)});
}

void session_shell::pause(std::string reason) {
  if (begun_ && logic_.state().is_open())
    step(search::pause{std::move(reason)});
  else
    failed({errc::interrupted, std::move(reason)});
}

void session_shell::cancel() { step(search::cancel{}); }

void session_shell::failed(const error& why) { step(search::broken{why}); }

void session_shell::tick() {
  double t = now().steady_s;
  std::vector<node_number> overdue;
  for (const auto& [number, a] : asked_)
    if (t - a.since_s > (a.synthesizer < generators() ? generator_limit_s : model_limit_s))
      overdue.push_back(number);
  for (node_number number : overdue)
    give_up_asking(number, {errc::timeout, "the synthesizer did not answer in time"});
  if (begun_)
    step(search::tick{});
}

// ---- inputs

void session_shell::answered(const synthesis_answer& what) {
  auto open = asked_.find(what.number);
  if (open == asked_.end() || open->second.times != what.asked)
    return; // late: withdrawn or asked again meanwhile
  asked_.erase(open);
  const auto& got = *what.what;
  if (!got)
    return step(search::synthesis_failed{what.number, got.error()});
  auto written = models_take_part_ ? std::shared_ptr<const candidate>(what.what, &got->what) : nullptr;
  attempted_[what.number] = {got->what.printed_from.value_or(schedule{}), got->edge, nullptr, std::move(written)};
  step(search::synthesized{what.number, got->what, got->edge});
}

void session_shell::answered(const writing_answer& what) {
  auto open = asked_.find(what.number);
  if (open == asked_.end() || open->second.times != what.asked)
    return;
  written_by_[what.number] = caf::actor_cast<synthesizer_proxy_actor>(synthesizers_[open->second.synthesizer]);
  asked_.erase(open);
  if (const auto& got = what.what->what)
    attempted_[what.number] = {got->printed_from.value_or(schedule{}), what.what->edge, nullptr,
                               models_take_part_ ? std::make_shared<const candidate>(*got) : nullptr};
  step(search::wrote{what.number, *what.what, what.agent, what.moves});
}

void session_shell::asking(const model_asking& what) { step(search::asking{*what.what, what.least}); }

void session_shell::replied(const model_replied& what) { step(search::replied{*what.what}); }

void session_shell::answered(const evaluation_answer& what) {
  const auto& got = *what.what;
  if (!got && got.error().code == errc::no_agent)
    return step(search::broken{got.error()});
  if (what.purpose == evaluation_purpose::verification) {
    if (got)
      count_stages(*got);
    if (got)
      step(search::verified{what.number, what.attempt, *got});
    else
      step(search::verification_failed{what.number, what.attempt, got.error().message});
    if (verifying_ && verifying_->first == what.number && verifying_->second.attempt == what.attempt) {
      acknowledge_when_.emplace_back(logic_.appended(), std::move(verifying_->second.actor));
      verifying_.reset();
    }
    return;
  }
  if (!got)
    return step(search::evaluation_failed{what.number, what.attempt, got.error().message});
  auto current = evaluating_.find(what.number);
  if (current != evaluating_.end() && current->second.attempt == what.attempt)
    attempted_[what.number].what = what.what;
  step(search::evaluated{what.number, what.attempt, *got});
}

void session_shell::late(const evaluation_late& what) { step(search::late{what.number, what.attempt, what.reason}); }

void session_shell::durable() {
  mark_->noticed = false;
  std::uint64_t events = mark_->events.load(std::memory_order_acquire);
  if (!told_durable_) {
    told_durable_ = true;
    parts_.record->durable();
  }
  while (!acknowledge_when_.empty() && acknowledge_when_.front().first <= events) {
    self_->send(acknowledge_when_.front().second, evaluation_durable{});
    acknowledge_when_.pop_front();
  }
  step(search::stored{events});
}

// ---- effects

void session_shell::step(search::input in) {
  inputs_.push_back(std::move(in));
  if (std::exchange(stepping_, true))
    return; // an effect of the step under way brought a further input: its effects come after all of the former's
  while (!inputs_.empty() && !left_) {
    if (parts_.engine.probe)
      parts_.engine.probe("session");
    auto next = std::move(inputs_.front());
    inputs_.pop_front();
    for (auto& effect : logic_.step(std::move(next), now()))
      std::visit([this](auto& what) { on(what); }, effect);
    flush_appends();
  }
  stepping_ = false;
}

void session_shell::flush_appends() {
  if (!appends_)
    return;
  self_->send(parts_.log, append_events{parts_.record->session, first_append_, std::exchange(appends_, nullptr), mark_, self_});
}

void session_shell::note_known(const event& e) {
  if (auto* made = std::get_if<proposal_made>(&e))
    known_before_[made->number] = known_->size();
  else if (auto* added = std::get_if<candidate_added>(&e)) {
    known_->add(added->what.id);
    if (models_take_part_)
      known_->add_likeness(likeness_of(added->what));
  }
  else if (auto* closed = std::get_if<proposal_closed>(&e))
    known_before_.erase(closed->number);
  else if (auto* recorded = std::get_if<evaluation_recorded>(&e))
    known_before_.erase(recorded->number);
  if (auto* said = std::get_if<model_answered>(&e))
    said_[said->number].push_back(*said);
  else if (auto* added = std::get_if<candidate_added>(&e))
    said_.erase(added->number);
  else if (auto* closed = std::get_if<proposal_closed>(&e))
    said_.erase(closed->number);
}

void session_shell::on(search::append_event& what) {
  note_known(what.what);
  if (auto* closed = std::get_if<proposal_closed>(&what.what))
    attempted_.erase(closed->number);
  if (!appends_) {
    appends_ = std::make_shared<std::vector<event>>();
    first_append_ = what.position;
  }
  KEVOLVE_CHECK(what.position == first_append_ + appends_->size());
  appends_->push_back(std::move(what.what));
}

void session_shell::on(search::ask_synthesis& what) { ask(what.number, what); }

void session_shell::ask(node_number number, const search::ask_synthesis& what) {
  const auto open = logic_.state().open().find(number);
  const std::uint32_t unanswered = open == logic_.state().open().end() ? 0 : open->second.unanswered; // by a host's provider: it is asked for anew
  auto& a = asked_[number];
  a.times = std::max(a.times, unanswered * askings) + 1;
  if (a.times > (unanswered + 1) * askings)
    return give_up_asking(number, {errc::synthesizer, "the synthesizer died " + std::to_string(askings) + " times over it: " + synthesizer_died_of_});
  a.synthesizer = slot_of(what.synthesizer, number);
  a.parents = what.parents;
  a.since_s = now().steady_s;
  synthesize request{number, a.times, logic_.state().settings().seed, nullptr, known_before_[number], nullptr, self_, logic_.state().root_by_model() && !logic_.state().root_passed(), logic_.state().root_by_model(), what.unprimed};
  if (auto said = said_.find(number); said != said_.end())
    request.said = std::make_shared<const std::vector<model_answered>>(said->second);
  request.attempt = logic_.state().lives() * attempts_per_life + a.times;
  if (open != logic_.state().open().end())
    request.step = open->second.said;
  request.reserved = logic_.state().awaits_model(number, request.step);
  const auto& child = node(number);
  if (what.parents.empty()) {
    self_->send(synthesizers_[a.synthesizer], std::move(request));
    return;
  }
  draw_context draw{what.memory, what.results_seen, {}, nullptr, child, std::move(request), synthesizers_[a.synthesizer]};
  for (const auto& [name, steps] : parts_.record->opening.priors)
    if (name == what.prior)
      draw.priors.push_back(steps);
  const auto first = node(what.parents[0]);
  if (what.parents.size() > 1)
    self_->send(node(what.parents[1]), lend_history{std::move(draw), first});
  else
    self_->send(first, std::move(draw));
}

std::size_t session_shell::slot_of(const std::string& synthesizer, node_number number) const {
  const auto writer = std::find_if(writers_.begin(), writers_.end(), [&](const auto& each) { return each.name == synthesizer; });
  return writer == writers_.end() ? number % generators() : generators() + static_cast<std::size_t>(writer - writers_.begin());
}

void session_shell::on(search::permit_asking& what) {
  if (auto open = asked_.find(what.number); open != asked_.end())
    self_->send(synthesizers_[open->second.synthesizer], asking_permitted{what.number, what.step, what.reserved});
}

void session_shell::on(search::refuse_asking& what) {
  if (auto open = asked_.find(what.number); open != asked_.end())
    self_->send(synthesizers_[open->second.synthesizer], asking_refused{what.number, what.step, std::move(what.why)});
}

void session_shell::give_up_asking(node_number number, error why) {
  self_->send(synthesizers_[asked_[number].synthesizer], forget_proposal{number});
  asked_.erase(number);
  step(search::synthesis_failed{number, std::move(why)});
}

const tree_node_actor& session_shell::node(node_number number) {
  if (number >= nodes_.size())
    nodes_.resize(number + 1);
  if (!nodes_[number])
    nodes_[number] = self_->spawn<caf::monitored>(tree_node, history_ptr(), remembered_ptr(), child_history(), parts_.engine.probe);
  return nodes_[number];
}

evaluator_actor session_shell::spawn_evaluator(std::string task, node_number number, std::uint32_t attempt, evaluation_purpose purpose,
                                               evaluate_work what) {
  const auto& opening = logic_.state().opening();
  evaluator_parts parts;
  parts.task = {std::move(task), opening.session, 2 * opening.settings.priority + (purpose == evaluation_purpose::verification ? 1 : 0), opening.on,
                opening.hardware, what.limit_s, true, opening.settings.user};
  parts.task.label = opening.settings.hosts;
  parts.number = number;
  parts.attempt = attempt;
  parts.purpose = purpose;
  parts.what = std::make_shared<const work>(std::move(what));
  parts.dispatcher = parts_.dispatcher;
  parts.session = self_;
  parts.log = parts_.log;
  parts.frozen = parts_.engine.work_frozen;
  return self_->spawn<caf::monitored>(evaluator, std::move(parts));
}

void session_shell::on(search::ask_evaluation& what) {
  if (auto old = evaluating_.find(what.number); old != evaluating_.end())
    self_->send(old->second.actor, withdraw_work{});
  evaluate_work w;
  w.subject = *subject_;
  w.on = logic_.state().opening().on;
  w.what = *what.what;
  if (what.anchor)
    w.anchors.push_back(*what.anchor);
  w.seed = what.seed;
  std::string task = parts_.record->session + "/" + std::to_string(what.number) + "/" + std::to_string(what.attempt);
  evaluating_[what.number] = {spawn_evaluator(std::move(task), what.number, what.attempt, evaluation_purpose::search, std::move(w)), what.attempt};
}

void session_shell::on(search::ask_verification& what) {
  if (verifying_)
    self_->send(verifying_->second.actor, withdraw_work{});
  evaluate_work w;
  w.subject = *subject_;
  w.on = logic_.state().opening().on;
  w.what = *what.what;
  if (what.root && what.root->id != what.what->id)
    w.anchors.push_back(*what.root);
  w.baselines = what.baselines;
  w.how = effort::verify;
  w.seed = what.seed;
  w.limit_s = what.limit_s;
  std::string task = parts_.record->session + "/verify-" + std::to_string(what.number) + "/" + std::to_string(what.attempt);
  verifying_.emplace(what.number, running{spawn_evaluator(std::move(task), what.number, what.attempt, evaluation_purpose::verification,
                                                          std::move(w)), what.attempt});
}

void session_shell::on(search::withdraw& what) {
  if (auto open = asked_.find(what.number); open != asked_.end())
    self_->send(synthesizers_[open->second.synthesizer], forget_proposal{what.number, what.comes_back});
  asked_.erase(what.number);
  attempted_.erase(what.number);
  if (auto found = evaluating_.find(what.number); found != evaluating_.end()) {
    self_->send(found->second.actor, withdraw_work{});
    evaluating_.erase(found);
  }
  if (verifying_ && verifying_->first == what.number) {
    self_->send(verifying_->second.actor, withdraw_work{});
    verifying_.reset();
  }
}

void session_shell::on(search::acknowledge& what) {
  auto found = evaluating_.find(what.number);
  if (found == evaluating_.end() || found->second.attempt != what.attempt)
    return;
  self_->send(found->second.actor, evaluation_durable{});
  evaluating_.erase(found);
}

void session_shell::on(search::acknowledge_writing& what) {
  if (auto found = written_by_.find(what.number); found != written_by_.end()) {
    self_->send(found->second, writing_durable{what.number});
    written_by_.erase(found);
  }
}

void session_shell::on(search::show_progress& what) {
  session_progress shown;
  shown.session = parts_.record->session;
  shown.phase = std::move(what.phase);
  shown.evaluations = what.evaluations;
  shown.evaluations_budget = what.evaluations_budget;
  shown.outcomes = std::move(what.outcomes);
  shown.best_over_root = what.best_over_root;
  shown.best_latency_s = what.best_latency_s;
  shown.roofline_fraction = what.roofline_fraction;
  shown.best_edge = std::move(what.best_edge);
  shown.elapsed_s = what.elapsed_s;
  shown.time_left_s = what.time_left_s;
  parts_.record->show(std::move(shown));
}

void session_shell::on(search::finish& what) {
  flush_appends();
  session_outcome end;
  end.finished = std::move(what.what);
  end.verified = std::move(what.verdict);
  end.failure = std::move(what.failure);
  end.spent = spent_;
  parts_.record->end(std::move(end));
  leave();
}

void session_shell::leave() {
  left_ = true;
  for (auto& [number, r] : evaluating_)
    self_->send(r.actor, withdraw_work{});
  if (verifying_)
    self_->send(verifying_->second.actor, withdraw_work{});
  for (auto& [position, actor] : acknowledge_when_)
    self_->send(actor, evaluation_durable{});
  for (auto& each : synthesizers_)
    self_->send_exit(each, caf::exit_reason::user_shutdown);
  nodes_.clear(); // nobody else holds them: they end as unreachable
  self_->quit();
}

void session_shell::count_stages(const evaluation& e) {
  spent_.compile_s += e.stages.compile_s;
  spent_.check_s += e.stages.check_s;
  spent_.measure_s += e.stages.measure_s;
  spent_.profile_s += e.stages.profile_s;
  spent_.queued_s += e.stages.queued_s;
  spent_.cpu_s += e.stages.cpu_s;
}

session_actor::behavior_type session(session_actor::stateful_pointer<session_state> self, session_parts parts) {
  name_failures(self);
  self->state.shell.emplace(self, std::move(parts));
  auto& shell = *self->state.shell;
  self->set_down_handler([&shell](caf::down_msg& down) { shell.lost(down); });
  shell.begin();
  return {
    [&shell](const synthesis_answer& what) { shell.answered(what); },
    [&shell](const model_asking& what) { shell.asking(what); },
    [&shell](const model_replied& what) { shell.replied(what); },
    [&shell](const writing_answer& what) { shell.answered(what); },
    [&shell](const evaluation_answer& what) { shell.answered(what); },
    [&shell](const evaluation_late& what) { shell.late(what); },
    [&shell](log_durable) { shell.durable(); },
    [&shell](const log_failed& what) { shell.failed(what.why); },
    [&shell](const log_read& what) { shell.read(what); },
    [self, &shell](session_tick) {
      self->delayed_send(self, tick_period, session_tick{});
      shell.tick();
    },
    [&shell](const pause_session& what) { shell.pause(what.reason); },
    [&shell](cancel_session) { shell.cancel(); },
  };
}

} // namespace kevolve::actors
