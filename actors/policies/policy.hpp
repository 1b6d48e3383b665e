// How the next tree node is selected. A policy's own statistics are folded from the same events as the tree and by the same calls, live and
// on resume; selecting reads them and a keyed rng, and changes nothing. One thread (its session's).
#pragma once

#include "actors/tree.hpp"
#include "protocol/event.hpp"
#include "protocol/rng.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace kevolve::search {

struct selection {
  std::vector<node_number> parents; // one; two for a crossover
  std::uint32_t island = 0;
};

class policy {
public:
  virtual ~policy() = default;
  /// A proposal was recorded: node `n` hangs under its parents, its result is open.
  virtual void proposed(const tree& t, node_number n) = 0;
  /// Its evaluation was counted (passed or not), or it was closed without one; the tree's node says which. Called again when a node that
  /// passed is taken back.
  virtual void settled(const tree& t, node_number n) = 0;
  /// Empty: nothing may be expanded before an open proposal settles (never so when none is open).
  [[nodiscard]] virtual std::optional<selection> select(const tree& t, node_number number, rng draw) const = 0;
  /// Everything that later selections depend on, mixed into one number.
  [[nodiscard]] virtual std::uint64_t digest() const = 0;
  [[nodiscard]] virtual std::size_t bytes() const = 0;
  /// Populations that are kept apart; a selection names one.
  [[nodiscard]] virtual std::uint32_t islands() const { return 1; }
};

std::unique_ptr<policy> make_policy(const session_settings& settings);

} // namespace kevolve::search
