#include "actors/session_state.hpp"

#include "actors/ensemble.hpp"
#include "actors/fitness.hpp"
#include "protocol/check.hpp"
#include "protocol/likeness.hpp"

#include <algorithm>
#include <cmath>
#include <bit>

namespace kevolve::search {
namespace {

constexpr std::size_t former_leaders_kept = 8;
constexpr std::uint32_t attempts_per_life = 256;

std::uint32_t hash_of(std::string_view text) {
  std::uint64_t h = text.size();
  for (char c : text)
    h = mix(h, static_cast<unsigned char>(c));
  return static_cast<std::uint32_t>(h >> 32);
}

} // namespace

bool is_gain(const tree& t, node_number n) {
  const auto& node = t[n];
  if (node.status != node_status::passed || node.parent == no_node || node.error < 0)
    return false;
  const bool afresh = node.memory == memory_operator::clean_slate;
  const double from = afresh ? 0 : t[node.parent].fitness, from_error = afresh ? 0 : t[node.parent].error;
  return from_error >= 0 && node.fitness - from > 1.96 * std::hypot(node.error, from_error);
}

session_state::session_state() = default;
session_state::~session_state() = default;
session_state::session_state(session_state&&) noexcept = default;
session_state& session_state::operator=(session_state&&) noexcept = default;

void session_state::apply(const event& e) {
  std::visit([this](const auto& what) { on(what); }, e);
}

void session_state::on(const session_opened& e) {
  KEVOLVE_CHECK(!opened_);
  opened_ = e;
  policy_ = make_policy(e.settings);
  for (const auto& name : e.settings.synthesizers)
    record_of(synthesizers_, name);
  began_ms_ = last_ms_ = e.at_ms;
}

void session_state::on(const proposal_made& e) {
  KEVOLVE_CHECK(opened_ && e.number == tree_.size() && e.parents.size() <= 2);
  auto parent = e.parents.empty() ? no_node : e.parents[0];
  auto n = tree_.add(parent, e.parents.size() < 2 ? no_node : e.parents[1]);
  tree_.at(n).island = static_cast<std::uint8_t>(e.island);
  tree_.at(n).memory = e.memory;
  open_.emplace(n, open_proposal{nullptr, nullptr, {}, e.synthesizer, e.prior, e.results_seen, e.unprimed});
  policy_->proposed(tree_, n);
}

void session_state::on(const candidate_added& e) {
  auto open = open_.find(e.number);
  KEVOLVE_CHECK(open != open_.end() && !open->second.what);
  auto& node = tree_.at(e.number);
  node.key = key_of(e.what.id);
  node.strategy = hash_of(e.what.printed_from ? strategy_of(*e.what.printed_from) : std::to_string(strategy_of_sources(e.what)));
  node.status = node_status::waiting;
  tree_.index(e.number);
  open->second.what = std::make_shared<const candidate>(e.what);
  open->second.anchor = leader_ ? leader_->what : nullptr;
  open->second.edge = e.edge.summary;
  open->second.single_step = e.edge.kind != "analytic" && e.edge.kind != "prior" && e.edge.kind != "crossover" && e.edge.kind != "model" && e.edge.kind != "fresh start";
  if (e.number == 0)
    root_ = open->second.what;
  refused_in_a_row_ = 0;
  synthesizer_faults_in_a_row_ = 0;
}

void session_state::on(const proposal_closed& e) {
  auto open = open_.find(e.number);
  KEVOLVE_CHECK(open != open_.end());
  tree_.retire(e.number, node_status::closed);
  if (!e.reason.starts_with(fault) && !e.reason.starts_with(closed_unaffordable) && !e.reason.starts_with(closed_stopped))
    credit(e.number, open->second);
  open_.erase(open);
  if (e.reason.starts_with(closed_duplicate) || e.reason.starts_with(closed_nothing_new))
    ++refused_in_a_row_;
  else if (e.reason.starts_with(fault))
    ++faults_in_a_row_;
  else if (e.reason.starts_with(closed_unaffordable))
    models_unaffordable_ = true;
  else if (e.number == 0 && std::any_of(opened_->settings.synthesizers.begin(), opened_->settings.synthesizers.end(), [](const std::string& s) { return s != "generator"; }))
    root_by_model_ = true;
  else
    ++synthesizer_faults_in_a_row_;
  policy_->settled(tree_, e.number);
}

void session_state::on(const evaluation_recorded& e) {
  auto open = open_.find(e.number);
  KEVOLVE_CHECK(open != open_.end() && open->second.what && e.what.result != outcome::infrastructure);
  auto& node = tree_.at(e.number);
  ++results_;
  ++results_since_leader_;
  faults_in_a_row_ = 0;
  node.ordinal = results_;
  ++outcomes_[static_cast<std::size_t>(e.what.result)];
  node.result = e.what.result;
  node.limited_by = e.what.diagnosed.limited_by;
  cpu_s_ += e.what.stages.cpu_s;
  last_ms_ = std::max(last_ms_, e.what.at_ms);
  if (e.what.result == outcome::passed) {
    tree_.pass(e.number);
    consider_leader(e, open->second);
  } else {
    tree_.retire(e.number, node_status::failed);
  }
  learn(e, open->second);
  credit(e.number, open->second);
  open_.erase(open);
  policy_->settled(tree_, e.number);
}

// A proposal is settled: what it came to is its synthesizer's.
void session_state::credit(node_number n, const open_proposal& p) {
  if (n == 0)
    return;
  const auto& node = tree_[n];
  synthesizer_record& record = record_of(synthesizers_, p.synthesizer);
  ++record.proposals;
  const bool primed = !p.prior.empty() || (!p.unprimed && !opened_->skills.empty()), gained = node.status == node_status::passed && is_gain(tree_, n);
  ++(primed ? injected_.primed : injected_.unprimed);
  (primed ? injected_.primed_gains : injected_.unprimed_gains) += gained;
  if (node.status != node_status::passed)
    return;
  ++record.passed;
  record.gains += gained;
}

// Single transformations only: a crossover or a walk says nothing of its parts.
void session_state::learn(const evaluation_recorded& e, const open_proposal& p) {
  const auto& node = tree_[e.number];
  if (!p.single_step || node.parent == no_node || node.second != no_node)
    return;
  const auto& parent = tree_[node.parent];
  skill seen{transformation_of(p.edge), parent.limited_by, 1, 0, 0, 0};
  if (e.what.result != outcome::passed) {
    seen.failures = 1;
  } else {
    const double gain = static_cast<double>(node.fitness) - parent.fitness;
    const double noise = node.error < 0 || parent.error < 0 ? -1 : 1.96 * std::hypot(node.error, parent.error);
    seen.log_gain = gain;
    seen.wins = noise >= 0 && gain > noise ? 1 : 0;
  }
  add_evidence(learnt_, seen);
}

// Gives the node its fitness, and the session its leader where the evidence is enough.
void session_state::consider_leader(const evaluation_recorded& e, const open_proposal& p) {
  auto& node = tree_.at(e.number);
  led newcomer{e.number, p.what, 0, 0, mean_latency_s(e.what), e.what.diagnosed.roofline_fraction, e.what.diagnosed.limited_by, p.edge};
  if (e.number == 0 || (root_by_model_ && !root_)) {
    root_ = p.what;
    root_number_ = e.number;
    for (const auto& t : e.what.timings)
      root_latency_.emplace_back(t.workload, t.latency_s);
    leader_ = std::move(newcomer);
    results_since_leader_ = 0;
    return;
  }
  auto compared = e.anchor.empty() ? std::nullopt : against(e.what, e.anchor);
  auto anchor = compared ? tree_.find(key_of(e.anchor)) : no_node;
  if (anchor == no_node) { // not compared: its own clock must do, and is not evidence enough to lead
    node.fitness = static_cast<float>(log_speedup(root_latency_, e.what).value_or(0));
    node.error = -1;
    return;
  }
  newcomer.fitness = tree_[anchor].fitness + compared->log_ratio;
  newcomer.error = compared->error;
  node.fitness = static_cast<float>(newcomer.fitness);
  node.error = static_cast<float>(newcomer.error);
  if (!leader_ || compared->workloads < opened_->subject.workloads.size())
    return;
  bool leads = anchor == leader_->number ? is_better(*compared) : is_better(*compared, newcomer.fitness, leader_->fitness, leader_->error);
  if (!leads)
    return;
  former_.push_back(std::move(*leader_));
  if (former_.size() > former_leaders_kept)
    former_.erase(former_.begin() + 1); // the root stays
  leader_ = std::move(newcomer);
  results_since_leader_ = 0;
}

void session_state::on(const evaluation_discarded& e) {
  auto open = open_.find(e.number);
  if (open != open_.end() && open->second.what && e.attempt == attempt_of(e.number) && e.reason.starts_with(fault))
    ++tree_.at(e.number).attempts;
}

void session_state::on(const leader_verified& e) {
  last_ms_ = std::max(last_ms_, e.what.at_ms);
  cpu_s_ += e.what.stages.cpu_s;
  bool had_one = verdict_ && verdict_->holds;
  if (e.holds ? !had_one || e.speedup >= verdict_->speedup : !had_one)
    verdict_ = e;
  if (e.holds)
    return;
  ++verdicts_failed_;
  std::erase_if(former_, [&](const led& l) { return l.number == e.number; });
  if (leader_ && leader_->number == e.number) { // back to who led before it
    leader_.reset();
    if (!former_.empty()) {
      leader_ = std::move(former_.back());
      former_.pop_back();
    }
  }
  if (e.number != root_number_ && tree_[e.number].status == node_status::passed && is_candidate_fault(e.what.result)) {
    tree_.retire(e.number, node_status::failed);
    policy_->settled(tree_, e.number);
  }
}

void session_state::on(const session_paused& e) { last_ms_ = std::max(last_ms_, e.at_ms); }

void session_state::on(const session_resumed& e) {
  spent_ms_ += static_cast<double>(std::max<std::int64_t>(0, last_ms_ - began_ms_));
  began_ms_ = last_ms_ = e.at_ms;
  synthesizer_faults_in_a_row_ = 0; // whoever resumes it has mended what was wrong
  models_unaffordable_ = false;
  ++lives_;
}

void session_state::on(const budget_changed& e) {
  auto& settings = opened_->settings;
  if (e.evaluations > 0)
    settings.evaluations = e.evaluations;
  if (e.time_s > 0)
    settings.time_s = e.time_s;
  if (e.goal > 0)
    settings.goal = e.goal;
  models_unaffordable_ = false;
}

void session_state::on(const skills_learnt&) {}

// Asked again after a crash: the former request may have been answered and paid for, so its reservation stays.
void session_state::on(const model_asked& e) {
  models_.tokens += e.reserved_tokens;
  models_.usd += e.reserved_usd;
  reserved_[{e.number, e.step}] = {{e.reserved_tokens, e.reserved_usd}, e.synthesizer};
}

void session_state::on(const model_answered& e) {
  auto reserved = reserved_.find({e.number, e.step});
  KEVOLVE_CHECK(reserved != reserved_.end());
  models_.tokens += e.used.input + e.used.output - reserved->second.most.tokens;
  models_.usd += e.cost_usd - reserved->second.most.usd;
  record_of(synthesizers_, reserved->second.synthesizer).cost_usd += e.cost_usd;
  reserved_.erase(reserved);
  auto open = open_.find(e.number);
  if (open == open_.end())
    return;
  if (e.failure.empty())
    open->second.said = std::max(open->second.said, e.step + 1);
  else
    ++open->second.unanswered;
}

void session_state::on(const actor_restarted&) {}

void session_state::on(const session_finished& e) {
  KEVOLVE_CHECK(open_.empty());
  finished_ = e;
}

std::uint32_t session_state::attempt_of(node_number n) const { return lives_ * attempts_per_life + tree_[n].attempts; }

std::shared_ptr<const candidate> session_state::anchor_of(node_number n) const {
  if (n == 0)
    return nullptr;
  const auto& first = open_.at(n).anchor;
  if (first && std::any_of(former_.begin(), former_.end(), [&](const led& l) { return l.what == first; }))
    return first;
  return leader_ ? leader_->what : root_;
}

double session_state::spent_s() const { return spent_ms_ / 1e3; }

std::vector<std::pair<outcome, std::uint32_t>> session_state::outcomes() const {
  std::vector<std::pair<outcome, std::uint32_t>> counted;
  for (std::size_t i = 0; i < outcomes_.size(); ++i)
    if (outcomes_[i] > 0)
      counted.emplace_back(static_cast<outcome>(i), outcomes_[i]);
  return counted;
}

std::uint64_t session_state::tree_digest() const {
  std::uint64_t digest = tree_.digest();
  if (policy_)
    digest = mix(digest, policy_->digest());
  for (auto count : outcomes_)
    digest = mix(digest, count);
  if (leader_)
    digest = mix(mix(digest, leader_->number), std::bit_cast<std::uint64_t>(leader_->fitness));
  for (const auto& l : former_)
    digest = mix(digest, l.number);
  return mix(mix(digest, results_), results_since_leader_);
}

std::uint64_t session_state::digest() const {
  auto digest = tree_digest();
  for (node_number n = 0; n < tree_.size(); ++n)
    digest = mix(digest, tree_[n].attempts);
  for (const auto& [n, p] : open_)
    digest = mix(mix(digest, n), std::uint64_t{p.what != nullptr} << 32 | p.results_seen);
  digest = mix(mix(mix(digest, lives_), refused_in_a_row_), std::uint64_t{faults_in_a_row_} << 32 | verdicts_failed_);
  digest = mix(mix(mix(digest, models_.tokens), std::bit_cast<std::uint64_t>(models_.usd)), std::uint64_t{synthesizer_faults_in_a_row_} << 1 | models_unaffordable_);
  for (const auto& s : synthesizers_)
    digest = mix(mix(mix(mix(digest, s.record.proposals), s.record.passed), s.record.gains), std::bit_cast<std::uint64_t>(s.record.cost_usd));
  if (verdict_)
    digest = mix(mix(digest, verdict_->number), std::bit_cast<std::uint64_t>(verdict_->speedup));
  for (double time : {cpu_s_, spent_ms_})
    digest = mix(digest, std::bit_cast<std::uint64_t>(time));
  digest = mix(mix(digest, static_cast<std::uint64_t>(began_ms_)), static_cast<std::uint64_t>(last_ms_));
  return mix(digest, (opened_ ? 1u : 0u) | (finished_ ? 2u : 0u));
}

std::size_t session_state::bytes() const {
  return tree_.bytes() + (policy_ ? policy_->bytes() : 0) + open_.size() * (sizeof(open_proposal) + sizeof(candidate) + 64);
}

} // namespace kevolve::search
