// A recorded search space, and searches replayed over it: what a policy or a memory operator is worth can be measured on the same ground, over
// many seeds, in seconds and without a device. Every decision is the real one (session logic, policies, memory operators, proposals); only
// compiling and measuring are looked up. Pure; any thread.
#pragma once

#include "actors/synthesis/generator.hpp"
#include "protocol/event.hpp"
#include "protocol/rng.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kevolve::search {

/// One implementation that was measured (or did not work).
struct landscape_point {
  schedule how;
  outcome result = outcome::passed;
  std::vector<double> latency_s;     // by workload; empty where it did not pass
  bound limited_by = bound::unknown;
  double roofline_fraction = 0;
};

class landscape {
public:
  landscape(std::string name, std::vector<std::string> workloads) : name_(std::move(name)), workloads_(std::move(workloads)) {}

  /// False: it is there already. The first point is the root: what every speed is measured from; it must have passed.
  bool add(landscape_point p);
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::vector<std::string>& workloads() const { return workloads_; }
  [[nodiscard]] const std::vector<landscape_point>& points() const { return points_; }
  /// Schedules that say the same have one place, in whatever order their verbs come.
  [[nodiscard]] std::optional<std::size_t> find(const schedule& how) const;
  /// log(root's time / its time), mean over workloads; empty where it did not pass.
  [[nodiscard]] std::optional<double> log_speed(std::size_t point) const;
  [[nodiscard]] double best_log_speed() const;
  /// Both passed in exactly the same time: one program's measurement that was recorded for two schedules.
  [[nodiscard]] bool same_program(std::size_t a, std::size_t b) const;

private:
  std::string name_;
  std::vector<std::string> workloads_;
  std::vector<landscape_point> points_;
  std::unordered_map<std::string, std::size_t> by_key_;
};

/// What could be tried next, the most wanted first; what the landscape does not have is passed over.
using proposal_source = std::function<std::vector<std::pair<schedule, transformation>>(const synthesis::context& given, rng draw)>;
/// For spaces of independent parameters (steps `set(name, value=…)`): the points that differ from the parent in the fewest parameters first, of
/// those in random order; before them, of two parents, mixtures.
proposal_source one_parameter_apart(const landscape& land);

struct replay_settings {
  policy_kind policy = policy_kind::evolve;
  std::uint64_t seed = 1;
  std::uint32_t evaluations = 100;
  bool sampling = false;                   // any point with equal odds instead of proposals: the baseline of every search
  std::optional<memory_operator> without;  // contexts that this one draws show nothing of the history (a clean slate: inherit instead)
  bool without_diagnosis = false;          // proposals do not hear what bounds their parent
  std::shared_ptr<const std::vector<skill>> skills; // learnt elsewhere; null: none
  std::shared_ptr<const synthesis::learned_policy> learned; // ranks proposals; null: the rules do
  std::vector<schedule> priors;             // what is injected, best first
  double injection = 0.2;                   // p of that
  bool adaptive_injection = false;          // p adapts, and decides on skills, too
  bool skills_by_p = false;                 // a fixed p decides on skills, too
  bool without_first_guess = false;        // the generator's compound first schedule is never proposed: the search has to find its own way from the root
};

struct replayed {
  std::vector<double> best;   // the best speed over the root so far, as log, after each evaluation from the first (the root's) on; shorter than asked for where the space ended
  std::vector<std::size_t> points; // of the landscape, as they were evaluated
  std::vector<skill> learnt;  // how its transformations did
};
replayed replay(const landscape& land, const proposal_source& propose, const replay_settings& how);

} // namespace kevolve::search
