// What a session has become: the fold of its events and nothing else, so that a state rebuilt from the log equals the one that wrote it
// (equal digests). Holds statistics and the few candidates that are still needed; histories live in the tree-node actors. One thread.
#pragma once

#include "actors/injection.hpp"
#include "actors/policies/policy.hpp"
#include "actors/tree.hpp"
#include "protocol/event.hpp"
#include "protocol/model_spending.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kevolve::search {

/// A candidate that leads or led: what a verification falls back on.
struct led {
  node_number number = 0;
  std::shared_ptr<const candidate> what;
  double fitness = 0;
  double error = 0;
  double latency_s = 0;             // geometric mean over workloads
  double roofline_fraction = 0;
  bound limited_by = bound::unknown;
  std::string edge;
};

struct open_proposal {
  std::shared_ptr<const candidate> what; // null until it arrived
  std::shared_ptr<const candidate> anchor; // the leader when it arrived
  std::string edge;
  std::string synthesizer;
  std::string prior;
  std::uint32_t results_seen = 0;
  bool unprimed = false;
  bool single_step = false;              // its edge is one transformation
  std::uint32_t said = 0;                // steps of it that a model answered: the next one's number
  std::uint32_t unanswered = 0;          // requests that came to nothing
};

/// How reasons of proposal_closed and evaluation_discarded begin: the fold reads them.
inline constexpr std::string_view closed_duplicate = "duplicate";
inline constexpr std::string_view closed_nothing_new = "nothing new";
inline constexpr std::string_view fault = "infrastructure";
inline constexpr std::string_view closed_unaffordable = "budget";
inline constexpr std::string_view closed_stopped = "stopped";

/// Passed, and faster than what it started from (its first parent; the root where it was a clean slate) by more than the noise of both, at 95%.
bool is_gain(const tree& t, node_number n);

class session_state {
public:
  session_state();
  ~session_state();
  session_state(session_state&&) noexcept;
  session_state& operator=(session_state&&) noexcept;

  /// The one fold. An event that breaks the log's own rules is our bug: check.
  void apply(const event& e);
  /// Equal states have equal digests.
  [[nodiscard]] std::uint64_t digest() const;
  /// The same without times, attempts and lives: equal for an interrupted and an uninterrupted run with the same results.
  [[nodiscard]] std::uint64_t tree_digest() const;

