#include "actors/ensemble.hpp"

#include "protocol/check.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace kevolve::search {
namespace {

double normal(rng& random) {
  const double u = 1 - random.uniform(); // in (0, 1]
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * random.uniform());
}

/// Marsaglia and Tsang, ACM TOMS 26 (2000); shape of at least 1.
double gamma_of(double shape, rng& random) {
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = normal(random), v = std::pow(1 + c * x, 3);
    if (v > 0 && std::log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * std::log(v))
      return d * v;
  }
}

struct trials {
  double gains = 0, losses = 0, cost_usd = 0;
};

/// This session's trials and a few of other sessions'.
trials trials_of(const ensemble_member& m, const ensemble_rules& rules) {
  const double other = static_cast<double>(m.elsewhere.proposals);
  const double share = other > 0 ? std::min(1.0, rules.elsewhere_trials / other) : 0;
  trials t;
  t.gains = static_cast<double>(m.here.gains) + share * static_cast<double>(m.elsewhere.gains);
  t.losses = static_cast<double>(m.here.proposals) + share * other - t.gains;
  t.cost_usd = m.here.cost_usd + share * m.elsewhere.cost_usd;
  return t;
}

} // namespace

std::size_t draw_by_weight(const std::vector<ensemble_member>& members, rng& random) {
  KEVOLVE_CHECK(!members.empty());
  double total = 0;
  for (const ensemble_member& m : members)
    total += std::max(0.0, m.weight);
  double at = total * random.uniform();
  for (std::size_t i = 0; i < members.size(); ++i)
    if ((at -= std::max(0.0, members[i].weight)) < 0)
      return i;
  return 0;
}

std::size_t draw_member(const std::vector<ensemble_member>& members, const ensemble_rules& rules, rng& random) {
  KEVOLVE_CHECK(!members.empty());
  const auto usable = std::count_if(members.begin(), members.end(), [](const ensemble_member& m) { return m.weight > 0; });
  if (random.chance(rules.least_share * static_cast<double>(usable)))
    return draw_by_weight(members, random);
  std::size_t best = 0;
  double best_value = -1;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i].weight <= 0)
      continue;
    const trials t = trials_of(members[i], rules);
    const double a = gamma_of(1 + t.gains, random), b = gamma_of(1 + std::max(0.0, t.losses), random);
    const double cost = t.cost_usd / std::max(1.0, t.gains + t.losses) + rules.evaluation_usd;
    const double value = members[i].weight * a / (a + b) / cost;
    if (value > best_value)
      best = i, best_value = value;
  }
  return best;
}

synthesizer_record& record_of(std::vector<known_synthesizer>& of, const std::string& name) {
  for (known_synthesizer& each : of)
    if (each.name == name)
      return each.record;
  return of.emplace_back(known_synthesizer{name, {}}).record;
}

synthesizer_record find_record(const std::vector<known_synthesizer>& in, const std::string& name) {
  for (const known_synthesizer& each : in)
    if (each.name == name)
      return each.record;
  return {};
}

void add_records(std::vector<known_synthesizer>& to, const std::vector<known_synthesizer>& more) {
  for (const known_synthesizer& each : more) {
    synthesizer_record& r = record_of(to, each.name);
    r.proposals += each.record.proposals;
    r.passed += each.record.passed;
    r.gains += each.record.gains;
    r.cost_usd += each.record.cost_usd;
  }
}

} // namespace kevolve::search
