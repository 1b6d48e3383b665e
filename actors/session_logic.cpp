#include "actors/session_logic.hpp"

#include "actors/fitness.hpp"
#include "actors/memory.hpp"
#include "protocol/check.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::search {
namespace {

constexpr std::uint32_t attempts_per_life = 256;
// Candidates that are checked on the same inputs: the oracle needs seconds for a large workload's expected outputs, a check a tenth of one.
constexpr node_number candidates_per_inputs = 256;
constexpr double cost_smoothing = 0.2;

/// The host did not get an answer of its model; another one may.
bool is_providers_fault(const written& what) {
  return !what.what && (what.said.empty() ? what.failed == errc::configuration : !what.said.back().said.failure.empty());
}

} // namespace

remember memory_of(const tree& t, node_number n, outcome result) {
  const auto& node = t[n];
  remember r{n, {}, node.ordinal, result, 0, 0};
  for (auto p : {node.parent, node.second})
    if (p != no_node)
      r.parents.push_back(p);
  if (node.status != node_status::passed)
    return r;
  r.speedup = std::exp(static_cast<double>(node.fitness));
  bool from_parent = node.parent != no_node && node.memory != memory_operator::clean_slate; // a clean slate starts from the root's speed
  r.gain = from_parent ? std::exp(static_cast<double>(node.fitness) - t[node.parent].fitness) : r.speedup;
  return r;
}

session::session(session_options options) : options_(std::move(options)) {}

double session::elapsed_s(moment now) const { return spent_before_s_ + now.steady_s - began_steady_s_; }

void session::replay(const event& e) {
  state_.apply(e);
  durable_ = ++appended_;
}

std::vector<effect> session::step(input in, moment now) {
  now_ = now;
  out_.clear();
  std::visit([this](auto&& what) { on(std::move(what)); }, std::move(in));
  if (!over_)
    advance();
  return std::move(out_);
}

void session::append(event e) {
  state_.apply(e);
  starved_ = starved_ && std::holds_alternative<candidate_added>(e);
  out_.push_back(append_event{appended_++, std::move(e)});
}

void session::emit_durable(effect e) {
  if (durable_ >= appended_)
    emit(std::move(e));
  else
    held_.push_back({appended_, std::move(e)});
}

// ---- beginnings and ends ----

void session::begin() {
  began_steady_s_ = now_.steady_s;
  spent_before_s_ = state_.spent_s();
}

void session::on(opened&& in) {
  KEVOLVE_CHECK(appended_ == 0);
  in.what.at_ms = in.what.at_ms != 0 ? in.what.at_ms : now_.unix_ms;
  append(std::move(in.what));
  begin();
}

void session::on(resumed&& in) {
  KEVOLVE_CHECK(state_.is_open());
  if (const auto& ended = state_.ending()) {
    over_ = true;
    return emit(finish{*ended, state_.last_verdict(), std::nullopt});
  }
  append(session_resumed{now_.unix_ms});
  if (in.budget) {
    in.budget->at_ms = now_.unix_ms;
    append(*in.budget);
  }
  begin();
  std::vector<node_number> open;
  for (const auto& [n, p] : state_.open())
    open.push_back(n);
  for (auto n : open)
    ask_again(n);
}

void session::on(restarted&& in) {
  if (over_ || !state_.is_open())
    return;
  append(actor_restarted{in.actor, in.reason});
  for (auto n : in.lost) {
    if (verifying_ == n)
      verification_fault(in.actor + " was restarted");
    else if (anchors_.contains(n))
      evaluation_fault(n, state_.attempt_of(n), in.actor + " was restarted");
    else if (state_.open().contains(n))
      ask_again(n);
  }
}

void session::on(pause&& in) {
  if (!over_ && state_.is_open())
    pause_for(std::move(in.reason), std::nullopt);
}

