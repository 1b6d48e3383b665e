// One session as a state machine: inputs (answers of synthesizers and evaluators, acknowledgements of the store, the clock, a person) go
// in, effects (events to append, work to ask for, what to show) come out. Names no actor, socket or file; the session actor is a shell
// around it, the simulation drives it. One thread.
// What always holds: decisions are a function of the log's prefix and the seed (session_state.hpp is the one fold, live and on resume);
// effects that others can see leave only when every event before them is durable; each proposal's evaluation counts at most once.
#pragma once

#include "actors/session_state.hpp"
#include "protocol/event.hpp"
#include "protocol/writing.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace kevolve::search {

/// Both clocks, read once by the shell: the steady one decides, the other is for the log.
struct moment {
  double steady_s = 0;
  std::int64_t unix_ms = 0;
};

using candidate_ptr = std::shared_ptr<const candidate>;

// ---- inputs ----
/// A new session; its log is empty.
struct opened { session_opened what; };
/// The log was folded with `replay`; continue from there.
struct resumed { std::optional<budget_changed> budget = std::nullopt; /* a new one */ };
struct synthesized { node_number number = 0; candidate what; transformation edge; };
/// errc::refused: this neighbourhood has nothing new; anything else is a failure of the synthesizer.
struct synthesis_failed { node_number number = 0; error why; };
/// A synthesizer wants to ask a model: answered by permit_asking, once that is durable, or by refuse_asking. One that migrates asks once for all
/// requests of the proposal, and makes do with as little as `least`.
struct asking { model_asked what; std::optional<model_spending> least = std::nullopt; };
/// What a synthesizer that migrated came to: its requests are logged, then its candidate, or why there is none.
struct wrote { node_number number = 0; written what; std::string agent; std::uint32_t moves = 0; };
/// What the model said.
struct replied { model_answered what; };
/// `outcome::infrastructure` in it counts as evaluation_failed.
struct evaluated { node_number number = 0; std::uint32_t attempt = 0; evaluation what; };
/// An infrastructure fault: no agent, lease lost, poison. Retried, never held against the candidate.
struct evaluation_failed { node_number number = 0; std::uint32_t attempt = 0; std::string reason; };
/// The dispatcher refused a result (an old epoch, delivered twice): logged, changes nothing.
struct late { node_number number = 0; std::uint32_t attempt = 0; std::string reason; };
struct verified { node_number number = 0; std::uint32_t attempt = 0; evaluation what; };
struct verification_failed { node_number number = 0; std::uint32_t attempt = 0; std::string reason; };
/// The first `events` events of this session's log are durable.
struct stored { std::uint64_t events = 0; };
/// The store or another part that the session cannot do without failed: the session ends here, resumable.
struct broken { error why; };
/// At least every 100 ms.
struct tick {};
struct pause { std::string reason; };
struct cancel {};
/// A part was restarted by its supervisor and lost the work for these proposals: they are asked again.
struct restarted { std::string actor; std::string reason; std::vector<node_number> lost; };

using input = std::variant<opened, resumed, synthesized, synthesis_failed, asking, replied, wrote, evaluated, evaluation_failed, late, verified, verification_failed, stored,
                           broken, tick, pause, cancel, restarted>;

// ---- effects, in the order in which they are to be carried out ----
/// Append to the session's log; `position` counts from 0 and is exactly the event's index.
struct append_event { std::uint64_t position = 0; event what; };
/// Draw the context with `draw_context` (memory.hpp) from the parents' tree nodes as of `results_seen`, and ask `synthesizer` with
/// rng(seed, number, "synthesis"). Number 0 asks for the root. Also creates the tree node.
struct ask_synthesis {
  node_number number = 0;
  std::vector<node_number> parents; // one; two for a crossover; none for the root
  memory_operator memory = memory_operator::inherit;
  std::uint32_t results_seen = 0;
  std::string prior;                // one of session_options::priors, or ""
  std::string synthesizer;
  bool unprimed = false;            // without the skills that the session began with
};
/// The request may leave: that it does is in the log, with what is reserved for it.
struct permit_asking { node_number number = 0; std::uint32_t step = 0; model_spending reserved; };
/// It would pass the session's limits.
struct refuse_asking { node_number number = 0; std::uint32_t step = 0; error why; };
struct ask_evaluation { node_number number = 0; std::uint32_t attempt = 0; candidate_ptr what;
                        candidate_ptr anchor; /* null: the root */ std::uint64_t seed = 0; /* of its inputs */ };
