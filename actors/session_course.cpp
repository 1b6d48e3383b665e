// A session's course: what to do next after every input (propose, drain, verify, end). The answers' half is session_logic.cpp.
#include "actors/ensemble.hpp"
#include "actors/fitness.hpp"
#include "actors/memory.hpp"
#include "actors/session_logic.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kevolve::search {
namespace {

constexpr double at_the_roofline = 0.95;
constexpr std::uint32_t hopeless_faults = 5;    // candidates in a row lost to infrastructure: the host is broken, not unlucky
constexpr std::uint32_t hopeless_synthesizers = 16; // proposals in a row that a synthesizer failed at: it is not there
constexpr std::uint32_t verify_tries = 2;       // of one leader, infrastructure faults only
constexpr std::uint32_t leaders_refuted = 3;    // leaders that did not hold, then the session ends without one
constexpr std::uint32_t goal_probe_after = 16;  // results after which a goal that nothing verified tells about asks for a verification
constexpr node_number afresh_every = 5;         // proposals before a first one has passed
constexpr node_number first_prior = 2;          // behind the plain loop nest and the first schedule by rules of thumb
constexpr std::size_t priors_first = 3;         // what won on like operators is tried before the search goes its own way
constexpr double slow_anchor_s = 10e-3;           // a call; fifty of them are half a second for each candidate
constexpr double verification_overdue_s = 30;   // past the session's own limit

std::uint32_t plateau_of(const session_settings& s) {
  if (s.plateau > 0)
    return s.plateau;
  return s.evaluations > 0 ? std::max(40u, s.evaluations / 4) : 100u;
}

bool goal_met(const session_state& state) {
  double goal = state.settings().goal;
  const auto& verdict = state.last_verdict();
  return goal > 0 && verdict && verdict->holds && verdict->speedup >= goal;
}

/// What won on like operators, of which the best have a turn each before the search goes its own way; null: it is nobody's turn.
const std::string* early_prior(node_number number, const std::vector<std::string>& priors) {
  const std::size_t turn = number < first_prior ? priors.size() : number - first_prior;
  return turn < std::min(priors_first, priors.size()) ? &priors[turn] : nullptr;
}

// Results that are on their way still count; after the others nobody asks for them any more.
bool drains(const std::string& why) { return why == "cost" || why == "evaluations" || why == "time" || why == "space exhausted"; }

} // namespace

void session::advance() {
  if (!state_.is_open())
    return;
  const auto& nodes = state_.nodes();
  bool root_lost = !state_.root_by_model() && !nodes.empty() && (nodes[0].status == node_status::failed || nodes[0].status == node_status::closed);
  if (root_lost && stopping_.empty())
    return end("failed", error{problem_code_, "the plain loop nest: " + (problem_.empty() ? "it did not pass" : problem_)});
  if (state_.faults_in_a_row() >= hopeless_faults)
    return end("failed", error{errc::infrastructure, std::to_string(hopeless_faults) + " candidates in a row could not be evaluated"});
  if (stopping_.empty() && state_.synthesizer_faults_in_a_row() >= hopeless_synthesizers) {
    std::string why = std::to_string(hopeless_synthesizers) + " proposals in a row came to nothing; the last one: " + problem_;
    return pause_for(why, error{errc::synthesizer, why});
  }
  if (stopping_.empty())
    stopping_ = reason_to_stop();
  if (stopping_.empty()) {
    watch_goal();
    propose();
  } else {
    stop();
  }
  if (!over_)
    progress(false);
}

std::string session::reason_to_stop() const {
  const auto& settings = state_.settings();
  if (goal_met(state_))
    return "goal";
  if (settings.evaluations > 0 && state_.results() >= settings.evaluations)
    return "evaluations";
  if (out_of_time())
    return "time";
  const auto& leader = state_.leader();
  if (leader && leader->limited_by == bound::memory && leader->roofline_fraction >= at_the_roofline)
    return "roofline";
  if (state_.root_passed() && state_.results_since_leader() >= plateau_of(settings))
    return "plateau";
  if (state_.refused_in_a_row() >= options_.refused_in_a_row)
    return "space exhausted";
  if (next_synthesizer(state_.nodes().size()).empty())
    return "cost";
  return "";
}