void session::pause_for(std::string reason, std::optional<error> failure) {
  append(session_paused{reason, now_.unix_ms});
  for (const auto& [n, p] : state_.open())
    emit(withdraw{n, true});
  if (verifying_)
    emit(withdraw{*verifying_, true});
  session_finished what{"paused", std::move(reason), elapsed_s(now_), state_.cpu_s(), now_.unix_ms};
  emit_durable(finish{std::move(what), state_.last_verdict(), std::move(failure)});
  over_ = true;
}

void session::on(cancel&&) {
  if (!over_ && state_.is_open())
    end("cancelled", std::nullopt);
}

void session::on(broken&& in) {
  bool told = over_ && std::none_of(held_.begin(), held_.end(), [](const held& h) { return std::holds_alternative<finish>(h.what); });
  held_.clear(); // nothing after the last durable event was ever true
  if (told)
    return;
  if (!over_)
    for (const auto& [n, p] : state_.open())
      emit(withdraw{n});
  over_ = true;
  session_finished what{"failed", in.why.message, state_.is_open() ? elapsed_s(now_) : 0, state_.cpu_s(), now_.unix_ms};
  emit(finish{std::move(what), std::nullopt, std::move(in.why)});
}

void session::end(std::string stopped_by, std::optional<error> failure) {
  if (verifying_)
    emit(withdraw{*verifying_});
  verifying_.reset();
  withdraw_open(stopped_by);
  if (!state_.learnt().empty())
    append(skills_learnt{features_of(state_.opening().subject.op), state_.learnt(), now_.unix_ms});
  session_finished what{std::move(stopped_by), failure ? failure->message : "", elapsed_s(now_), state_.cpu_s(), now_.unix_ms};
  append(what);
  over_ = true;
  progress(true);
  emit_durable(finish{std::move(what), state_.last_verdict(), std::move(failure)});
}

// ---- answers ----

void session::on(stored&& in) {
  KEVOLVE_CHECK(in.events <= appended_);
  durable_ = std::max(durable_, in.events);
  while (!held_.empty() && held_.front().events <= durable_) {
    emit(std::move(held_.front().what));
    held_.pop_front();
  }
}

void session::on(synthesized&& in) {
  auto open = state_.open().find(in.number);
  if (over_ || open == state_.open().end() || open->second.what)
    return; // withdrawn, or answered twice
  take_candidate({in.number, std::move(in.what), std::move(in.edge)});
}

void session::take_candidate(candidate_added what) {
  const auto number = what.number;
  if (auto twin = state_.nodes().find(key_of(what.what.id)); twin != no_node)
    return close(number, std::string(closed_duplicate) + " of " + std::to_string(twin));
  append(std::move(what));
  request_evaluation(number);
}

void session::on(synthesis_failed&& in) {
  auto open = state_.open().find(in.number);
  if (over_ || open == state_.open().end() || open->second.what)
    return;
  take_failure(in.number, in.why);
}

void session::take_failure(node_number n, const error& why) {
  if (n == 0) {
    problem_ = why.message;
    problem_code_ = why.code;
  }
  std::string kind = why.code == errc::refused ? std::string(closed_nothing_new) : why.code == errc::budget ? std::string(closed_unaffordable) : state_.open().at(n).synthesizer;
  if (why.code != errc::refused && why.code != errc::budget)
    problem_ = why.message;
  close(n, kind + ": " + why.message);
  consider_askings();
}

// ---- models ----

void session::on(asking&& in) {
  auto open = state_.open().find(in.what.number);
  if (over_ || open == state_.open().end() || open->second.what)
    return; // withdrawn
  forget_askings(in.what.number); // whoever was asked before gives nothing any more: what was reserved for that counts, and nobody waits for it
  askings_.push_back(std::move(in));
  consider_askings();
}

bool session::affordable(model_spending what) const {
  const auto& limit = state_.settings();
  const auto& spent = state_.spent_on_models();
  return (limit.model_usd <= 0 || spent.usd + what.usd <= limit.model_usd) && (limit.model_tokens == 0 || spent.tokens + what.tokens <= limit.model_tokens);
}