struct ask_verification {
  node_number number = 0;
  std::uint32_t attempt = 0;
  candidate_ptr what;
  candidate_ptr root;               // the plain loop nest, as a further anchor
  std::vector<std::string> baselines;
  double limit_s = 0;               // what the session has left for it
  std::uint64_t seed = 0;
};
/// Nobody waits for this proposal's answer any more, or (`comes_back`: the session is paused) not now.
struct withdraw { node_number number = 0; bool comes_back = false; };
/// Delivered to the tree nodes of `number` and its parents: one attempt's place in history. `ordinal` counts the session's results from 1;
/// `draw_context` sees those with ordinal <= results_seen.
struct remember {
  node_number number = 0;
  std::vector<node_number> parents;
  std::uint32_t ordinal = 0;
  outcome result = outcome::passed;
  double gain = 0;                  // parent's time / this time (a clean slate's: root's); 0 where it did not pass
  double speedup = 0;               // root's time / this time; 0 where it did not pass
};
/// An evaluation was counted and is durable: its result may be acknowledged to the agent.
struct acknowledge { node_number number = 0; std::uint32_t attempt = 0; };
/// What came of `wrote` is durable: likewise.
struct acknowledge_writing { node_number number = 0; };
struct show_progress {
  std::string phase;                // "calibrating", "searching", "verifying", "done"
  std::uint32_t evaluations = 0;
  std::uint32_t evaluations_budget = 0;
  std::vector<std::pair<outcome, std::uint32_t>> outcomes;
  double best_over_root = 0;
  double best_latency_s = 0;
  double roofline_fraction = 0;
  std::string best_edge;
  double elapsed_s = 0;
  double time_left_s = 0;           // negative: no limit
};
/// The last effect of a session's life in this process. `what.stopped_by` is "paused" for one that can be resumed. `failure` says why there is
/// no result (budget: nothing passed in time; synthesizer: no plain loop nest; infrastructure; the store's own error).
struct finish { session_finished what; std::optional<leader_verified> verdict; std::optional<error> failure; };

using effect = std::variant<append_event, ask_synthesis, permit_asking, refuse_asking, ask_evaluation, ask_verification, withdraw, remember, acknowledge, acknowledge_writing, show_progress, finish>;

/// What the log and the tree nodes hear of node `n`'s counted result; the same live and when histories are rebuilt from the log.
remember memory_of(const tree& t, node_number n, outcome result);

struct session_options {
  std::vector<std::string> priors;       // names of what may be injected, best first; same list on resume where possible
  std::uint32_t infrastructure_retries = 3; // per candidate and verification, then it is given up
  std::uint32_t providers = 3;           // hosts that one proposal is tried on where a host's provider fails
  std::uint32_t refused_in_a_row = 64;   // proposals without a new candidate, in a row, that mean "space exhausted"
  double progress_period_s = 0.1;
  bool skills_by_p = false;              // a fixed p decides on skills, too (replays measure it); otherwise they are always told
  bool verify = true;                    // false: end without measuring the leader afresh (engine benchmarks)
};

class session {
public:
  explicit session(session_options options = {});

  /// Folds one event of an existing log, oldest first; afterwards step(resumed{}).
  void replay(const event& e);
  std::vector<effect> step(input in, moment now);

  [[nodiscard]] const session_state& state() const { return state_; }
  [[nodiscard]] bool over() const { return over_; }
  /// Events appended so far (durable or not) and durable ones.
  [[nodiscard]] std::uint64_t appended() const { return appended_; }
  [[nodiscard]] std::uint64_t durable() const { return durable_; }
  [[nodiscard]] double elapsed_s(moment now) const;

private:
  struct held { std::uint64_t events; effect what; };

