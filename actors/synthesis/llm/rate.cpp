#include "actors/synthesis/llm/rate.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::llm {
namespace {

constexpr double window_s = 10;
constexpr double slowest = 1.0 / 60;      // a request a minute: slower would look like a hang
constexpr double increase = 0.1;          // requests per second, gained per second of success; of fast rates, a tenth
constexpr double cut_every_s = 1;         // refusals of one burst are one sign
constexpr double burst_s = 1;             // who asks for less patience refuses a burst, not a rate: waiting is enough
constexpr double longest_block_s = 120;   // a header may not stop us for longer

/// What an idle bucket may hold: a second's worth, so that a full minute's limit does not go in one burst.
double burst(const rate_bucket& b) { return std::max(1.0, b.rate); }

void fill(rate_bucket& b, double now_s) {
  const double passed = std::max(0.0, now_s - b.filled_at_s);
  b.filled_at_s = std::max(b.filled_at_s, now_s);
  if (std::isfinite(b.rate))
    b.level = std::min(burst(b), b.level + b.rate * passed);
  if (std::isfinite(b.token_rate))
    b.token_level = std::min(b.token_rate * 60, b.token_level + b.token_rate * passed);
  if (now_s - b.window_from_s >= window_s) {
    b.last_window_rate = b.window_sent / (now_s - b.window_from_s);
    b.window_from_s = now_s;
    b.window_sent = 0;
  }
}

} // namespace

rate_bucket make_bucket(std::uint32_t requests_per_minute, double now_s) {
  rate_bucket b;
  if (requests_per_minute)
    b.ceiling = b.rate = requests_per_minute / 60.0, b.fixed = true;
  b.filled_at_s = b.window_from_s = now_s;
  return b;
}

double ready_at(const rate_bucket& from, double tokens, double now_s) {
  rate_bucket b = from;
  fill(b, now_s);
  double at = std::max(now_s, b.blocked_until_s);
  if (std::isfinite(b.rate) && b.level < 1)
    at = std::max(at, now_s + (1 - b.level) / b.rate);
  if (std::isfinite(b.token_rate)) {
    const double needed = std::min(tokens, b.token_rate * 60); // what is larger than a minute's limit waits for all of it
    if (b.token_level < needed)
      at = std::max(at, now_s + (needed - b.token_level) / b.token_rate);
  }
  return at;
}

void take_one(rate_bucket& b, double tokens, double now_s) {
  fill(b, now_s);
  if (std::isfinite(b.rate))
    b.level -= 1;
  if (std::isfinite(b.token_rate))
    b.token_level -= std::min(tokens, b.token_rate * 60);
  ++b.window_sent;
}

void note_limits(rate_bucket& b, const told_limits& told, double now_s) {
  fill(b, now_s);
  if (told.requests.limit) {
    b.ceiling = b.fixed ? std::min(b.ceiling, *told.requests.limit / 60) : *told.requests.limit / 60;
    if (!std::isfinite(b.rate)) {
      b.rate = b.ceiling;
      b.level = burst(b);
    }
    b.rate = std::min(b.rate, b.ceiling);
  }
  if (told.tokens.limit) {
    if (!std::isfinite(b.token_rate))
      b.token_level = *told.tokens.limit;
    b.token_rate = *told.tokens.limit / 60;
    if (told.tokens.remaining)
      b.token_level = std::min(b.token_level, *told.tokens.remaining);
  }
  for (const told_limit& l : {told.requests, told.tokens})
    if (l.remaining && *l.remaining < 1 && l.reset_s)
      b.blocked_until_s = std::max(b.blocked_until_s, now_s + std::min(*l.reset_s, longest_block_s));
}

void note_success(rate_bucket& b, double now_s) {
  fill(b, now_s);
  if (std::isfinite(b.rate)) // one success of many a second adds its share of a second's increase
    b.rate = std::min(b.ceiling, b.rate + increase * std::max(1.0, b.rate) / std::max(b.rate, increase));
}

void note_refusal(rate_bucket& b, std::optional<double> wait_s, double now_s) {
  fill(b, now_s);
  if (wait_s)
    b.blocked_until_s = std::max(b.blocked_until_s, now_s + std::min(*wait_s, longest_block_s));
  if (now_s - b.cut_at_s < cut_every_s || (wait_s && *wait_s < burst_s))
    return;
  b.cut_at_s = now_s;
  const double current = now_s - b.window_from_s > 1 ? b.window_sent / (now_s - b.window_from_s) : b.window_sent;
  const double rate = std::isfinite(b.rate) ? b.rate : std::max({current, b.last_window_rate, 1.0});
  b.rate = std::max(std::min(slowest, b.ceiling), rate / 2);
  b.level = std::min(b.level, burst(b));
}

} // namespace kevolve::llm