// A reservation is the most that a request can cost, often ten times what it does: where others are under way it waits for what they leave.
void session::consider_askings() {
  const auto& limit = state_.settings();
  while (!askings_.empty()) {
    asking& next = askings_.front();
    const auto& spent = state_.spent_on_models();
    bool fits = affordable({next.what.reserved_tokens, next.what.reserved_usd});
    if (!fits && !asked_.empty())
      return;
    if (!fits && next.least && affordable(*next.least)) { // all that is left
      fits = true;
      if (limit.model_tokens > 0)
        next.what.reserved_tokens = std::min(next.what.reserved_tokens, limit.model_tokens - spent.tokens);
      if (limit.model_usd > 0)
        next.what.reserved_usd = std::min(next.what.reserved_usd, limit.model_usd - spent.usd);
    }
    const auto number = next.what.number;
    const auto step = next.what.step;
    if (!fits) {
      emit(refuse_asking{number, step, {errc::budget, "the session's limit for models (" + std::to_string(limit.model_usd) + " USD, " +
                                                        std::to_string(limit.model_tokens) + " tokens; 0: none) leaves no room for another request"}});
    } else if (state_.open().contains(number)) {
      const model_spending reserved{next.what.reserved_tokens, next.what.reserved_usd};
      next.what.at_ms = now_.unix_ms;
      append(std::move(next.what));
      asked_.emplace(number, step);
      emit_durable(permit_asking{number, step, reserved});
    }
    askings_.pop_front();
  }
}

void session::on(replied&& in) {
  if (over_ || !state_.is_open() || !state_.awaits_model(in.what.number, in.what.step))
    return;
  in.what.at_ms = now_.unix_ms;
  asked_.erase({in.what.number, in.what.step});
  append(std::move(in.what));
  consider_askings();
}

void session::on(wrote&& in) {
  auto open = state_.open().find(in.number);
  if (over_ || open == state_.open().end() || open->second.what)
    return; // withdrawn, or answered twice: what was reserved for it counts
  const auto unanswered = open->second.unanswered;
  const bool providers_fault = is_providers_fault(in.what);
  log_exchanges(in.what, in.number);
  forget_askings(in.number);
  consider_askings();
  if (providers_fault && open->second.unanswered > unanswered && open->second.unanswered < options_.providers) {
    emit_durable(acknowledge_writing{in.number}); // first: what comes of the next asking is acknowledged by the same number
    return request_synthesis(in.number);
  }
  if (in.what.what)
    take_candidate({in.number, std::move(*in.what.what), std::move(in.what.edge), std::move(in.agent), in.moves});
  else
    take_failure(in.number, {in.what.failed, std::move(in.what.failure)});
  emit_durable(acknowledge_writing{in.number});
}

void session::log_exchanges(written& what, node_number n) {
  const open_proposal& open = state_.open().at(n);
  const auto before = open.said; // of an earlier life: it is in the log
  std::erase_if(what.said, [before](const model_exchange& each) { return each.said.step < before; });
  if (what.said.empty() && !what.what && state_.awaits_model(n, before)) { // nothing was asked: what was reserved is free again
    model_answered none;
    none.step = before;
    none.stop = "not asked";
    none.failure = what.failure.empty() ? none.stop : what.failure;
    what.said.push_back({{}, std::move(none)});
  }
  // Repairs first: the answer that releases what was reserved for all of them comes last, so that a log that ends between says too much, never too little.
  for (model_exchange& each : what.said) {
    each.asked.number = each.said.number = n;
    each.asked.step = each.said.step;
    each.asked.synthesizer = open.synthesizer;
    each.asked.at_ms = each.said.at_ms = now_.unix_ms;
    if (state_.awaits_model(n, each.said.step))
      continue;
    each.asked.reserved_tokens = each.said.used.input + each.said.used.output;
    each.asked.reserved_usd = each.said.cost_usd;
    append(std::move(each.asked));
  }
  for (model_exchange& each : what.said)
    if (state_.awaits_model(n, each.said.step))
      append(std::move(each.said));
}

