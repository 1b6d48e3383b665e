#include "actors/policies/policy.hpp"

#include "actors/policies/evolve.hpp"
#include "actors/policies/greedy.hpp"
#include "actors/policies/mcts.hpp"
#include "protocol/check.hpp"

namespace kevolve::search {
namespace {

/// The control: any node that passed, all alike.
class uniform final : public policy {
public:
  void proposed(const tree&, node_number) override {}
  void settled(const tree&, node_number) override {}
  [[nodiscard]] std::optional<selection> select(const tree& t, node_number, rng draw) const override {
    if (t.passed().empty())
      return std::nullopt;
    return selection{{t.passed()[draw.below(t.passed().size())]}, 0};
  }
  [[nodiscard]] std::uint64_t digest() const override { return 0; }
  [[nodiscard]] std::size_t bytes() const override { return 0; }
};

} // namespace

std::unique_ptr<policy> make_policy(const session_settings& settings) {
  switch (settings.policy) {
  case policy_kind::greedy: return std::make_unique<greedy>();
  case policy_kind::mcts: return std::make_unique<mcts>();
  case policy_kind::evolve: return std::make_unique<evolve>(shape_for(settings));
  case policy_kind::random: return std::make_unique<uniform>();
  }
  KEVOLVE_CHECK(false);
}

} // namespace kevolve::search
