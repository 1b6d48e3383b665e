// The course of all requests to one provider: who waits, who flies, what is tried again and when; as `step(state, event, now, rng)` with
// effects, so that every interleaving can be simulated. Retries as the vendors' SDKs do them (408, 409, 429, 5xx and connection errors;
// x-should-retry overrides; retry-after up to two minutes; else half a second doubling, less a random quarter), with a daemon's caps; a circuit
// breaker per provider; a rate bucket per model. Always: every request that was asked ends exactly once.
#pragma once

#include "actors/synthesis/llm/rate.hpp"
#include "actors/synthesis/llm/types.hpp"
#include "protocol/rng.hpp"

#include <map>

namespace kevolve::llm {

struct course_rules {
  std::uint32_t max_retries = 8;
  std::uint32_t max_in_flight = 64;
  std::uint32_t max_queued = 4096;
  std::uint32_t requests_per_minute = 0;
  double first_delay_s = 0.5;       // the SDKs'
  double longest_delay_s = 60;      // theirs is 8: they have a person waiting
  double longest_retry_after_s = 120;
  std::uint32_t breaker_failures = 5; // in a row, of servers and connections
  double breaker_first_s = 2, breaker_longest_s = 60;
};

using request_number = std::uint64_t;

/// How an attempt ended. Message and kind are empty where it succeeded.
struct attempt_end {
  bool success = false;
  failure_kind kind = failure_kind::network;
  std::string message;
  bool unseen = false;              // may be billed: the model may have begun to answer
  std::optional<bool> should_retry;
  std::optional<double> retry_after_s;
  told_limits limits;
};

struct course_event {
  enum class what : std::uint8_t { asked, cancelled, ended, tick } kind = what::tick;
  request_number which = 0;
  // asked
  std::string model;
  double tokens = 0;                // an estimate, for the token bucket
  double deadline_s = unlimited;
  std::uint32_t billable_attempts = 1;
  // ended
  attempt_end end;
};

struct course_effect {
  enum class what : std::uint8_t { send, abort, succeed, fail } kind = what::send;
  request_number which = 0;
  failure why;                      // fail
  std::uint32_t attempts = 0, unseen_attempts = 0; // succeed
};

struct waiting_request {
  std::string model;
  double tokens = 0, deadline_s = unlimited, not_before_s = 0;
  std::uint32_t billable_attempts = 1, attempts = 0, unseen = 0;
  bool flying = false;
  failure last{failure_kind::timeout, "", 0, 0}; // of its latest attempt
};

struct course_state {
  std::string provider;             // for messages
  course_rules rules;
  std::map<request_number, waiting_request> requests;
  std::map<std::string, rate_bucket> buckets; // by model
  std::uint32_t flying = 0;
  std::uint32_t failures_in_row = 0, times_open = 0;
  double open_until_s = 0;          // breaker: nothing is sent before
  bool probing = false;             // one request tries whether the provider is back
};

std::vector<course_effect> step(course_state& state, const course_event& event, double now_s, rng& random);
/// When `tick` has something to do; unlimited: not before something happens.
double next_wake(const course_state& state, double now_s);

/// Whether a failed attempt may be tried again; by kind, or as the server says.
bool retryable(const attempt_end& end);
/// Seconds until the next attempt after `attempts` of them; none: it is not worth waiting so long.
std::optional<double> retry_delay(const course_rules& rules, std::uint32_t attempts, std::optional<double> retry_after_s, rng& random);

} // namespace kevolve::llm
