// What models may cost on one day (UTC), over all sessions. What is under way at midnight counts for the new day in full until it is settled: its
// bill may come then. So the sum of a day is never less than what was asked for on it. Pure; whoever owns one guards it.
#pragma once

#include "protocol/model_spending.hpp"

#include <algorithm>
#include <cstdint>

namespace kevolve::scheduler {

class day_limit {
public:
  /// 0: no limit. `spent`: what the day that holds `now_ms` has cost so far.
  day_limit(model_spending most, model_spending spent, std::int64_t now_ms) : most_(most), spent_(spent), day_(now_ms / day_ms) {}

  bool reserve(std::int64_t now_ms, model_spending what) {
    if (const auto today = now_ms / day_ms; today != day_) {
      day_ = today;
      spent_ = open_;
    }
    if ((most_.tokens > 0 && spent_.tokens + what.tokens > most_.tokens) || (most_.usd > 0 && spent_.usd + what.usd > most_.usd))
      return false;
    for (model_spending* sum : {&spent_, &open_})
      sum->tokens += what.tokens, sum->usd += what.usd;
    return true;
  }
  /// What was reserved became this.
  void settle(model_spending reserved, model_spending cost) {
    for (model_spending* sum : {&spent_, &open_})
      sum->tokens -= std::min(sum->tokens, reserved.tokens), sum->usd = std::max(0.0, sum->usd - reserved.usd);
    spent_.tokens += cost.tokens, spent_.usd += cost.usd;
  }
  [[nodiscard]] const model_spending& spent() const { return spent_; }

private:
  static constexpr std::int64_t day_ms = 86'400'000;
  model_spending most_, spent_, open_;
  std::int64_t day_;
};

} // namespace kevolve::scheduler
