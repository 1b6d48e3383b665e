// A session's tree as numbers: one compact record per proposal, links by number, no strings. The root is number 0. Folded from events by
// session_state; read by policies. One thread.
#pragma once

#include "protocol/evaluation.hpp"
#include "protocol/event.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

namespace kevolve::search {

inline constexpr node_number no_node = std::numeric_limits<node_number>::max();

/// A candidate's identity in 16 bytes: the first half of its SHA-256.
struct candidate_key {
  std::array<std::uint64_t, 2> words{};
  friend bool operator==(const candidate_key&, const candidate_key&) = default;
};
candidate_key key_of(std::string_view id) noexcept;

/// For digests and hashes of states: order matters.
constexpr std::uint64_t mix(std::uint64_t digest, std::uint64_t value) noexcept {
  std::uint64_t z = (digest ^ value) * 0x9e3779b97f4a7c15ull + 0x632be59bd9b4e019ull;
  z = (z ^ (z >> 32)) * 0xd6e8feb86659fd93ull;
  return z ^ (z >> 29);
}
constexpr std::uint64_t mix_real(std::uint64_t digest, float value) noexcept {
  return mix(digest, std::bit_cast<std::uint32_t>(value));
}

enum class node_status : std::uint8_t {
  proposed, // a synthesizer is asked
  waiting,  // has a candidate; its evaluation is open
  passed,
  failed,   // evaluated, did not pass (or is quarantined): stays as history, is never expanded
  closed,   // brought no candidate, or was given up: cost no evaluation
};

struct tree_node {
  candidate_key key;
  node_number parent = no_node;
  node_number second = no_node;     // crossover
  std::uint32_t children = 0;       // ever proposed
  std::uint32_t live_children = 0;  // proposed, waiting or passed
  std::uint32_t attempts = 0;       // infrastructure faults so far
  std::uint32_t ordinal = 0;        // 1 + count of results before its own; 0: none yet
  std::uint32_t strategy = 0;       // hash of its strategy
  float fitness = 0;                // log(root's time / its time), geometric mean over workloads
  float error = 0;                  // standard error of the log ratio to its own anchor
  std::uint16_t generation = 0;
  std::uint8_t island = 0;
  node_status status = node_status::proposed;
  bound limited_by = bound::unknown;
  outcome result = outcome::infrastructure;
  memory_operator memory = memory_operator::inherit;
};

/// Numbers are dense from 0.
class tree {
public:
  [[nodiscard]] node_number size() const { return static_cast<node_number>(nodes_.size()); }
  [[nodiscard]] bool empty() const { return nodes_.empty(); }
  [[nodiscard]] const tree_node& operator[](node_number n) const { return nodes_[n]; }
  tree_node& at(node_number n) { return nodes_[n]; }
  /// Appends the next node under `parent` (no_node: the root).
  node_number add(node_number parent, node_number second);
  /// Its evaluation passed: from now on it may be expanded.
  void pass(node_number n);
  /// A node left the live ones (failed or closed); one that had passed is taken back (rare, linear in the tree).
  void retire(node_number n, node_status as);
  /// Nodes that passed, in the order in which they did.
  [[nodiscard]] const std::vector<node_number>& passed() const { return passed_; }

  /// The node with this candidate, or no_node. Constant time.
  [[nodiscard]] node_number find(const candidate_key& key) const;
  void index(node_number n);

  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] std::uint64_t digest() const;

private:
  void grow();
  std::vector<tree_node> nodes_;
  std::vector<node_number> passed_;
  std::vector<node_number> slots_; // open addressing, a power of two, at most half full
  std::size_t indexed_ = 0;
};

} // namespace kevolve::search