void session::forget_askings(node_number n) {
  std::erase_if(askings_, [n](const asking& a) { return a.what.number == n; });
  std::erase_if(asked_, [n](const auto& each) { return each.first == n; });
}

void session::on(evaluated&& in) {
  if (over_ || !state_.is_open())
    return;
  auto open = state_.open().find(in.number);
  auto anchor = anchors_.find(in.number);
  if (open == state_.open().end() || anchor == anchors_.end())
    return discard(in.number, in.attempt, "nobody waits for it: already counted, withdrawn or unknown");
  if (in.attempt != state_.attempt_of(in.number))
    return discard(in.number, in.attempt, "attempt " + std::to_string(state_.attempt_of(in.number)) + " is the current one");
  if (in.what.candidate != open->second.what->id) // its lease is used up: unless it is asked again nobody ever answers
    return evaluation_fault(in.number, in.attempt, "it is of candidate " + in.what.candidate + ", not of " + open->second.what->id);
  if (in.what.result == outcome::infrastructure)
    return evaluation_fault(in.number, in.attempt, in.what.log);
  if (in.number == 0 && in.what.result != outcome::passed)
    problem_ = std::string(to_string(in.what.result)) + ": " + (in.what.correct.failed_case.empty() ? in.what.log : in.what.correct.failed_case);
  auto result = in.what.result;
  took(in.number);
  append(evaluation_recorded{in.number, in.attempt, anchor->second, std::move(in.what)});
  anchors_.erase(in.number);
  emit(memory_of(state_.nodes(), in.number, result));
  emit_durable(acknowledge{in.number, in.attempt});
}

void session::on(evaluation_failed&& in) {
  if (!over_ && state_.is_open())
    evaluation_fault(in.number, in.attempt, in.reason);
}

void session::on(late&& in) {
  if (!over_ && state_.is_open())
    append(evaluation_discarded{in.number, in.attempt, std::move(in.reason)});
}

void session::discard(node_number n, std::uint32_t attempt, std::string reason) {
  append(evaluation_discarded{n, attempt, std::move(reason)});
  emit_durable(acknowledge{n, attempt});
}

void session::evaluation_fault(node_number n, std::uint32_t attempt, const std::string& reason) {
  if (!anchors_.contains(n) || attempt != state_.attempt_of(n))
    return;
  append(evaluation_discarded{n, attempt, std::string(fault) + ": " + reason});
  emit_durable(acknowledge{n, attempt});
  anchors_.erase(n);
  auto attempts = state_.nodes()[n].attempts;
  if (attempts <= options_.infrastructure_retries)
    return request_evaluation(n);
  if (n == 0) {
    problem_ = reason;
    problem_code_ = errc::infrastructure;
  }
  close(n, std::string(fault) + ": given up after " + std::to_string(attempts) + " attempts: " + reason);
}

void session::on(verified&& in) {
  if (over_ || verifying_ != in.number || in.attempt != verify_attempt_)
    return;
  if (in.what.result == outcome::infrastructure)
    return verification_fault(in.what.log);
  if (state_.nodes().find(key_of(in.what.candidate)) != in.number)
    return verification_fault("it is of another candidate: " + in.what.candidate);
  verifying_.reset();
  verify_faults_ = 0;
  last_verify_s_ = std::max(0.0, elapsed_s(now_) - verify_began_s_);
  append(verdict_of(in.number, std::move(in.what), state_.root()->id));
}

void session::on(verification_failed&& in) {
  if (!over_ && verifying_ == in.number && in.attempt == verify_attempt_)
    verification_fault(in.reason);
}

void session::verification_fault(const std::string& reason) {
  append(evaluation_discarded{*verifying_, verify_attempt_, "verification: " + reason});
  verifying_.reset();
  goal_checked_.reset();
  ++verify_faults_;
  problem_ = reason;
}

void session::on(tick&&) {}

// ---- asking ----

