// Evolution: islands with bounded populations, tournament selection, crossover with a second parent of another strategy, a ring of
// migrations, and a MAP-Elites archive (Mouret and Clune 2015) with one elite per bound and strategy. Proposals go round the islands.
// Constant time per event.
#pragma once

#include "actors/policies/policy.hpp"

#include <unordered_map>

namespace kevolve::search {

struct evolve_shape {
  std::uint32_t islands = 3;
  std::uint32_t population = 16;    // per island
  std::uint32_t migrate_every = 3;  // results that passed on an island
  std::uint32_t archive = 4096;     // cells
  double crossover = 0.15;
};
/// Few islands for a short search, more for a long one.
evolve_shape shape_for(const session_settings& settings);

class evolve final : public policy {
public:
  explicit evolve(evolve_shape shape);
  void proposed(const tree& t, node_number n) override;
  void settled(const tree& t, node_number n) override;
  [[nodiscard]] std::optional<selection> select(const tree& t, node_number number, rng draw) const override;
  [[nodiscard]] std::uint64_t digest() const override;
  [[nodiscard]] std::size_t bytes() const override;
  [[nodiscard]] std::uint32_t islands() const override { return shape_.islands; }

  [[nodiscard]] const std::vector<std::vector<node_number>>& populations() const { return populations_; }
  [[nodiscard]] const std::vector<node_number>& elites() const { return elites_; }
  [[nodiscard]] std::uint32_t migrations() const { return migrations_; }

private:
  void join(const tree& t, std::vector<node_number>& population, node_number n) const;
  void remember_elite(const tree& t, node_number n);
  void take_back(const tree& t, node_number n);
  [[nodiscard]] node_number tournament(const tree& t, const std::vector<node_number>& among, unsigned rounds, rng& draw) const;
  [[nodiscard]] node_number partner(const tree& t, const std::vector<node_number>& population, node_number first, rng& draw) const;

  evolve_shape shape_;
  std::vector<std::vector<node_number>> populations_;
  std::vector<std::uint32_t> passed_;                           // per island
  std::vector<node_number> elites_;
  std::unordered_map<std::uint64_t, std::uint32_t> cell_;       // bound and strategy -> place in elites_
  std::uint32_t migrations_ = 0;
};

} // namespace kevolve::search
