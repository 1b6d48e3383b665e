// A session as a data set for training: each proposal as what was asked, what was answered, what changed, what came of it and what that is worth.
// Two views of a proposal. A *turn* is a model's, as it was sent and said, repairs included. An *edge* is any synthesizer's candidate behind the
// prompt that a model would be given for its parents alone; edges of the same parents have the same prompt, which pairs and groups need.
// Pure; any thread.
#pragma once

#include "protocol/event.hpp"

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve::scheduler {

struct chat_turn {
  std::string role;                 // system, user, assistant
  std::string content;

  friend bool operator==(const chat_turn&, const chat_turn&) = default;
};

struct trajectory_sample {
  session_id session;
  node_number number = 0;
  std::uint32_t step = 0;           // within the proposal: 0, then repairs
  bool edge = false;                // an edge; otherwise a model's turn
  std::string operator_name;
  std::string target;
  std::string hardware;
  std::string problem;              // hash of the definition and its workloads
  std::string synthesizer;
  std::string provider;             // "" where the log does not say, and for the generator
  std::string model;
  std::vector<chat_turn> prompt;    // ends with a user's turn
  std::string answer;
  candidate_id candidate;           // "": none came of it
  candidate_id parent;              // "": a clean slate
  std::string change;               // a unified diff from the parent's sources
  std::string feedback;             // what the checks or the evaluation said of it
  std::string outcome;              // an outcome's word, "refused" (by linter, compiler or printer, before an evaluation) or "duplicate"
  bool integrity_violation = false;
  bool gained = false;              // passed, and faster than what it started from by more than the noise of both
  double gain = 0;                  // the parent's time / its time (a clean slate's: the root's); 0 where either did not pass
  double over_plain = 0;            // the plain loop nest's time / its time
  double latency_s = 0;
  double plain_latency_s = 0;
  double reward = 0;
  token_counts used;
  double cost_usd = 0;

  /// May be imitated: it gained, and nobody ever found it to cheat.
  [[nodiscard]] bool positive() const { return gained && !integrity_violation; }
};

/// What an answer is worth:
///   -1.0  an integrity violation (reward_hack, quarantined), in this session or any other
///   -0.5  duplicate: nothing new
///   -0.4  refused, compile_error
///   -0.3  runtime_error, timeout
///   -0.2  incorrect_shape, incorrect_numerical, incorrect_dtype
///   0.3 + log2(gain), the logarithm between -0.3 and 3: passed; so that whatever passes is worth more than whatever does not, standing still is
///         worth what correctness is, and each doubling counts 1. `gain` is the measured ratio of times to what the answer started from; 0: there is
///         none, because that did not pass, and mending it is worth 0.3.
double reward_of(std::string_view outcome, bool integrity_violation, double gain);

/// Candidates that a session found to be integrity violations, verifications included: they are positive in no data set.
std::set<candidate_id> violations_in(const std::vector<event>& log);

/// All turns and edges of a session with an outcome of their own: faults of hosts, of providers and what was withdrawn are left out. Turns first come
/// with their proposal, then its edge; in the order of proposals. `violations`: of all sessions.
result<std::vector<trajectory_sample>> samples_of(const std::vector<event>& log, const std::set<candidate_id>& violations);

/// "rms_norm_backward_h4096" -> "rms_norm_backward": without the sizes.
std::string operator_family(std::string_view operator_name);
/// "test" for one family of operators in five, "train" for the others, by the FNV-1a hash of the family's name: sizes of one operator never part.
std::string_view split_of(std::string_view operator_name);

} // namespace kevolve::scheduler
