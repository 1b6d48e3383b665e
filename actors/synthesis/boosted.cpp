#include "actors/synthesis/boosted.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kevolve::synthesis {
namespace {

/// Each feature's values as numbers of its thresholds: what a split has to count.
struct binned {
  std::vector<std::vector<float>> thresholds;       // by feature, ascending
  std::vector<std::vector<std::uint8_t>> bin;       // by feature, by row
};

binned bin_rows(const std::vector<std::vector<float>>& rows, std::uint32_t bins) {
  binned out;
  const std::size_t features = rows.front().size();
  out.thresholds.resize(features);
  out.bin.resize(features);
  for (std::size_t f = 0; f < features; ++f) {
    std::vector<float> values;
    for (const auto& row : rows)
      values.push_back(row[f]);
    std::sort(values.begin(), values.end());
    auto distinct = values;
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    auto& t = out.thresholds[f];
    if (distinct.size() <= bins)
      t.assign(distinct.begin(), distinct.end() - 1); // the largest splits nothing
    else
      for (std::uint32_t b = 1; b < bins; ++b)
        if (const float q = values[values.size() * b / bins]; (t.empty() || q > t.back()) && q < values.back())
          t.push_back(q);
    for (const auto& row : rows)
      out.bin[f].push_back(static_cast<std::uint8_t>(std::lower_bound(t.begin(), t.end(), row[f]) - t.begin()));
  }
  return out;
}

class growing {
public:
  growing(const binned& data, const std::vector<double>& residuals, const std::vector<double>& weights, const boosting_settings& how)
      : data_(data), residuals_(residuals), weights_(weights), how_(how) {}

  std::vector<boosted_node> grow() {
    std::vector<std::uint32_t> all(residuals_.size());
    std::iota(all.begin(), all.end(), 0u);
    nodes_.emplace_back();
    split(0, std::move(all), 0);
    return std::move(nodes_);
  }

private:
  struct cut {
    double gain = 1e-12;
    std::int32_t feature = -1;
    std::size_t bin = 0;
  };

  double score(double sum, double weight) const { return sum * sum / (weight + how_.doubt); }

  cut best_cut(const std::vector<std::uint32_t>& rows, double sum, double weight) const {
    cut best;
    const double whole = score(sum, weight);
    for (std::size_t f = 0; f < data_.thresholds.size(); ++f) {
      const std::size_t cuts = data_.thresholds[f].size();
      if (cuts == 0)
        continue;
      std::vector<double> sums(cuts + 1), heavy(cuts + 1);
      std::vector<std::uint32_t> counts(cuts + 1);
      for (const auto r : rows) {
        const auto b = data_.bin[f][r];
        sums[b] += residuals_[r] * weights_[r];
        heavy[b] += weights_[r];
        ++counts[b];
      }
      double left_sum = 0, left_weight = 0;
      std::uint32_t left = 0;
      for (std::size_t b = 0; b < cuts; ++b) {
        left_sum += sums[b];
        left_weight += heavy[b];
        left += counts[b];
        if (left < how_.fewest || rows.size() - left < how_.fewest)
          continue;
        const double gain = score(left_sum, left_weight) + score(sum - left_sum, weight - left_weight) - whole;
        if (gain > best.gain)
          best = {gain, static_cast<std::int32_t>(f), b};
      }
    }
    return best;
  }

  void split(std::uint32_t at, std::vector<std::uint32_t> rows, std::uint32_t depth) {
    double sum = 0, weight = 0;
    for (const auto r : rows)
      sum += residuals_[r] * weights_[r], weight += weights_[r];
    const cut best = depth < how_.depth ? best_cut(rows, sum, weight) : cut{};
    if (best.feature < 0) {
      nodes_[at].number = how_.rate * sum / (weight + how_.doubt);
      return;
    }
    const auto f = static_cast<std::size_t>(best.feature);
    const auto middle = std::stable_partition(rows.begin(), rows.end(), [&](std::uint32_t r) { return data_.bin[f][r] <= best.bin; });
    const auto left = static_cast<std::uint32_t>(nodes_.size());
    nodes_.resize(nodes_.size() + 2);
    nodes_[at] = {best.feature, left, data_.thresholds[f][best.bin]};
    split(left, {rows.begin(), middle}, depth + 1);
    split(left + 1, {middle, rows.end()}, depth + 1);
  }

  const binned& data_;
  const std::vector<double>& residuals_;
  const std::vector<double>& weights_;
  const boosting_settings& how_;
  std::vector<boosted_node> nodes_;
};

double leaf_of(const std::vector<boosted_node>& tree, const std::vector<float>& row) {
  std::size_t at = 0;
  while (tree[at].feature >= 0)
    at = tree[at].left + (row[static_cast<std::size_t>(tree[at].feature)] <= tree[at].number ? 0 : 1);
  return tree[at].number;
}

} // namespace

double boosted_trees::predict(const std::vector<float>& row) const {
  double sum = base;
  for (const auto& tree : trees)
    sum += leaf_of(tree, row);
  return sum;
}

boosted_trees boost(const boosting_data& from, const boosting_settings& how) {
  boosted_trees out;
  if (from.rows.empty())
    return out;
  auto weights = from.weights; // 1 on average, so that `doubt` counts rows
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double mean = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    mean += weights[i] * from.targets[i] / total;
    weights[i] *= static_cast<double>(weights.size()) / total;
  }
  out.base = mean;
  const binned data = bin_rows(from.rows, std::min<std::uint32_t>(how.bins, 250));
  std::vector<double> residuals;
  for (const double t : from.targets)
    residuals.push_back(t - mean);
  for (std::uint32_t t = 0; t < how.trees; ++t) {
    auto tree = growing(data, residuals, weights, how).grow();
    if (tree.size() == 1)
      break; // nothing is left to tell apart
    for (std::size_t i = 0; i < residuals.size(); ++i)
      residuals[i] -= leaf_of(tree, from.rows[i]);
    out.trees.push_back(std::move(tree));
  }
  return out;
}

result<void> check_trees(const boosted_trees& of, std::size_t features) {
  for (std::size_t t = 0; t < of.trees.size(); ++t) {
    const auto& tree = of.trees[t];
    bool sound = !tree.empty();
    for (std::size_t n = 0; sound && n < tree.size(); ++n)
      sound = std::isfinite(tree[n].number) && (tree[n].feature < 0 || (static_cast<std::size_t>(tree[n].feature) < features && tree[n].left > n && tree[n].left < tree.size() - 1));
    if (!sound)
      return error{errc::damaged, "tree " + std::to_string(t) + ": found a node that points outside of it, expected children behind their parent and features below " + std::to_string(features)};
  }
  return {};
}

} // namespace kevolve::synthesis