double session::reserve_s() const {
  const auto& settings = state_.settings();
  if (!options_.verify)
    return 0;
  if (last_verify_s_ > 0)
    return std::clamp(1.3 * last_verify_s_, 1.0, 0.4 * settings.time_s);
  if (settings.baselines.empty())
    return std::min(0.15 * settings.time_s, 8.0);
  return std::min(0.4 * settings.time_s, 20.0); // a first torch.compile takes 10-20 s
}

double session::search_ends_s() const {
  double limit = state_.settings().time_s;
  if (limit <= 0)
    return std::numeric_limits<double>::infinity();
  return state_.root_passed() ? limit - reserve_s() : limit;
}

bool session::out_of_time() const { return elapsed_s(now_) + candidate_cost_s_ >= search_ends_s(); }

// ---- proposing ----

/// Whatever is asked for now is compared with today's leader. Where that is a slow loop nest, the first schedule may be a hundred times as fast:
/// it goes alone, so that the next ones are compared with it.
bool session::waits_for_first_leader() const {
  double slowest_s = 0;
  for (const auto& [workload, latency_s] : state_.root_latency_s())
    slowest_s = std::max(slowest_s, latency_s);
  return state_.results() == 1 && slowest_s >= slow_anchor_s;
}

void session::propose() {
  const auto at_once = waits_for_first_leader() ? 1 : std::max(1u, state_.settings().in_flight);
  while (state_.open().size() < at_once && propose_one()) {
  }
}

bool session::propose_one() {
  const auto& settings = state_.settings();
  const auto& nodes = state_.nodes();
  const auto number = nodes.size();
  const bool first = number > 0 && !state_.root_passed();
  if (first && (!state_.root_by_model() || !state_.open().empty()))
    return false; // one after the other: what is said of one helps the next
  if (settings.evaluations > 0 && state_.results() + state_.open().size() >= settings.evaluations)
    return false;
  proposal_made made{number, {}, memory_operator::inherit, state_.results(), 0, "", "generator"}; // the root is the plain loop nest
  if (first) {
    made.parents = {node_to_mend()};
    made.synthesizer = next_synthesizer(number);
  } else if (number > 0) {
    if (starved_)
      return false;
    auto selected = state_.how().select(nodes, number, rng(settings.seed, number, "select"));
    if (!selected && !state_.open().empty()) {
      starved_ = true;
      return false;
    }
    if (!selected)
      selected = selection{{state_.root_number()}, 0};
    stagnation stagnates{state_.results_since_leader(), std::max(8u, plateau_of(settings) / 4)};
    const injection how{settings.injection, settings.adaptive_injection, !state_.opening().skills.empty(), options_.skills_by_p, state_.injected(), selected->island, state_.how().islands()};
    auto memory = choose_memory(nodes, selected->parents, stagnates, how, options_.priors, rng(settings.seed, number, "memory"));
    if (memory.memory == memory_operator::clean_slate)
      selected->parents.resize(1);
    made.parents = std::move(selected->parents);
    made.island = selected->island;
    made.memory = memory.memory;
    made.prior = std::move(memory.prior);
    made.unprimed = memory.unprimed;
    made.synthesizer = next_synthesizer(number);
    const bool injects = settings.injection > 0 || settings.adaptive_injection;
    if (const auto* prior = early_prior(number, options_.priors); prior && injects && made.synthesizer == "generator") {
      made.parents = {state_.root_number()};
      made.memory = memory_operator::inherit;
      made.prior = *prior;
    }
  }
  append(std::move(made));
  request_synthesis(number);
  return true;
}

