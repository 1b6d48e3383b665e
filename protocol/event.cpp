#include "protocol/event.hpp"

#include <array>

namespace kevolve {

std::string_view to_string(policy_kind p) noexcept {
  switch (p) {
    case policy_kind::greedy: return "greedy";
    case policy_kind::mcts: return "mcts";
    case policy_kind::evolve: return "evolve";
    case policy_kind::random: return "random";
  }
  return "unknown";
}

std::string_view to_string(memory_operator m) noexcept {
  switch (m) {
    case memory_operator::inherit: return "inherit";
    case memory_operator::siblings: return "siblings";
    case memory_operator::combined: return "combined";
    case memory_operator::clean_slate: return "clean_slate";
  }
  return "unknown";
}

result<policy_kind> policy_from_string(std::string_view text) {
  for (auto p : {policy_kind::greedy, policy_kind::mcts, policy_kind::evolve, policy_kind::random})
    if (to_string(p) == text)
      return p;
  return error{errc::usage, "policy '" + std::string(text) + "': expected greedy, mcts, evolve or random"};
}

std::string_view to_string(ensemble_kind e) noexcept { return e == ensemble_kind::bandit ? "bandit" : "weights"; }

result<ensemble_kind> ensemble_from_string(std::string_view text) {
  for (auto e : {ensemble_kind::weights, ensemble_kind::bandit})
    if (to_string(e) == text)
      return e;
  return error{errc::usage, "ensemble '" + std::string(text) + "': expected weights or bandit"};
}

std::string_view kind_of(const event& e) noexcept {
  static constexpr std::array<std::string_view, std::variant_size_v<event>> kinds{
    "session_opened",  "proposal_made",  "candidate_added", "proposal_closed", "evaluation_recorded", "evaluation_discarded",
    "leader_verified", "session_paused", "session_resumed", "actor_restarted", "session_finished",
    "budget_changed",  "skills_learnt",  "model_asked",     "model_answered"};
  return kinds[e.index()];
}

} // namespace kevolve
