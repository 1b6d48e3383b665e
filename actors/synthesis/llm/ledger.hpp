// What models may cost: before a request leaves, the most that it can cost is reserved; its answer settles what it did cost. Limits per session
// and per day (UTC), in tokens and USD, hold whatever happens in between, since what is not settled counts in full: a process that dies and
// folds its reservations again finds the same sums. Integers (billionths of a USD), so that sums do not depend on their order. Plain data and
// functions; whoever owns one guards it.
#pragma once

#include "actors/synthesis/llm/types.hpp"

#include <map>

namespace kevolve::llm {

struct amount {
  std::uint64_t tokens = 0;
  std::uint64_t nano_usd = 0;
  bool operator==(const amount&) const = default;
};
amount operator+(amount a, amount b);
/// Rounded up.
std::uint64_t nano_usd(double usd);

/// The most that a request can cost, over all attempts that may be billed.
amount most_cost(const request& asked);
/// What a reply cost: its usage (the most, where the provider told none), attempts that may have been billed unseen at their most, nothing for
/// an answer out of a record.
amount cost_of(const reply& got, const request& asked);

/// 0: no limit.
struct ledger_limits {
  amount session, day;
};

struct ledger {
  struct reservation {
    amount most;
    std::int64_t day = 0;
  };
  ledger_limits limits;
  std::map<std::string, amount> by_session;     // settled and reserved
  std::map<std::int64_t, amount> by_day;
  std::map<std::pair<std::string, std::string>, reservation> open; // (session, request)
};

/// Errors (errc::budget) name the limit, what is left of it and what was asked for. A request that is open already (asked again after a crash)
/// keeps its first reservation, too: both may be billed.
result<void> reserve(ledger& l, const std::string& session, const std::string& request, std::int64_t unix_ms, amount most);
/// Without looking at limits: what a log says was reserved.
void fold_reservation(ledger& l, const std::string& session, const std::string& request, std::int64_t unix_ms, amount most);
/// The reservation becomes what it did cost, on the day that it was made. Unknown ones (settled before): nothing.
void settle(ledger& l, const std::string& session, const std::string& request, amount cost);
/// Forgets days before this one.
void forget_days_before(ledger& l, std::int64_t unix_ms);

} // namespace kevolve::llm
