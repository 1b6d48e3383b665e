// The events a session is made of, as the log keeps them: the truth from which results, leaders and statistics are views. Only ever added
// to: an old event keeps its meaning for ever (new fields get defaults). Pure data; encoded by codec.hpp.
#pragma once

#include "protocol/evaluation.hpp"
#include "protocol/operator.hpp"
#include "protocol/skill.hpp"

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace kevolve {

using session_id = std::string; // "rms_norm_h4096-20261121-104512-3fa9": sortable by eye, unique per store
using node_number = std::uint32_t; // within a session: the proposal's number; 0 is the root

enum class policy_kind : std::uint8_t { greedy, mcts, evolve, random };
constexpr std::uint64_t enum_max(policy_kind) { return static_cast<std::uint64_t>(policy_kind::random); }
enum class memory_operator : std::uint8_t { inherit, siblings, combined, clean_slate };
constexpr std::uint64_t enum_max(memory_operator) { return static_cast<std::uint64_t>(memory_operator::clean_slate); }
std::string_view to_string(policy_kind p) noexcept;
std::string_view to_string(memory_operator m) noexcept;
result<policy_kind> policy_from_string(std::string_view text);

/// How a session with several synthesizers chooses who writes next: by weight (in turn where there are none), or by what each gained for its cost.
enum class ensemble_kind : std::uint8_t { weights, bandit };
constexpr std::uint64_t enum_max(ensemble_kind) { return static_cast<std::uint64_t>(ensemble_kind::bandit); }
std::string_view to_string(ensemble_kind e) noexcept;
result<ensemble_kind> ensemble_from_string(std::string_view text);

/// What came of a synthesizer's proposals, those that were settled; faults of hosts and what was withdrawn count for nobody.
struct synthesizer_record {
  std::uint64_t proposals = 0;
  std::uint64_t passed = 0;
  std::uint64_t gains = 0;          // passed, and faster than their parent by more than the noise of both
  double cost_usd = 0;              // of all its requests that were answered

  friend bool operator==(const synthesizer_record&, const synthesizer_record&) = default;
};
/// The same of other sessions, on operators of the same class (features_of).
struct known_synthesizer {
  std::string name;
  synthesizer_record record;

  friend bool operator==(const known_synthesizer&, const known_synthesizer&) = default;
};

/// Everything that decides a session's course, fixed when it opens.
struct session_settings {
  policy_kind policy = policy_kind::evolve;
  std::vector<std::string> synthesizers{"generator"};
  std::uint64_t seed = 0;
  std::uint32_t evaluations = 0;   // budget; 0: by time only
  double time_s = 60;              // budget for the whole session, verification included; 0: no limit
  double goal = 0;                 // speedup over the best baseline; 0: none
  std::uint32_t in_flight = 4;     // proposals made before their results are known, at most
  std::uint32_t plateau = 0;       // evaluations without a better leader that end it; 0: a default by budget
  double injection = 0.2;          // p with which a prior (leader, skill) is injected into a node's context
  std::vector<std::string> baselines{"eager", "compile"};
  std::string scale;               // as given by --scale, for the report
  std::vector<double> weights;     // of `synthesizers`, in their order; empty: in turn
  double model_usd = 0;            // what models may cost at most; 0: no limit
  std::uint64_t model_tokens = 0;  // read and written, at most; 0: no limit
  std::string user;                // whose it is: users share agents evenly; "": the session stands for itself
  int priority = 0;                // of its work: higher first
  ensemble_kind ensemble = ensemble_kind::weights;
  bool adaptive_injection = false; // p follows each node's stagnation and what priors did in this session; `injection` is where it begins
  std::vector<std::string> written_on; // of `synthesizers`, in their order: the label of agents that it writes on, "any" for all; "", or empty: the scheduler's own, where it has it
  std::string hosts;               // agents that may evaluate, by host_selection.hpp; "": all that have the device

  friend bool operator==(const session_settings&, const session_settings&) = default;
};

struct session_opened {
  session_id session;
  problem subject;
  target on;
  session_settings settings;
  std::string hardware;            // key of the device it optimises for
  std::int64_t at_ms = 0;
  std::vector<skill> skills;       // known for this hardware and operators of these features when it began
  std::vector<known_synthesizer> synthesizers; // likewise, where a bandit chooses among them
  std::string policy_model;        // learned, that ranks the generator's proposals (actors/synthesis/learned.hpp); "": the rules do
  std::vector<std::pair<std::string, schedule>> priors; // what may be injected, best first, by name: "leader:<candidate>"; what won elsewhere is adapted to this operator
};

/// A proposal was decided on: everything that the decision read is either in the log before this event or here.
struct proposal_made {
  node_number number = 0;
  std::vector<node_number> parents; // empty for the root; two for a crossover
  memory_operator memory = memory_operator::inherit;
  std::uint32_t results_seen = 0;   // evaluations that the policy had seen
  std::uint32_t island = 0;
  std::string prior;                // what was injected: "leader:<candidate>", "skill:<id>", or ""
  std::string synthesizer;
  bool unprimed = false;            // skills were kept from it
};

/// A synthesizer answered a proposal with a new candidate (kept content-addressed in the same transaction).
struct candidate_added {
  node_number number = 0;
  candidate what;                   // sources are stored once per candidate id
  transformation edge;
  std::string agent;                // that it was written on; "": in the scheduler
  std::uint32_t moves = 0;          // agents that had it before and gave nothing
};

/// A proposal that brought no candidate: duplicate, refused by a check, or a failed synthesizer. It cost no evaluation.
struct proposal_closed {
  node_number number = 0;
  std::string reason;
};

/// An attempt's result counted. At most one per (number, attempt) is ever accepted.
struct evaluation_recorded {
  node_number number = 0;
  std::uint32_t attempt = 0;
  std::string anchor;               // candidate id of the anchor it was timed against
  evaluation what;
};

/// A result that came too late, twice, or without a valid lease: logged, never counted.
struct evaluation_discarded {
  node_number number = 0;
  std::uint32_t attempt = 0;
  std::string reason;
};

/// A leader measured afresh against every baseline, in fresh processes with fresh seeds.
struct leader_verified {
  node_number number = 0;
  bool holds = false;               // correct on fresh seeds, within the physics gate, and faster than the plain loop nest
  evaluation what;                  // timings[].comparisons name the baselines
  double speedup = 0;               // geometric mean over workloads against the best baseline of each
  interval speedup_ci95;
  std::string best_baseline;        // "eager", "compile", or the root's candidate id where there is no PyTorch
};

struct session_paused { std::string reason; std::int64_t at_ms = 0; };
struct session_resumed { std::int64_t at_ms = 0; };
/// Supervision: an actor threw and was restarted from the log.
struct actor_restarted { std::string actor; std::string reason; };
struct session_finished {
  std::string stopped_by;           // goal, evaluations, time, plateau, roofline, space exhausted, cancelled, failed
  std::string error;                // when it failed
  double wall_s = 0;
  double cpu_s = 0;
  std::int64_t at_ms = 0;
};

/// What a session that ends saw of each transformation it tried.
struct skills_learnt {
  std::string features; // of its operator
  std::vector<skill> what;
  std::int64_t at_ms = 0;
};

/// A person changed the budget of a session that goes on. All of them count from the session's beginning, earlier lives included; 0: unchanged.
struct budget_changed {
  std::uint32_t evaluations = 0;
  double time_s = 0;
  double goal = 0;
  std::int64_t at_ms = 0;
};

/// How much a model read and wrote. `input` counts every token it read, cached ones included; `output` every one it wrote, reasoning included.
struct token_counts {
  std::uint64_t input = 0;
  std::uint64_t cached_input = 0;   // of `input`: read from the provider's cache
  std::uint64_t output = 0;
  std::uint64_t reasoning = 0;      // of `output`: not part of the answer's text

  friend bool operator==(const token_counts&, const token_counts&) = default;
};

/// A model is about to be asked for proposal `number`: durable before the request leaves. Without an answer it counts as spent in full.
struct model_asked {
  node_number number = 0;
  std::uint32_t step = 0;           // within the proposal: 0, then repairs
  std::string synthesizer;          // as in proposal_made
  std::string model;                // as its provider calls it
  std::string role;                 // "propose" or "repair"
  std::string instructions;         // what stands above the conversation
  std::vector<std::string> turns;   // the conversation: the first is ours, then in turn the model's and ours
  std::uint64_t reserved_tokens = 0; // at most what it can cost
  double reserved_usd = 0;
  std::int64_t at_ms = 0;
  std::string provider;             // who sells the model, as the settings call it; "": logged before this was
};

/// What the model said, or why it said nothing.
struct model_answered {
  node_number number = 0;
  std::uint32_t step = 0;
  std::string text;
  std::string reasoning;            // where the provider shows it
  std::string stop;                 // "end", "length", "refusal", …
  std::string failure;              // "" where it answered
  token_counts used;
  double cost_usd = 0;
  double seconds = 0;
  std::uint32_t attempts = 1;       // requests that were sent
  std::string request;              // the provider's name for it
  std::int64_t at_ms = 0;
};

using event = std::variant<session_opened, proposal_made, candidate_added, proposal_closed, evaluation_recorded, evaluation_discarded,
                           leader_verified, session_paused, session_resumed, actor_restarted, session_finished, budget_changed,
                           skills_learnt, model_asked, model_answered>;

/// The tag on disk, by the variant's index; never reordered, only appended.
std::string_view kind_of(const event& e) noexcept;

/// How many of its fields are written: those that no one set and that came later are left out, so that older settings keep their bytes.
inline std::size_t written_fields(const session_settings& x) {
  if (!x.hosts.empty())
    return 20;
  if (!x.written_on.empty())
    return 19;
  if (x.adaptive_injection)
    return 18;
  if (x.ensemble != ensemble_kind::weights)
    return 17;
  return x.weights.empty() && x.model_usd == 0 && x.model_tokens == 0 && x.user.empty() && x.priority == 0 ? 11 : 16;
}

inline std::size_t written_fields(const session_opened& x) {
  if (!x.priors.empty())
    return 10;
  if (!x.policy_model.empty())
    return 9;
  if (!x.synthesizers.empty())
    return 8;
  return x.skills.empty() ? 6 : 7;
}

/// The first `written_fields` of these; all are read.
template <std::size_t N, class Inspector, class T, class Fields>
bool first_fields(Inspector& f, T& x, const Fields& all) {
  if constexpr (!Inspector::is_loading && N > 1)
    if (written_fields(x) < N)
      return first_fields<N - 1>(f, x, all);
  return [&]<std::size_t... I>(std::index_sequence<I...>) { return f.object(x).fields(std::get<I>(all)...); }(std::make_index_sequence<N>());
}
template <class Inspector, class T, class... Fields>
bool written_first(Inspector& f, T& x, const std::tuple<Fields...>& all) {
  return first_fields<sizeof...(Fields)>(f, x, all);
}

template <class Inspector>
bool inspect(Inspector& f, session_settings& x) {
  return written_first(f, x, std::tuple(f.field("policy", x.policy), f.field("synthesizers", x.synthesizers), f.field("seed", x.seed), f.field("evaluations", x.evaluations), f.field("time_s", x.time_s),
                                        f.field("goal", x.goal), f.field("in_flight", x.in_flight), f.field("plateau", x.plateau), f.field("injection", x.injection), f.field("baselines", x.baselines),
                                        f.field("scale", x.scale), f.field("weights", x.weights), f.field("model_usd", x.model_usd), f.field("model_tokens", x.model_tokens), f.field("user", x.user),
                                        f.field("priority", x.priority), f.field("ensemble", x.ensemble), f.field("adaptive_injection", x.adaptive_injection), f.field("written_on", x.written_on),
                                        f.field("hosts", x.hosts)));
}
template <class Inspector>
bool inspect(Inspector& f, synthesizer_record& x) {
  return f.object(x).fields(f.field("proposals", x.proposals), f.field("passed", x.passed), f.field("gains", x.gains), f.field("cost_usd", x.cost_usd));
}
template <class Inspector>
bool inspect(Inspector& f, known_synthesizer& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("record", x.record));
}
template <class Inspector>
bool inspect(Inspector& f, session_opened& x) {
  return written_first(f, x, std::tuple(f.field("session", x.session), f.field("subject", x.subject), f.field("on", x.on), f.field("settings", x.settings), f.field("hardware", x.hardware),
                                        f.field("at_ms", x.at_ms), f.field("skills", x.skills), f.field("synthesizers", x.synthesizers), f.field("policy_model", x.policy_model),
                                        f.field("priors", x.priors)));
}
template <class Inspector>
bool inspect(Inspector& f, proposal_made& x) {
  if constexpr (!Inspector::is_loading)
    if (!x.unprimed) // as it was while skills went into every context
      return f.object(x).fields(f.field("number", x.number), f.field("parents", x.parents), f.field("memory", x.memory),
                                f.field("results_seen", x.results_seen), f.field("island", x.island), f.field("prior", x.prior),
                                f.field("synthesizer", x.synthesizer));
  return f.object(x).fields(f.field("number", x.number), f.field("parents", x.parents), f.field("memory", x.memory),
                            f.field("results_seen", x.results_seen), f.field("island", x.island), f.field("prior", x.prior),
                            f.field("synthesizer", x.synthesizer), f.field("unprimed", x.unprimed));
}
template <class Inspector>
bool inspect(Inspector& f, candidate_added& x) {
  if constexpr (!Inspector::is_loading)
    if (x.agent.empty() && x.moves == 0) // as it was while all was written in the scheduler
      return f.object(x).fields(f.field("number", x.number), f.field("what", x.what), f.field("edge", x.edge));
  return f.object(x).fields(f.field("number", x.number), f.field("what", x.what), f.field("edge", x.edge), f.field("agent", x.agent), f.field("moves", x.moves));
}
template <class Inspector>
bool inspect(Inspector& f, proposal_closed& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("reason", x.reason));
}
template <class Inspector>
bool inspect(Inspector& f, evaluation_recorded& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("attempt", x.attempt), f.field("anchor", x.anchor),
                            f.field("what", x.what));
}
template <class Inspector>
bool inspect(Inspector& f, evaluation_discarded& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("attempt", x.attempt), f.field("reason", x.reason));
}
template <class Inspector>
bool inspect(Inspector& f, leader_verified& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("holds", x.holds), f.field("what", x.what),
                            f.field("speedup", x.speedup), f.field("speedup_ci95", x.speedup_ci95),
                            f.field("best_baseline", x.best_baseline));
}
template <class Inspector>
bool inspect(Inspector& f, session_paused& x) {
  return f.object(x).fields(f.field("reason", x.reason), f.field("at_ms", x.at_ms));
}
template <class Inspector>
bool inspect(Inspector& f, session_resumed& x) {
  return f.object(x).fields(f.field("at_ms", x.at_ms));
}
template <class Inspector>
bool inspect(Inspector& f, skills_learnt& x) {
  return f.object(x).fields(f.field("features", x.features), f.field("what", x.what), f.field("at_ms", x.at_ms));
}
template <class Inspector>
bool inspect(Inspector& f, token_counts& x) {
  return f.object(x).fields(f.field("input", x.input), f.field("cached_input", x.cached_input), f.field("output", x.output),
                            f.field("reasoning", x.reasoning));
}
template <class Inspector>
bool inspect(Inspector& f, model_asked& x) {
  if constexpr (!Inspector::is_loading)
    if (x.provider.empty()) // as it was before providers were named
      return f.object(x).fields(f.field("number", x.number), f.field("step", x.step), f.field("synthesizer", x.synthesizer), f.field("model", x.model),
                                f.field("role", x.role), f.field("instructions", x.instructions), f.field("turns", x.turns),
                                f.field("reserved_tokens", x.reserved_tokens), f.field("reserved_usd", x.reserved_usd), f.field("at_ms", x.at_ms));
  return f.object(x).fields(f.field("number", x.number), f.field("step", x.step), f.field("synthesizer", x.synthesizer), f.field("model", x.model),
                            f.field("role", x.role), f.field("instructions", x.instructions), f.field("turns", x.turns),
                            f.field("reserved_tokens", x.reserved_tokens), f.field("reserved_usd", x.reserved_usd), f.field("at_ms", x.at_ms),
                            f.field("provider", x.provider));
}
template <class Inspector>
bool inspect(Inspector& f, model_answered& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("step", x.step), f.field("text", x.text), f.field("reasoning", x.reasoning),
                            f.field("stop", x.stop), f.field("failure", x.failure), f.field("used", x.used), f.field("cost_usd", x.cost_usd),
                            f.field("seconds", x.seconds), f.field("attempts", x.attempts), f.field("request", x.request), f.field("at_ms", x.at_ms));
}
template <class Inspector>
bool inspect(Inspector& f, budget_changed& x) {
  return f.object(x).fields(f.field("evaluations", x.evaluations), f.field("time_s", x.time_s), f.field("goal", x.goal), f.field("at_ms", x.at_ms));
}
template <class Inspector>
bool inspect(Inspector& f, actor_restarted& x) {
  return f.object(x).fields(f.field("actor", x.actor), f.field("reason", x.reason));
}
template <class Inspector>
bool inspect(Inspector& f, session_finished& x) {
  return f.object(x).fields(f.field("stopped_by", x.stopped_by), f.field("error", x.error), f.field("wall_s", x.wall_s),
                            f.field("cpu_s", x.cpu_s), f.field("at_ms", x.at_ms));
}

} // namespace kevolve
