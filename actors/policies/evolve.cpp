#include "actors/policies/evolve.hpp"

#include "actors/policies/greedy.hpp"

#include <algorithm>

namespace kevolve::search {
namespace {

// How a first parent is drawn: the rest is a plain draw from the population.
// Mostly the best of the island: with budgets of a hundred evaluations, spreading them costs more than it finds (the tests'
// landscape, 30 seeds: 0.4 instead of 0.85 loses a fifth of the log speedup at 150).
constexpr std::size_t crossing_pays = 20; // nodes that passed, before which parents have too little to combine
constexpr double from_best = 0.85;
constexpr double from_tournament = 0.07;
constexpr double from_archive = 0.04;

std::uint64_t cell_of(const tree_node& node) { return std::uint64_t{node.strategy} << 8 | static_cast<std::uint64_t>(node.limited_by); }

} // namespace

evolve_shape shape_for(const session_settings& settings) {
  evolve_shape shape;
  auto n = settings.evaluations; // splitting a budget below a few hundred costs more than it finds, see above
  if (n == 0)
    n = settings.time_s <= 0 ? 1000 : static_cast<std::uint32_t>(std::min(2.5 * settings.time_s, 1e6)); // 150 a minute
  shape.islands = n < 300 ? 1 : n < 1000 ? 2 : n < 5000 ? 4 : 8;
  return shape;
}

evolve::evolve(evolve_shape shape) : shape_(shape), populations_(shape.islands), passed_(shape.islands) {}

void evolve::proposed(const tree&, node_number) {}

void evolve::settled(const tree& t, node_number n) {
  if (t[n].status != node_status::passed)
    return take_back(t, n);
  remember_elite(t, n);
  if (n == 0 || t.passed().size() == 1) { // every island begins at the root: the first that passed
    for (auto& population : populations_)
      join(t, population, n);
    return;
  }
  auto island = t[n].island % shape_.islands;
  join(t, populations_[island], n);
  if (++passed_[island] % shape_.migrate_every == 0 && shape_.islands > 1 && !populations_[island].empty()) {
    join(t, populations_[(island + 1) % shape_.islands], populations_[island].front());
    ++migrations_;
  }
}

// Fittest first; of equals the older one, so that a copy never displaces its origin.
void evolve::join(const tree& t, std::vector<node_number>& population, node_number n) const {
  auto fitter = [&t](node_number a, node_number b) { return t[a].fitness != t[b].fitness ? t[a].fitness > t[b].fitness : a < b; };
  auto place = std::lower_bound(population.begin(), population.end(), n, fitter);
  if (place != population.end() && *place == n)
    return;
  population.insert(place, n);
  if (population.size() > shape_.population)
    population.pop_back();
}

void evolve::remember_elite(const tree& t, node_number n) {
  auto key = cell_of(t[n]);
  if (auto found = cell_.find(key); found != cell_.end()) {
    auto& elite = elites_[found->second];
    if (t[n].fitness > t[elite].fitness)
      elite = n;
  } else if (elites_.size() < shape_.archive) {
    cell_.emplace(key, static_cast<std::uint32_t>(elites_.size()));
    elites_.push_back(n);
  } else { // full: a new cell competes with an old one
    auto place = static_cast<std::uint32_t>(mix(key, n) % elites_.size());
    auto& elite = elites_[place];
    if (t[n].fitness > t[elite].fitness) {
      cell_.erase(cell_of(t[elite]));
      cell_.emplace(key, place);
      elite = n;
    }
  }
}

void evolve::take_back(const tree& t, node_number n) {
  for (auto& population : populations_)
    std::erase(population, n);
  auto found = cell_.find(cell_of(t[n]));
  if (found == cell_.end() || elites_[found->second] != n)
    return;
  auto place = found->second;
  cell_.erase(found);
  if (place + 1 != elites_.size()) {
    elites_[place] = elites_.back();
    cell_[cell_of(t[elites_[place]])] = place;
  }
  elites_.pop_back();
}

node_number evolve::tournament(const tree& t, const std::vector<node_number>& among, unsigned rounds, rng& draw) const {
  auto best = among[draw.below(among.size())];
  for (unsigned i = 1; i < rounds; ++i) {
    auto other = among[draw.below(among.size())];
    if (expansion_worth(t, other) > expansion_worth(t, best))
      best = other;
  }
  return best;
}

node_number evolve::partner(const tree& t, const std::vector<node_number>& population, node_number first, rng& draw) const {
  constexpr int tries = 3; // for one of another strategy: crossing like with like changes parameters only
  node_number other = no_node;
  for (int i = 0; i < tries; ++i) {
    auto drawn = tournament(t, draw.chance(0.5) && !elites_.empty() ? elites_ : population, 2, draw);
    if (drawn == first)
      continue;
    other = drawn;
    if (t[drawn].strategy != t[first].strategy)
      break;
  }
  return other;
}

std::optional<selection> evolve::select(const tree& t, node_number number, rng draw) const {
  auto island = number % shape_.islands;
  const auto& population = populations_[island];
  if (population.empty())
    return std::nullopt;
  selection chosen{{}, island};
  auto how = draw.uniform();
  if (how < from_best)
    chosen.parents.push_back(*std::max_element(population.begin(), population.end(), [&t](node_number a, node_number b) {
      return expansion_worth(t, a) < expansion_worth(t, b);
    }));
  else if (how < from_best + from_tournament)
    chosen.parents.push_back(tournament(t, population, 3, draw));
  else if (how < from_best + from_tournament + from_archive && !elites_.empty())
    chosen.parents.push_back(tournament(t, elites_, 2, draw));
  else
    chosen.parents.push_back(population[draw.below(population.size())]);
  if (t.passed().size() >= crossing_pays && draw.chance(shape_.crossover))
    if (auto second = partner(t, population, chosen.parents.front(), draw); second != no_node)
      chosen.parents.push_back(second);
  return chosen;
}

std::uint64_t evolve::digest() const {
  std::uint64_t digest = migrations_;
  for (const auto& population : populations_)
    for (auto n : population)
      digest = mix(digest, n);
  for (auto count : passed_)
    digest = mix(digest, count);
  for (auto n : elites_)
    digest = mix(digest, n);
  return digest;
}

std::size_t evolve::bytes() const {
  std::size_t bytes = elites_.capacity() * sizeof(node_number) + cell_.size() * 40;
  for (const auto& population : populations_)
    bytes += population.capacity() * sizeof(node_number);
  return bytes;
}

} // namespace kevolve::search
