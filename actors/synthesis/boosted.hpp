// Gradient-boosted regression trees (Friedman 2001) for least squares: small, deterministic, no dependency. Knows nothing of kernels. Pure.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace kevolve::synthesis {

/// One inner node or leaf; a tree is a vector of them, the root first.
struct boosted_node {
  std::int32_t feature = -1;  // -1: a leaf
  std::uint32_t left = 0;     // its first child; the second comes next
  double number = 0;          // of a leaf its value; else the threshold: values up to it go left

  friend bool operator==(const boosted_node&, const boosted_node&) = default;
};

struct boosted_trees {
  double base = 0;
  std::vector<std::vector<boosted_node>> trees;

  [[nodiscard]] double predict(const std::vector<float>& row) const;
  friend bool operator==(const boosted_trees&, const boosted_trees&) = default;
};

/// Rows of equal length, each with what it should predict and how much it counts.
struct boosting_data {
  std::vector<std::vector<float>> rows;
  std::vector<double> targets;
  std::vector<double> weights;
};

struct boosting_settings {
  std::uint32_t trees = 100;
  std::uint32_t depth = 3;
  double rate = 0.1;          // share of each tree's correction that is taken
  double doubt = 10;          // rows of average weight that a leaf's mean is drawn towards 0 by
  std::uint32_t fewest = 10;  // rows in a leaf
  std::uint32_t bins = 32;    // thresholds tried for each feature: its quantiles
};

/// The same data give the same trees. No rows: no trees.
boosted_trees boost(const boosting_data& from, const boosting_settings& how = {});
/// Errors: a node that points outside of its tree or backwards, or at a feature that rows of this length do not have.
result<void> check_trees(const boosted_trees& of, std::size_t features);

template <class Inspector>
bool inspect(Inspector& f, boosted_node& x) {
  return f.object(x).fields(f.field("f", x.feature), f.field("l", x.left), f.field("n", x.number));
}
template <class Inspector>
bool inspect(Inspector& f, boosted_trees& x) {
  return f.object(x).fields(f.field("base", x.base), f.field("trees", x.trees));
}

} // namespace kevolve::synthesis
