// The candidates of a session in the order of its log: appended by the session's actor, read as a prefix by its synthesizers, which must not
// propose one again. A proposal sees exactly those before it in the log, so asking again gives the same answer. Thread-safe.
#pragma once

#include "protocol/candidate.hpp"

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace kevolve::actors {

class known_candidates {
public:
  void add(const candidate_id& id) {
    std::lock_guard lock(mutex_);
    ids_.push_back(id);
  }
  [[nodiscard]] std::uint32_t size() const {
    std::lock_guard lock(mutex_);
    return static_cast<std::uint32_t>(ids_.size());
  }
  [[nodiscard]] std::vector<candidate_id> first(std::uint32_t count) const {
    std::lock_guard lock(mutex_);
    return {ids_.begin(), ids_.begin() + std::min<std::ptrdiff_t>(count, static_cast<std::ptrdiff_t>(ids_.size()))};
  }

private:
  mutable std::mutex mutex_;
  std::vector<candidate_id> ids_;
};

} // namespace kevolve::actors