  void on(opened&& in);
  void on(resumed&& in);
  void on(synthesized&& in);
  void on(synthesis_failed&& in);
  void on(asking&& in);
  void on(replied&& in);
  void on(wrote&& in);
  void on(evaluated&& in);
  void on(evaluation_failed&& in);
  void on(late&& in);
  void on(verified&& in);
  void on(verification_failed&& in);
  void on(stored&& in);
  void on(broken&& in);
  void on(tick&& in);
  void on(pause&& in);
  void on(cancel&& in);
  void on(restarted&& in);

  void consider_askings();                 // those that wait for others to be cheaper than reserved
  [[nodiscard]] bool affordable(model_spending what) const;
  [[nodiscard]] bool is_written_elsewhere(const std::string& synthesizer) const;
  void take_candidate(candidate_added what);
  void take_failure(node_number n, const error& why);
  void log_exchanges(written& what, node_number n);
  void forget_askings(node_number n);      // of a proposal that is answered or closed
  void pause_for(std::string reason, std::optional<error> failure);
  [[nodiscard]] std::string next_synthesizer(node_number n) const; // "": none can be asked any more
  void append(event e);                    // fold, then out
  void emit(effect e) { out_.push_back(std::move(e)); }
  void emit_durable(effect e);             // once everything appended so far is durable
  void begin();
  void ask_again(node_number n);           // an open proposal, after resume or restart
  void request_synthesis(node_number n);
  void request_evaluation(node_number n);
  void discard(node_number n, std::uint32_t attempt, std::string reason);
  void evaluation_fault(node_number n, std::uint32_t attempt, const std::string& reason);
  void verification_fault(const std::string& reason);
  void close(node_number n, std::string reason);
  void advance();                          // decide what to do next: propose, drain, verify, finish
  void propose();
  bool propose_one();
  [[nodiscard]] node_number node_to_mend() const;
  bool waits_for_first_leader() const;
  [[nodiscard]] std::string reason_to_stop() const; // "": go on
  [[nodiscard]] bool out_of_time() const;
  [[nodiscard]] std::optional<double> estimated_speedup() const;
  void watch_goal();
  void stop();                             // carry `stopping_` through: drain, verify, end
  void withdraw_open(const std::string& reason);
  void verify_leader();
  void end(std::string stopped_by, std::optional<error> failure);
  void progress(bool force);
  [[nodiscard]] double reserve_s() const;
  [[nodiscard]] double search_ends_s() const; // elapsed time at which only the verification's reserve is left
  void took(node_number n);

  session_options options_;
  session_state state_;
  std::uint64_t appended_ = 0;
  std::uint64_t durable_ = 0;
  std::deque<held> held_;
  std::vector<effect> out_;
  moment now_{};
  double began_steady_s_ = 0;              // of this life
  double spent_before_s_ = 0;              // in earlier lives, from the log
  double last_progress_s_ = -1;
  bool over_ = false;
  bool starved_ = false;                   // the policy had nothing to expand; so until something settles
  std::string stopping_;                   // why no more is proposed
  std::string problem_;                    // why the root is unusable
  errc problem_code_ = errc::synthesizer;
  std::optional<node_number> verifying_;
  std::uint32_t verify_attempt_ = 0;
  std::uint32_t verify_faults_ = 0;        // in a row
  std::optional<node_number> goal_checked_;
  double verify_began_s_ = 0;
  double last_verify_s_ = 0;               // how long the last verification took
  double candidate_cost_s_ = 0;            // running mean of wall time from proposal to result
  std::map<node_number, double> open_since_; // open proposals of this life
  std::deque<asking> askings_;              // that found no room beside those under way
  std::set<std::pair<node_number, std::uint32_t>> asked_; // models asked in this life, not answered
  std::map<node_number, std::string> anchors_; // what each open evaluation is timed against
};

} // namespace kevolve::search
