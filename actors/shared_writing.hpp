// Candidates that are being written on this host, each once however many leases ask for it. Pure; owned by the agent's socket thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kevolve {

class shared_writing {
public:
  using asker = std::pair<std::string, std::uint64_t>; // a lease and its epoch

  /// False: nobody writes it yet.
  bool join(const std::string& print, asker who) {
    const auto under_way = by_print_.find(print);
    if (under_way != by_print_.end())
      under_way->second.also.push_back(std::move(who));
    return under_way != by_print_.end();
  }
  void begin(const std::string& print, asker who) { by_print_[print] = {std::move(who), {}, false}; }
  /// The worker that was given `first` is done: who else asked for the same.
  std::vector<asker> end(const asker& first) {
    const auto under_way = std::find_if(by_print_.begin(), by_print_.end(), [&](const auto& each) { return each.second.first == first; });
    if (under_way == by_print_.end())
      return {};
    auto also = std::move(under_way->second.also);
    by_print_.erase(under_way);
    return also;
  }
  struct stopped {
    bool waited_along = false;    // for what another lease had begun: it is answered at once
    std::optional<asker> cancel;  // what no lease wants any more
  };
  stopped stop(const asker& who) {
    for (auto w = by_print_.begin(); w != by_print_.end(); ++w) {
      const bool along = std::erase(w->second.also, who) > 0;
      if (!along && w->second.first != who)
        continue;
      w->second.first_is_stopped = w->second.first_is_stopped || !along;
      if (!w->second.also.empty() || !w->second.first_is_stopped)
        return {along, std::nullopt}; // somebody still wants it: the work goes on
      auto first = w->second.first;
      by_print_.erase(w); // whoever asks for it now begins anew
      return {along, std::move(first)};
    }
    return {false, who};
  }
  [[nodiscard]] std::vector<std::string> prints() const {
    std::vector<std::string> all;
    for (const auto& [print, wanted] : by_print_)
      all.push_back(print);
    return all;
  }

private:
  struct wanted {
    asker first;                  // that a worker is about
    std::vector<asker> also;      // that asked for the same since
    bool first_is_stopped = false;
  };
  std::map<std::string, wanted> by_print_;
};

} // namespace kevolve