void session::ask_again(node_number n) {
  if (state_.open().at(n).what)
    request_evaluation(n);
  else
    request_synthesis(n);
}

void session::request_synthesis(node_number n) {
  const auto& node = state_.nodes()[n];
  const auto& open = state_.open().at(n);
  ask_synthesis ask{n, {}, node.memory, open.results_seen, open.prior, open.synthesizer, open.unprimed};
  for (auto p : {node.parent, node.second})
    if (p != no_node)
      ask.parents.push_back(p);
  open_since_[n] = now_.steady_s;
  if (ask.synthesizer == "generator" && !is_written_elsewhere(ask.synthesizer))
    emit(std::move(ask)); // costs nothing to repeat after a crash
  else
    emit_durable(std::move(ask)); // an answer that is paid for must find its proposal
}

bool session::is_written_elsewhere(const std::string& synthesizer) const {
  const auto& settings = state_.settings();
  for (std::size_t i = 0; i < settings.written_on.size() && i < settings.synthesizers.size(); ++i)
    if (settings.synthesizers[i] == synthesizer)
      return !settings.written_on[i].empty();
  return false;
}

void session::request_evaluation(node_number n) {
  candidate_ptr anchor = state_.anchor_of(n);
  anchors_[n] = anchor ? anchor->id : "";
  open_since_.try_emplace(n, now_.steady_s);
  emit_durable(ask_evaluation{n, state_.attempt_of(n), state_.open().at(n).what, std::move(anchor), rng(state_.settings().seed, n / candidates_per_inputs, "inputs")()});
}

void session::close(node_number n, std::string reason) {
  open_since_.erase(n);
  anchors_.erase(n);
  append(proposal_closed{n, std::move(reason)});
  forget_askings(n);
}

void session::withdraw_open(const std::string& reason) {
  while (!state_.open().empty()) {
    auto n = state_.open().begin()->first;
    emit(withdraw{n});
    close(n, std::string(closed_stopped) + ": " + reason);
  }
}

void session::took(node_number n) {
  auto since = open_since_.find(n);
  if (since == open_since_.end())
    return;
  double cost = std::max(0.0, now_.steady_s - since->second);
  candidate_cost_s_ = candidate_cost_s_ == 0 ? cost : candidate_cost_s_ + cost_smoothing * (cost - candidate_cost_s_);
  open_since_.erase(since);
}

void session::verify_leader() {
  const auto& leader = *state_.leader();
  const auto& settings = state_.settings();
  double limit = settings.time_s <= 0 ? 600 : std::max(5.0, settings.time_s - elapsed_s(now_));
  verifying_ = leader.number;
  verify_attempt_ = std::max(verify_attempt_ + 1, state_.lives() * attempts_per_life);
  verify_began_s_ = elapsed_s(now_);
  emit_durable(ask_verification{leader.number, verify_attempt_, leader.what, state_.root(), settings.baselines, limit,
                                rng(settings.seed, leader.number, "verification")() + verify_attempt_});
}

void session::progress(bool force) {
  double elapsed = elapsed_s(now_);
  if (!force && elapsed - last_progress_s_ < options_.progress_period_s)
    return;
  last_progress_s_ = elapsed;
  const auto& settings = state_.settings();
  show_progress p;
  p.phase = over_ ? "done" : !state_.root_passed() ? "calibrating" : verifying_ ? "verifying" : "searching";
  p.evaluations = state_.results();
  p.evaluations_budget = settings.evaluations;
  p.outcomes = state_.outcomes();
  if (const auto& leader = state_.leader()) {
    p.best_over_root = std::exp(leader->fitness);
    p.best_latency_s = leader->latency_s;
    p.roofline_fraction = leader->roofline_fraction;
    p.best_edge = leader->edge;
  }
  p.elapsed_s = elapsed;
  p.time_left_s = settings.time_s <= 0 ? -1 : std::max(0.0, settings.time_s - elapsed);
  emit_durable(std::move(p));
}

} // namespace kevolve::search
