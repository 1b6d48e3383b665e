#include "node-agent/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace kevolve::agent {

double median(std::span<const double> values) {
  if (values.empty())
    return 0;
  std::vector<double> v(values.begin(), values.end());
  const std::size_t half = v.size() / 2;
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(half), v.end());
  if (v.size() % 2 == 1)
    return v[half];
  return 0.5 * (v[half] + *std::max_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(half)));
}

interval median_interval(std::span<const double> values) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const std::size_t n = values.size();
  // The widest k with P(Binomial(n, 1/2) < k) <= 2.5%: the k-th smallest and k-th largest values then cover the median.
  double below = 0, term = std::pow(0.5, static_cast<double>(n));
  std::size_t k = 0;
  while (k < n && below + term <= 0.025) {
    below += term;
    term *= static_cast<double>(n - k) / static_cast<double>(k + 1);
    ++k;
  }
  if (n < 6)
    return {-infinity, infinity};
  if (n > 500) // the normal approximation, exact to a rank
    k = static_cast<std::size_t>(std::floor(0.5 * static_cast<double>(n + 1) - 0.98 * std::sqrt(static_cast<double>(n))));
  std::vector<double> v(values.begin(), values.end());
  std::sort(v.begin(), v.end());
  return {v[k - 1], v[n - k]};
}

void gain_evidence::add(double log_ratio) {
  const bool won = log_ratio > margin_; // a tie counts as lost
  for (std::size_t i = 0; i < odds_.size(); ++i)
    wealth_[i] *= 2 * (won ? odds_[i] : 1 - odds_[i]);
  ++blocks_;
}

double gain_evidence::value() const {
  double sum = 0;
  for (std::size_t i = 0; i < wealth_.size(); ++i)
    sum += share_[i] * wealth_[i];
  return sum;
}

std::vector<double> thin(std::span<const double> values, std::size_t most) {
  if (values.size() <= most)
    return {values.begin(), values.end()};
  std::vector<double> kept;
  for (std::size_t i = 0; i < most; ++i)
    kept.push_back(values[i * values.size() / most]);
  return kept;
}

double rank_correlation(std::span<const double> a, std::span<const double> b) {
  const auto ranks = [](std::span<const double> values) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return values[i] < values[j]; });
    std::vector<double> out(values.size());
    for (std::size_t i = 0; i < order.size();) {
      std::size_t end = i;
      while (end < order.size() && values[order[end]] == values[order[i]])
        ++end;
      for (std::size_t k = i; k < end; ++k)
        out[order[k]] = static_cast<double>(i + end - 1) / 2;
      i = end;
    }
    return out;
  };
  const auto x = ranks(a), y = ranks(b);
  const double middle = (static_cast<double>(x.size()) - 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - middle) * (y[i] - middle);
    xx += (x[i] - middle) * (x[i] - middle);
    yy += (y[i] - middle) * (y[i] - middle);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

double geometric_mean(std::span<const double> values) {
  double sum = 0;
  for (double v : values)
    sum += std::log(v);
  return values.empty() ? 0 : std::exp(sum / static_cast<double>(values.size()));
}

} // namespace kevolve::agent
