// Results that were delivered and whose acknowledgement waits for the disk, and tasks that are over but may still be heard of late. Pure; the
// dispatcher actor and the simulation keep one each. What always holds: an agent is told to forget a result only by `durable`, never
// earlier, or that it does not count by `withdrawn`; the oldest entries are forgotten beyond a bound. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace kevolve::dispatch {

/// `Origin`: who is told of a late result.
template <class Origin>
class settlements {
public:
  explicit settlements(std::size_t bound) : bound_(bound) {}

  struct entry {
    std::string agent; // "": acknowledged, or withdrawn
    std::uint64_t epoch = 0;
    Origin origin;
  };
  struct receipt { std::string agent; std::uint64_t epoch = 0; };

  void settle(const std::string& task, entry how) {
    if (entries_.insert_or_assign(task, std::move(how)).second)
      order_.push_back(task);
    while (order_.size() > bound_) {
      entries_.erase(order_.front());
      order_.pop_front();
    }
  }
  /// This very result counted and is on its way to the disk.
  [[nodiscard]] bool awaits_disk(const std::string& task, const std::string& agent, std::uint64_t epoch) const {
    auto found = entries_.find(task);
    return found != entries_.end() && found->second.epoch == epoch && found->second.agent == agent;
  }
  /// The task's result is on the disk: whom to acknowledge it to, once.
  std::optional<receipt> durable(const std::string& task) {
    auto found = entries_.find(task);
    if (found == entries_.end() || found->second.agent.empty())
      return std::nullopt;
    receipt to{std::move(found->second.agent), found->second.epoch};
    found->second.agent.clear();
    return to;
  }
  /// Nobody will count it: whom to tell so, once.
  std::optional<receipt> withdrawn(const std::string& task) { return durable(task); }
  [[nodiscard]] const Origin* origin_of(const std::string& task) const {
    auto found = entries_.find(task);
    return found == entries_.end() ? nullptr : &found->second.origin;
  }
  void forget(std::string_view prefix) {
    std::erase_if(entries_, [&](const auto& each) { return each.first.starts_with(prefix); });
  }

private:
  const std::size_t bound_;
  std::unordered_map<std::string, entry> entries_;
  std::deque<std::string> order_;
};

} // namespace kevolve::dispatch
