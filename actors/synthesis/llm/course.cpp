#include "actors/synthesis/llm/course.hpp"

#include "protocol/check.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace kevolve::llm {
namespace {

using what = course_effect::what;
using effects = std::vector<course_effect>;

rate_bucket& bucket_of(course_state& state, const std::string& model, double now_s) {
  return state.buckets.try_emplace(model, make_bucket(state.rules.requests_per_minute, now_s)).first->second;
}

void fail(course_state& state, std::map<request_number, waiting_request>::iterator at, failure why, effects& out) {
  why.attempts = at->second.attempts, why.unseen_attempts = at->second.unseen;
  if (at->second.flying)
    --state.flying;
  out.push_back({what::fail, at->first, std::move(why), 0, 0});
  state.requests.erase(at);
}

/// Why nothing came of it in time: its latest failure, or that it never got its turn.
failure too_late(const course_state& state, const waiting_request& r) {
  if (r.attempts == 0)
    return {failure_kind::timeout, fmt::format("provider '{}': the deadline passed before the request got its turn (max_in_flight, rate limits)", state.provider), 0, 0};
  return {r.last.kind, r.last.message + fmt::format("; its deadline leaves no time for another attempt after {}", r.attempts), 0, 0};
}

void note_breaker(course_state& state, const attempt_end& end, double now_s, rng& random) {
  const bool down = !end.success && (end.kind == failure_kind::server || end.kind == failure_kind::network);
  const bool probe = std::exchange(state.probing, false);
  if (!down) {
    if (end.success || end.kind != failure_kind::timeout)
      state.failures_in_row = state.times_open = 0;
    return;
  }
  if (++state.failures_in_row < state.rules.breaker_failures && !probe)
    return;
  if (now_s < state.open_until_s)
    return; // it was open when this one came back
  const double open_s = std::min(state.rules.breaker_longest_s, state.rules.breaker_first_s * std::exp2(std::min(state.times_open, 16u)));
  ++state.times_open;
  state.open_until_s = now_s + open_s * (1 - 0.25 * random.uniform());
}

void ask(course_state& state, const course_event& e, double now_s, effects& out) {
  KEVOLVE_CHECK(!state.requests.contains(e.which));
  waiting_request r;
  r.model = e.model, r.tokens = e.tokens, r.deadline_s = e.deadline_s, r.billable_attempts = std::max(1u, e.billable_attempts), r.not_before_s = now_s;
  const auto at = state.requests.emplace(e.which, std::move(r)).first;
  if (state.requests.size() - state.flying > state.rules.max_queued)
    fail(state, at, {failure_kind::queue_full, fmt::format("provider '{}': {} requests wait already (max_queued)", state.provider, state.rules.max_queued), 0, 0}, out);
}

void end_attempt(course_state& state, const course_event& e, double now_s, rng& random, effects& out) {
  const auto at = state.requests.find(e.which);
  if (at == state.requests.end() || !at->second.flying)
    return; // cancelled meanwhile
  waiting_request& r = at->second;
  rate_bucket& bucket = bucket_of(state, r.model, now_s);
  note_breaker(state, e.end, now_s, random);
  note_limits(bucket, e.end.limits, now_s);
  if (e.end.success) {
    note_success(bucket, now_s);
    out.push_back({what::succeed, at->first, {}, r.attempts, r.unseen});
    --state.flying;
    state.requests.erase(at);
    return;
  }
  r.unseen += e.end.unseen;
  r.last = {e.end.kind, e.end.message, 0, 0};
  if (e.end.kind == failure_kind::rate_limit)
    note_refusal(bucket, e.end.retry_after_s, now_s);
  if (!retryable(e.end) || r.attempts > state.rules.max_retries || r.unseen >= r.billable_attempts)
    return fail(state, at, r.last, out);
  const auto delay = retry_delay(state.rules, r.attempts, e.end.retry_after_s, random);
  if (!delay)
    return fail(state, at, {r.last.kind, r.last.message + fmt::format("; it asks to wait {:.0f} s, which is more than {:.0f} s", *e.end.retry_after_s, state.rules.longest_retry_after_s), 0, 0}, out);
  r.not_before_s = now_s + *delay;
  if (r.not_before_s >= r.deadline_s)
    return fail(state, at, too_late(state, r), out);
  r.flying = false;
  --state.flying;
}

void cancel(course_state& state, request_number which, effects& out) {
  const auto at = state.requests.find(which);
  if (at == state.requests.end())
    return;
  if (at->second.flying) {
    out.push_back({what::abort, which, {}, 0, 0});
    ++at->second.unseen;
    state.probing = false;
  }
  fail(state, at, {failure_kind::cancelled, fmt::format("provider '{}': cancelled", state.provider), 0, 0}, out);
}

/// When a waiting request may go, capacity and breaker apart.
double ready_at(const course_state& state, const waiting_request& r, double now_s) {
  const auto bucket = state.buckets.find(r.model);
  return std::max(r.not_before_s, bucket == state.buckets.end() ? now_s : ready_at(bucket->second, r.tokens, now_s));
}

void give_up_late(course_state& state, double now_s, effects& out) {
  for (auto at = state.requests.begin(); at != state.requests.end();) {
    const auto next = std::next(at);
    if (!at->second.flying && at->second.deadline_s <= now_s)
      fail(state, at, too_late(state, at->second), out);
    at = next;
  }
}

void send_ready(course_state& state, double now_s, effects& out) {
  std::map<std::string, bool> blocked; // models whose earlier request waits for the bucket: later ones must not overtake it
  for (auto& [which, r] : state.requests) {
    if (state.flying >= state.rules.max_in_flight || now_s < state.open_until_s || state.probing)
      return;
    if (r.flying || r.not_before_s > now_s || blocked[r.model])
      continue;
    rate_bucket& bucket = bucket_of(state, r.model, now_s);
    if (ready_at(bucket, r.tokens, now_s) > now_s) {
      blocked[r.model] = true;
      continue;
    }
    take_one(bucket, r.tokens, now_s);
    r.flying = true;
    ++r.attempts;
    ++state.flying;
    state.probing = state.times_open > 0; // half open: one tries, the others wait for what it finds
    out.push_back({what::send, which, {}, 0, 0});
  }
}

} // namespace

