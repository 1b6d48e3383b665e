// The candidates of a session in the order of its log: added by the session's actor, asked about by its synthesizers, which must not propose one
// again. A proposal sees exactly those before it in the log, so asking again gives the same answer. Thread-safe; constant time.
#pragma once

#include "actors/tree.hpp"
#include "protocol/candidate.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kevolve::actors {

class known_candidates {
public:
  void add(const candidate_id& id) {
    std::lock_guard lock(mutex_);
    place_.try_emplace(search::key_of(id), static_cast<std::uint32_t>(place_.size()));
  }
  /// The newest candidate's likeness (protocol/likeness.hpp).
  void add_likeness(std::uint64_t likeness) {
    std::lock_guard lock(mutex_);
    like_.try_emplace(likeness, static_cast<std::uint32_t>(place_.size()) - 1);
  }
  [[nodiscard]] std::uint32_t size() const {
    std::lock_guard lock(mutex_);
    return static_cast<std::uint32_t>(place_.size());
  }
  /// It is one of the first `count` that were added.
  [[nodiscard]] bool among_first(const candidate_id& id, std::uint32_t count) const {
    std::lock_guard lock(mutex_);
    auto found = place_.find(search::key_of(id));
    return found != place_.end() && found->second < count;
  }

  /// One of the first `count` differs in names and layout only.
  [[nodiscard]] bool like_among_first(std::uint64_t likeness, std::uint32_t count) const {
    std::lock_guard lock(mutex_);
    auto found = like_.find(likeness);
    return found != like_.end() && found->second < count;
  }

  /// What it knows of the first `count`, for a synthesizer that leaves: ids (half of each) and likenesses, oldest first.
  struct exported {
    std::vector<std::array<std::uint64_t, 2>> ids;
    std::vector<std::uint64_t> likenesses;
  };
  [[nodiscard]] exported first(std::uint32_t count) const {
    std::lock_guard lock(mutex_);
    return {ordered<std::array<std::uint64_t, 2>>(place_, count, [](const search::candidate_key& key) { return key.words; }),
            ordered<std::uint64_t>(like_, count, [](std::uint64_t likeness) { return likeness; })};
  }

private:
  template <class Value, class Places, class Take>
  static std::vector<Value> ordered(const Places& all, std::uint32_t count, Take take) {
    std::vector<std::pair<std::uint32_t, Value>> found;
    for (const auto& [key, place] : all)
      if (place < count)
        found.emplace_back(place, take(key));
    std::sort(found.begin(), found.end());
    std::vector<Value> values;
    for (const auto& each : found)
      values.push_back(each.second);
    return values;
  }

  struct spread {
    std::size_t operator()(const search::candidate_key& key) const noexcept { return key.words[0]; } // of a SHA-256: uniform already
  };
  mutable std::mutex mutex_;
  std::unordered_map<search::candidate_key, std::uint32_t, spread> place_;
  std::unordered_map<std::uint64_t, std::uint32_t> like_;
};

} // namespace kevolve::actors
