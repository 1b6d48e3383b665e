#include "actors/synthesis/llm/ledger.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace kevolve::llm {
namespace {

constexpr std::int64_t day_ms = 86'400'000;

std::int64_t day_of(std::int64_t unix_ms) { return unix_ms >= 0 ? unix_ms / day_ms : -((-unix_ms + day_ms - 1) / day_ms); }

amount times(amount a, std::uint64_t n) { return {a.tokens * n, a.nano_usd * n}; }
amount minus(amount a, amount b) { return {a.tokens - std::min(a.tokens, b.tokens), a.nano_usd - std::min(a.nano_usd, b.nano_usd)}; }

amount of_usage(const token_usage& used, const model_settings& model) {
  return {used.input + used.output, model.price ? nano_usd(cost_usd(used, *model.price)) : 0};
}

amount sum(const std::map<std::string, amount>& of, const std::string& key) {
  const auto at = of.find(key);
  return at == of.end() ? amount{} : at->second;
}

result<void> fits(const std::string& of, amount limit, amount taken, amount most) {
  if (limit.tokens && taken.tokens + most.tokens > limit.tokens)
    return error{errc::budget, fmt::format("the {} limit for models, {} tokens, has {} left; the next request may take {}", of, limit.tokens,
                                           limit.tokens - std::min(limit.tokens, taken.tokens), most.tokens)};
  if (limit.nano_usd && taken.nano_usd + most.nano_usd > limit.nano_usd)
    return error{errc::budget, fmt::format("the {} limit for models, {:.2f} USD, has {:.4f} left; the next request may cost {:.4f}", of, static_cast<double>(limit.nano_usd) * 1e-9,
                                           static_cast<double>(limit.nano_usd - std::min(limit.nano_usd, taken.nano_usd)) * 1e-9, static_cast<double>(most.nano_usd) * 1e-9)};
  return {};
}

} // namespace

amount operator+(amount a, amount b) { return {a.tokens + b.tokens, a.nano_usd + b.nano_usd}; }

std::uint64_t nano_usd(double usd) { return usd > 0 ? static_cast<std::uint64_t>(std::ceil(std::min(usd, 1e9) * 1e9)) : 0; }

amount most_cost(const request& asked) { return times(of_usage(most_usage(asked), asked.model), std::max(1u, asked.billable_attempts)); }

amount cost_of(const reply& got, const request& asked) {
  const amount most = of_usage(most_usage(asked), asked.model);
  if (!got)
    return times(most, got.failure().unseen_attempts);
  if (got->recorded)
    return {};
  amount cost = got->counted ? of_usage(got->used, asked.model) : most;
  if (got->cost_usd)
    cost.nano_usd = nano_usd(*got->cost_usd);
  return cost + times(most, got->unseen_attempts);
}

void fold_reservation(ledger& l, const std::string& session, const std::string& request, std::int64_t unix_ms, amount most) {
  const std::int64_t day = day_of(unix_ms);
  l.by_session[session] = l.by_session[session] + most;
  l.by_day[day] = l.by_day[day] + most;
  l.open[{session, request}] = {most, day}; // an earlier one of the same request stays in the sums for good
}

result<void> reserve(ledger& l, const std::string& session, const std::string& request, std::int64_t unix_ms, amount most) {
  const auto today = l.by_day.find(day_of(unix_ms));
  KEVOLVE_TRY_VOID(fits("session's", l.limits.session, sum(l.by_session, session), most));
  KEVOLVE_TRY_VOID(fits("day's", l.limits.day, today == l.by_day.end() ? amount{} : today->second, most));
  fold_reservation(l, session, request, unix_ms, most);
  return {};
}

void settle(ledger& l, const std::string& session, const std::string& request, amount cost) {
  const auto at = l.open.find({session, request});
  if (at == l.open.end())
    return;
  const auto [most, day] = at->second;
  l.open.erase(at);
  for (amount* total : {&l.by_session[session], &l.by_day[day]})
    *total = minus(*total, most) + cost;
}

void forget_days_before(ledger& l, std::int64_t unix_ms) {
  l.by_day.erase(l.by_day.begin(), l.by_day.lower_bound(day_of(unix_ms)));
}

} // namespace kevolve::llm