bool retryable(const attempt_end& end) {
  if (end.should_retry)
    return *end.should_retry;
  return end.kind == failure_kind::rate_limit || end.kind == failure_kind::server || end.kind == failure_kind::network || end.kind == failure_kind::timeout;
}

std::optional<double> retry_delay(const course_rules& rules, std::uint32_t attempts, std::optional<double> retry_after_s, rng& random) {
  if (retry_after_s && *retry_after_s > rules.longest_retry_after_s)
    return std::nullopt;
  if (retry_after_s && *retry_after_s > 0)
    return *retry_after_s;
  const double base = std::min(rules.longest_delay_s, rules.first_delay_s * std::exp2(std::min(attempts - 1, 30u)));
  return base * (1 - 0.25 * random.uniform());
}

std::vector<course_effect> step(course_state& state, const course_event& event, double now_s, rng& random) {
  effects out;
  switch (event.kind) {
    case course_event::what::asked: ask(state, event, now_s, out); break;
    case course_event::what::cancelled: cancel(state, event.which, out); break;
    case course_event::what::ended: end_attempt(state, event, now_s, random, out); break;
    case course_event::what::tick: break;
  }
  give_up_late(state, now_s, out);
  send_ready(state, now_s, out);
  return out;
}

double next_wake(const course_state& state, double now_s) {
  double next = unlimited;
  const bool full = state.flying >= state.rules.max_in_flight || state.probing;
  for (const auto& [which, r] : state.requests) {
    if (r.flying)
      continue;
    next = std::min(next, r.deadline_s);
    if (!full)
      next = std::min(next, std::max(state.open_until_s, ready_at(state, r, now_s)));
  }
  return next;
}

} // namespace kevolve::llm
