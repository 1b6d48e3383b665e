#include "actors/fitness.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace kevolve::search {
namespace {

constexpr double enough_evidence = 200;          // 1 / 0.5%
constexpr double one_sided_half_percent = 2.576; // of the normal distribution
constexpr double interval_width = 2 * 1.96;      // of a 95% interval, in standard errors

// The standard error that a 95% interval of a ratio implies for its logarithm; negative where there is no interval.
double log_error(const interval& ci) {
  return ci.low > 0 && ci.high >= ci.low ? (std::log(ci.high) - std::log(ci.low)) / interval_width : -1;
}

// Averages comparisons, one per workload. Under "no faster anywhere" the mean of e-values is an e-value whatever their dependence, and so is
// the product of independent ones (the workloads' samples are); half of each keeps the false-gain rate at 1 / enough_evidence and lets a
// gain on every workload count sooner than any one of them proves it.
std::optional<advantage> combine(const std::vector<const comparison*>& all) {
  if (all.empty())
    return std::nullopt;
  advantage a;
  double variance = 0, product = 1;
  bool known = true;
  for (const auto* c : all) {
    a.log_ratio += std::log(c->ratio);
    a.e_value += c->e_value;
    product *= c->e_value;
    double error = log_error(c->ratio_ci95);
    known = known && error >= 0;
    variance += error * error;
  }
  a.workloads = all.size();
  const auto n = static_cast<double>(all.size());
  a.log_ratio /= n;
  a.e_value = all.size() == 1 ? product : (a.e_value / n + product) / 2;
  a.error = known ? std::sqrt(variance) / n : -1;
  return a;
}

const comparison* find(const workload_timing& t, std::string_view anchor) {
  for (const auto& c : t.comparisons)
    if (c.anchor == anchor && c.ratio > 0 && std::isfinite(c.ratio))
      return &c;
  return nullptr;
}

bool is_baseline(const comparison& c) { return c.anchor == "eager" || c.anchor == "compile"; }

} // namespace

std::optional<advantage> against(const evaluation& e, std::string_view anchor) {
  std::vector<const comparison*> all;
  for (const auto& t : e.timings)
    if (const auto* c = find(t, anchor))
      all.push_back(c);
  return combine(all);
}

bool is_better(const advantage& a) {
  return a.log_ratio > 0 && a.e_value >= enough_evidence;
}

bool is_better(const advantage& a, double fitness, double leader_fitness, double leader_error) {
  if (!is_better(a) || a.error < 0 || leader_error < 0)
    return false;
  return fitness - leader_fitness > one_sided_half_percent * std::hypot(a.error, leader_error);
}

double mean_latency_s(const evaluation& e) {
  double sum = 0;
  std::size_t n = 0;
  for (const auto& t : e.timings)
    if (t.latency_s > 0) {
      sum += std::log(t.latency_s);
      ++n;
    }
  return n == 0 ? 0 : std::exp(sum / static_cast<double>(n));
}

std::optional<double> log_speedup(const std::vector<std::pair<std::string, double>>& reference_s, const evaluation& e) {
  double sum = 0;
  std::size_t n = 0;
  for (const auto& t : e.timings)
    for (const auto& [workload, reference] : reference_s)
      if (workload == t.workload && reference > 0 && t.latency_s > 0) {
        sum += std::log(reference / t.latency_s);
        ++n;
        break;
      }
  if (n == 0)
    return std::nullopt;
  return sum / static_cast<double>(n);
}

leader_verified verdict_of(node_number number, evaluation e, std::string_view root) {
  leader_verified v;
  v.number = number;
  std::vector<const comparison*> best;
  std::map<std::string, std::size_t> led_by; // which baseline is the best on how many workloads
  for (const auto& t : e.timings) {
    const comparison* hardest = nullptr;
    for (const auto& c : t.comparisons)
      if (is_baseline(c) && c.ratio > 0 && std::isfinite(c.ratio) && (hardest == nullptr || c.ratio < hardest->ratio))
        hardest = &c;
    if (hardest == nullptr)
      hardest = find(t, root);
    if (hardest != nullptr) {
      best.push_back(hardest);
      ++led_by[hardest->anchor];
    }
  }
  if (auto a = combine(best)) {
    v.speedup = std::exp(a->log_ratio);
    v.speedup_ci95 = a->error < 0 ? interval{v.speedup, v.speedup} : interval{std::exp(a->low()), std::exp(a->high())};
    v.best_baseline = std::max_element(led_by.begin(), led_by.end(), [](const auto& x, const auto& y) { return x.second < y.second; })->first;
  }
  auto plain = against(e, root);
  v.holds = e.result == outcome::passed && (number == 0 || e.candidate == root || (plain && plain->log_ratio > 0));
  v.what = std::move(e);
  return v;
}

} // namespace kevolve::search