  [[nodiscard]] bool is_open() const { return opened_.has_value(); }
  [[nodiscard]] const session_opened& opening() const { return *opened_; }
  [[nodiscard]] const session_settings& settings() const { return opened_->settings; }
  [[nodiscard]] const tree& nodes() const { return tree_; }
  [[nodiscard]] const policy& how() const { return *policy_; }
  /// Counted evaluations, and by outcome.
  [[nodiscard]] std::uint32_t results() const { return results_; }
  [[nodiscard]] std::vector<std::pair<outcome, std::uint32_t>> outcomes() const;
  /// Open proposals by number, with what is known of each.
  [[nodiscard]] const std::map<node_number, open_proposal>& open() const { return open_; }
  [[nodiscard]] const std::optional<led>& leader() const { return leader_; }
  /// Earlier leaders, newest last, at most eight.
  [[nodiscard]] const std::vector<led>& former_leaders() const { return former_; }
  [[nodiscard]] const std::shared_ptr<const candidate>& root() const { return root_; }
  /// No generator can write this operator for this target, and there are models: the root is the first of their candidates that passes.
  [[nodiscard]] bool root_by_model() const { return root_by_model_; }
  [[nodiscard]] node_number root_number() const { return root_number_; }
  [[nodiscard]] bool root_passed() const { return !tree_.empty() && root_ && tree_[root_number_].status == node_status::passed; }
  /// Root's latency per workload, in the problem's order of first appearance.
  [[nodiscard]] const std::vector<std::pair<std::string, double>>& root_latency_s() const { return root_latency_; }
  [[nodiscard]] std::uint32_t results_since_leader() const { return results_since_leader_; }
  [[nodiscard]] std::uint32_t refused_in_a_row() const { return refused_in_a_row_; }
  [[nodiscard]] const std::optional<leader_verified>& last_verdict() const { return verdict_; }
  /// Verdicts that did not hold.
  [[nodiscard]] std::uint32_t verdicts_failed() const { return verdicts_failed_; }
  /// Candidates given up for infrastructure faults since the last result that counted.
  [[nodiscard]] std::uint32_t faults_in_a_row() const { return faults_in_a_row_; }
  [[nodiscard]] const std::optional<session_finished>& ending() const { return finished_; }
  /// Proposals in a row for which a synthesizer failed (a refused or repeated candidate is no failure).
  [[nodiscard]] std::uint32_t synthesizer_faults_in_a_row() const { return synthesizer_faults_in_a_row_; }
  [[nodiscard]] const model_spending& spent_on_models() const { return models_; }
  /// Asked, and not answered: by this life or an earlier one.
  [[nodiscard]] bool awaits_model(node_number n, std::uint32_t step) const { return reserved_.contains({n, step}); }
  /// A model could not be asked within the session's limits.
  [[nodiscard]] bool models_unaffordable() const { return models_unaffordable_; }
  /// What came of each synthesizer's proposals, in the settings' order; the root, which nobody chose, is none of them.
  [[nodiscard]] const std::vector<known_synthesizer>& synthesizers() const { return synthesizers_; }
  /// What came of proposals with and without what other sessions learnt.
  [[nodiscard]] const injection_record& injected() const { return injected_; }
  /// What its edges say of each transformation so far.
  [[nodiscard]] const std::vector<skill>& learnt() const { return learnt_; }
  /// Grows with each resume or restart: attempts of an earlier life are never current.
  [[nodiscard]] std::uint32_t lives() const { return lives_; }
  [[nodiscard]] std::uint32_t attempt_of(node_number n) const;
  /// What an open proposal's candidate is timed against, null for the root: the leader when it arrived, so that an answer which outlived its session's scheduler still fits the question. Unless that was disqualified since.
  [[nodiscard]] std::shared_ptr<const candidate> anchor_of(node_number n) const;
  [[nodiscard]] double spent_s() const; // wall time of earlier lives, from the log's own times
  [[nodiscard]] double cpu_s() const { return cpu_s_; }
  [[nodiscard]] std::size_t bytes() const;

private:
  void on(const session_opened& e);
  void on(const proposal_made& e);
  void on(const candidate_added& e);
  void on(const proposal_closed& e);
  void on(const evaluation_recorded& e);
  void on(const evaluation_discarded& e);
  void on(const leader_verified& e);
  void on(const session_paused& e);
  void on(const session_resumed& e);
  void on(const actor_restarted& e);
  void on(const session_finished& e);
  void on(const budget_changed& e);
  void on(const skills_learnt& e);
  void on(const model_asked& e);
  void on(const model_answered& e);
  void learn(const evaluation_recorded& e, const open_proposal& p);
  void consider_leader(const evaluation_recorded& e, const open_proposal& p);
  void credit(node_number n, const open_proposal& p);

  std::optional<session_opened> opened_;
  tree tree_;
  std::unique_ptr<policy> policy_;
  std::map<node_number, open_proposal> open_;
  std::optional<led> leader_;
  std::vector<led> former_;
  std::shared_ptr<const candidate> root_;
  node_number root_number_ = 0;
  bool root_by_model_ = false;
  std::vector<std::pair<std::string, double>> root_latency_;
  std::array<std::uint32_t, enum_max(outcome{}) + 1> outcomes_{};
  std::uint32_t results_ = 0;
  std::uint32_t results_since_leader_ = 0;
  std::uint32_t refused_in_a_row_ = 0;
  std::optional<leader_verified> verdict_;
  std::uint32_t verdicts_failed_ = 0;
  std::uint32_t faults_in_a_row_ = 0;
  std::uint32_t synthesizer_faults_in_a_row_ = 0;
  model_spending models_;
  struct reservation {
    model_spending most;
    std::string synthesizer;
  };
  std::map<std::pair<node_number, std::uint32_t>, reservation> reserved_; // asked, not answered
  std::vector<known_synthesizer> synthesizers_;
  injection_record injected_;
  bool models_unaffordable_ = false;
  std::optional<session_finished> finished_;
  std::vector<skill> learnt_;
  std::uint32_t lives_ = 0;
  double cpu_s_ = 0;
  double spent_ms_ = 0;
  std::int64_t began_ms_ = 0;
  std::int64_t last_ms_ = 0;
};

} // namespace kevolve::search
