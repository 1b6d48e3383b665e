// The statistics of timing, distribution-free throughout: medians with intervals from order statistics (David and Nagaraja, Order
// Statistics, 7.1), and evidence for "faster" that stays valid however often one looks: a test martingale on the signs of paired log
// ratios (Shafer 2021; Ramdas et al. 2023). Noise of timings is skewed, heavy-tailed and drifts; of it we assume only that, in a block
// whose order is drawn at random, a candidate that is not faster wins with probability at most one half. Pure; any thread.
#pragma once

#include "protocol/evaluation.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace kevolve::agent {

/// Of a copy; 0 of nothing. Even counts: the mean of the middle two.
double median(std::span<const double> values);

/// An interval that covers the median with probability at least 95% for independent values of any distribution. Below 6 values there is
/// none: [-inf, inf].
interval median_interval(std::span<const double> values);

/// Evidence that a median log ratio exceeds a margin. Each block multiplies the wealth of a gambler who bets on its sign; under "not
/// faster" the expected wealth never grows, so by Ville's inequality it reaches 200 at any time with probability at most 0.5%.
class gain_evidence {
public:
  /// `margin`: gains below it are not worth being called gains. A systematic difference between two processes that run the same code
  /// (placement of stacks and code in memory) does not average out and must stay below it.
  explicit gain_evidence(double margin) : margin_(margin) { wealth_.fill(1); }
  void add(double log_ratio);
  [[nodiscard]] double value() const;
  [[nodiscard]] std::uint32_t blocks() const { return blocks_; }

  static constexpr double better = 200; // false-gain rate 0.5%

private:
  // Winning probabilities bet on, with the share of the stake each starts with: most on clear gains, where most tests end.
  static constexpr std::array<double, 5> odds_{0.60, 0.70, 0.80, 0.90, 0.98};
  static constexpr std::array<double, 5> share_{0.10, 0.15, 0.20, 0.25, 0.30};
  double margin_;
  std::array<double, 5> wealth_;
  std::uint32_t blocks_ = 0;
};

/// At most `most` of the values, evenly spread in time.
std::vector<double> thin(std::span<const double> values, std::size_t most = 64);

/// Spearman's: the correlation of ranks, ties sharing their mean rank. 0 where there is nothing to correlate. Sizes are equal.
double rank_correlation(std::span<const double> a, std::span<const double> b);

/// Of positive values; 0 of nothing.
double geometric_mean(std::span<const double> values);

} // namespace kevolve::agent
