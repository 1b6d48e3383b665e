// The synthesizer that needs no LLM: operator graph -> loop nests -> schedule -> readable C++. Knows no CAF, socket or file. Printing is a
// pure function of (operator, target, schedule, tuned workloads); proposing draws only from the given rng. Any thread, one object each.
#pragma once

#include "protocol/candidate.hpp"
#include "protocol/evaluation.hpp"
#include "protocol/event.hpp"
#include "protocol/operator.hpp"
#include "protocol/rng.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kevolve::synthesis {

struct learned_policy;

/// One remembered attempt, as a memory operator selected it: what was tried, what came of it, what it gained over its own parent.
struct attempt {
  schedule printed_from;
  transformation edge;
  outcome result = outcome::passed;
  double gain = 1;           // parent's time / this time (geometric mean over workloads); 0 where it did not pass
  double fitness = 0;        // relative to the session's root: root's time / this time
  diagnosis diagnosed;
  // What a prompt shows; null in sessions that no model takes part in.
  std::shared_ptr<const candidate> written = nullptr;
  std::shared_ptr<const evaluation> evaluated = nullptr;
};

/// What a synthesizer is told: drawn by the tree node's memory operator.
struct context {
  memory_operator memory = memory_operator::inherit;
  std::string root = "the plain loop nest"; // what `fitness` is relative to, for people and prompts
  std::optional<attempt> parent;        // empty at the root and for a clean slate
  std::optional<attempt> second_parent; // crossover
  std::vector<attempt> trajectory;      // ancestors, oldest first (inherit, combined)
  std::vector<attempt> siblings;        // the parent's other children, newest first (siblings, combined)
  std::vector<schedule> priors;         // injected: leaders of like operators, skills
  std::shared_ptr<const std::vector<skill>> skills; // how transformations did in earlier sessions on like operators; null: nothing known
  std::shared_ptr<const learned_policy> learned; // ranks single transformations; null: the rules do
  std::vector<std::string> refused;     // candidate ids known to the session: proposing one again is a wasted draw
  std::function<bool(const candidate_id&)> is_known; // the same asked one by one (a session may know 100,000); empty: only `refused`
};

struct proposal {
  candidate what;
  transformation edge;
  std::vector<std::string> skipped;     // schedule steps that did not apply, each with why
};

class generator {
public:
  /// Errors name the operations that cannot be generated.
  static result<std::unique_ptr<generator>> make(const problem& subject, const target& on, const std::string& compiler);
  virtual ~generator() = default;

  /// The plain loop nest: correct, unscheduled (the first baseline and the root of the tree).
  [[nodiscard]] virtual result<proposal> root() const = 0;
  /// Prints a given schedule.
  [[nodiscard]] virtual result<proposal> print(const schedule& s, const transformation& edge) const = 0;
  /// Seconds that the cost model gives a schedule: good for ranks, not for clocks. 0: no opinion.
  [[nodiscard]] virtual double estimate(const schedule&) const { return 0; }
  /// What `propose` would try, the most wanted first, unprinted: some of it may not apply or change nothing.
  [[nodiscard]] virtual std::vector<std::pair<schedule, transformation>> moves(const context&, rng) const { return {}; }
  /// What a learned policy sees of a proposal (learned.hpp). Empty: no opinion.
  [[nodiscard]] virtual std::vector<float> describe(const attempt& /*parent*/, const schedule& /*to*/, const transformation&) const { return {}; }
  /// One new schedule: one transformation of the parent with a reason (or a crossover, a prior, a fresh start), printed. Never returns a
  /// candidate whose id is in `refused`; errc::refused when the neighbourhood is exhausted.
  [[nodiscard]] virtual result<proposal> propose(const context& given, rng draw) const = 0;
};

} // namespace kevolve::synthesis