/// While nothing has passed: the newest candidate that failed, so that its faults are mended; now and then none, so that another idea has its turn.
node_number session::node_to_mend() const {
  const auto& nodes = state_.nodes();
  if (nodes.size() % afresh_every == 0)
    return 0;
  for (node_number n = nodes.size(); n-- > 1;)
    if (nodes[n].status == node_status::failed)
      return n;
  return 0;
}

/// By the bandit where the settings say so, else by weight where there are weights, else in turn. What is used up is left out, and the others
/// share its turns. The bandit reads what is settled, which is in the log before the proposal is.
std::string session::next_synthesizer(node_number n) const {
  const auto& settings = state_.settings();
  std::vector<ensemble_member> left;
  for (std::size_t i = 0; i < settings.synthesizers.size(); ++i)
    if (settings.synthesizers[i] == "generator" ? !state_.root_by_model() : !state_.models_unaffordable())
      left.push_back({settings.synthesizers[i], i < settings.weights.size() ? settings.weights[i] : 1, find_record(state_.synthesizers(), settings.synthesizers[i]),
                      find_record(state_.opening().synthesizers, settings.synthesizers[i])});
  if (left.empty())
    return settings.synthesizers.empty() ? "generator" : "";
  if (settings.ensemble == ensemble_kind::bandit) {
    rng draw(settings.seed, n, "synthesizer");
    return left[draw_member(left, {}, draw)].name;
  }
  if (settings.weights.empty())
    return left[(n + left.size() - 1) % left.size()].name;
  rng draw(settings.seed, n, "synthesizer");
  return left[draw_by_weight(left, draw)].name;
}

// ---- the goal ----

std::optional<double> session::estimated_speedup() const {
  const auto& leader = state_.leader();
  if (!leader)
    return std::nullopt;
  const auto& verdict = state_.last_verdict();
  if (verdict && verdict->holds && verdict->speedup > 0)
    return verdict->speedup * std::exp(leader->fitness - state_.nodes()[verdict->number].fitness);
  return std::nullopt;
}

void session::watch_goal() {
  const auto& settings = state_.settings();
  const auto& leader = state_.leader();
  if (settings.goal <= 0 || !options_.verify || verifying_ || !leader || leader->number == 0 || goal_checked_ == leader->number ||
      verify_faults_ >= verify_tries)
    return;
  auto estimate = estimated_speedup();
  bool probe = !estimate && state_.results() >= goal_probe_after; // nothing verified to judge by, or what was did not hold
  if (probe || (estimate && *estimate >= settings.goal)) {
    goal_checked_ = leader->number;
    verify_leader();
  }
}

// ---- ending ----

void session::stop() {
  if (!state_.open().empty()) {
    if (drains(stopping_) && elapsed_s(now_) < search_ends_s())
      return;
    withdraw_open(stopping_);
  }
  const auto& settings = state_.settings();
  double left = settings.time_s <= 0 ? std::numeric_limits<double>::infinity() : settings.time_s - elapsed_s(now_);
  if (verifying_) {
    if (left < -verification_overdue_s)
      end(stopping_, error{errc::infrastructure, "the leader's verification did not come back in time"});
    return;
  }
  if (!state_.root_passed())
    return end(stopping_, error{errc::budget, "nothing passed before the session's " + stopping_ + " budget was used up"});
  const auto& verdict = state_.last_verdict();
  const auto& leader = state_.leader();
  bool known = verdict && verdict->holds && leader && (verdict->number == leader->number || stopping_ == "goal");
  bool rather_not = verdict && verdict->holds && left < reserve_s() / 2; // an older leader holds; no time to learn of a newer one
  if (!options_.verify || known || rather_not || !leader)
    return end(stopping_, std::nullopt);
  if (state_.verdicts_failed() >= leaders_refuted)
    return end(stopping_, std::nullopt);
  if (verify_faults_ >= verify_tries)
    return end(stopping_, error{errc::infrastructure, "verifying the leader: " + problem_});
  verify_leader();
}

} // namespace kevolve::search
