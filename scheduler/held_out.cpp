#include "scheduler/held_out.hpp"

#include "scheduler/trajectory.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::scheduler {
namespace {

constexpr int resamplings = 2000;

double mean_of(const std::vector<double>& needed, double never, const std::vector<std::size_t>& which) {
  double sum = 0;
  for (const auto i : which)
    sum += std::min(needed[i], never);
  return sum / static_cast<double>(which.size());
}

} // namespace

bool are_related(const std::string& operator_a, const std::string& operator_b) {
  const auto a = operator_family(operator_a), b = operator_family(operator_b);
  return a.find(b) != a.npos || b.find(a) != b.npos;
}

void judge(held_out_result& of, std::uint32_t evaluations) {
  of.ratio = 1;
  of.ratio_ci95 = {};
  if (of.rows.empty())
    return;
  const auto log_ratio = [&](const held_out_row& row, const std::vector<std::size_t>& seeds) {
    return std::log(mean_of(row.learned, evaluations, seeds) / mean_of(row.rules, evaluations, seeds));
  };
  std::vector<std::size_t> all(of.rows.front().rules.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i] = i;
  double sum = 0;
  for (const auto& row : of.rows)
    sum += log_ratio(row, all);
  of.ratio = std::exp(sum / static_cast<double>(of.rows.size()));
  rng draw(1, 0, "resampling");
  std::vector<double> ratios;
  for (int i = 0; i < resamplings; ++i) {
    double drawn = 0;
    for (std::size_t r = 0; r < of.rows.size(); ++r) {
      const auto& row = of.rows[draw.below(of.rows.size())];
      auto seeds = all;
      for (auto& s : seeds)
        s = draw.below(all.size());
      drawn += log_ratio(row, seeds);
    }
    ratios.push_back(std::exp(drawn / static_cast<double>(of.rows.size())));
  }
  std::sort(ratios.begin(), ratios.end());
  of.ratio_ci95 = {ratios[resamplings / 40], ratios[resamplings - 1 - resamplings / 40]};
}

held_out_result hold_out(const std::vector<std::unique_ptr<landscape_file>>& files, const std::vector<measured_edges>& edges,
                         const std::function<std::shared_ptr<const synthesis::learned_policy>(const std::vector<const measured_edges*>&)>& learn, std::uint32_t seeds, std::uint32_t evaluations,
                         std::uint64_t first_seed, const std::function<bool(const std::string&)>& told) {
  held_out_result out;
  for (const auto& file : files) {
    if (!told(file->land.name()))
      return out;
    std::vector<const measured_edges*> others;
    std::size_t count = 0;
    for (const auto& each : edges)
      if (!each.edges.rows.empty() && !are_related(each.name, file->land.name())) {
        others.push_back(&each);
        count += each.edges.rows.size();
      }
    if (others.empty() || !file->writer)
      continue;
    search::replay_settings how;
    how.evaluations = evaluations;
    const auto rules = replay_runs(*file, file->proposals(), how, seeds, first_seed);
    how.learned = learn(others);
    const auto learned = replay_runs(*file, file->proposals(), how, seeds, first_seed);
    out.rows.push_back({file->land.name(), count, rules.needed, learned.needed});
  }
  judge(out, evaluations);
  return out;
}

} // namespace kevolve::scheduler
