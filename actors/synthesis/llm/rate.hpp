// How fast one model of one provider may be asked: a token bucket whose rate is cut in half by a refusal and grows again by successes
// (AIMD), below what the provider's headers or the settings allow. Pure: times are seconds on a monotonic clock. Owned by a course.
#pragma once

#include "actors/synthesis/llm/header_values.hpp"

#include <limits>

namespace kevolve::llm {

inline constexpr double unlimited = std::numeric_limits<double>::infinity();

struct rate_bucket {
  double ceiling = unlimited;       // requests per second, from the settings or headers
  bool fixed = false;               // the settings gave the ceiling; headers can only lower it
  double rate = unlimited;          // what is used now, at most the ceiling
  double level = 1;                 // requests that may go at once
  double token_rate = unlimited;    // tokens per second, from headers
  double token_level = unlimited;
  double blocked_until_s = 0;
  double cut_at_s = -unlimited;
  double filled_at_s = 0;
  double window_from_s = 0;         // what was sent lately: the rate that a first refusal cuts
  double window_sent = 0, last_window_rate = 0;
};

rate_bucket make_bucket(std::uint32_t requests_per_minute, double now_s);
/// When a request of so many tokens may go: now or later.
double ready_at(const rate_bucket& b, double tokens, double now_s);
void take_one(rate_bucket& b, double tokens, double now_s);
void note_limits(rate_bucket& b, const told_limits& told, double now_s);
void note_success(rate_bucket& b, double now_s);
/// A refusal for the rate; `wait_s`: what the provider asked for.
void note_refusal(rate_bucket& b, std::optional<double> wait_s, double now_s);

} // namespace kevolve::llm
