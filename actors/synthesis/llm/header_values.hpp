// What response headers say about limits and retries, in all the forms that vendors use. Pure. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve::llm {

struct header {
  std::string name; // lower case
  std::string value;
};
using headers = std::vector<header>;
const std::string* find_header(const headers& in, std::string_view name);

/// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110) and "2026-11-27T12:00:00Z", "…+02:00" (RFC 3339) as Unix seconds.
std::optional<double> http_date(std::string_view text);
std::optional<double> rfc3339(std::string_view text);
/// "6m0s", "12ms", "1h2m3.5s", and plain seconds: what `x-ratelimit-reset-*` holds. Seconds.
std::optional<double> duration_value(std::string_view text);

/// `retry-after-ms`, else `retry-after` in seconds or as a date; never negative.
std::optional<double> retry_after_s(const headers& in, double unix_now_s);
/// `x-should-retry: true|false`.
std::optional<bool> should_retry(const headers& in);
/// `x-request-id` or `request-id`; at most 200 printable bytes.
std::string request_id(const headers& in);

/// One limit as the provider sees it; unknown where it said nothing (Azure says -1 or 0).
struct told_limit {
  std::optional<double> limit, remaining, reset_s;
  bool operator==(const told_limit&) const = default;
};
struct told_limits {
  told_limit requests, tokens;
  bool operator==(const told_limits&) const = default;
};
/// OpenAI's x-ratelimit-* and Anthropic's anthropic-ratelimit-*; of several token limits the one with least left.
told_limits limits_in(const headers& in, double unix_now_s);

} // namespace kevolve::llm
