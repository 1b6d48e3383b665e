// What people type and read: durations ("90s", "2h"), factors ("1.5x"), counts, and the same printed back at a sensible precision. Pure; any
// thread. A text that cannot be read is an error that says what was found and what is expected.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve::scheduler {

/// "60s", "1.5m", "2h", "500ms", or seconds without a unit; never negative. "0" means no limit.
result<double> duration_from_string(std::string_view text);
/// "1.5x" or "1.5"; at least 0.
result<double> factor_from_string(std::string_view text);
result<std::uint64_t> count_from_string(std::string_view text);
result<double> number_from_string(std::string_view text);
result<bool> boolean_from_string(std::string_view text);
/// "eager,compile" -> {"eager", "compile"}; "none" and "" -> {}.
std::vector<std::string> list_from_string(std::string_view text);

/// Three significant digits and a unit: "12.3 us", "1.05 ms", "0.00 s".
std::string show_latency(double seconds);
/// "42 s", "3 min 5 s", "2 h 10 min".
std::string show_duration(double seconds);
/// "2.13x"; "?" where unknown (0 or not finite).
std::string show_factor(double factor);
std::string show_percent(double fraction);
/// "23.4 GB/s", "141 GFLOP/s": decimal prefixes.
std::string show_rate(double per_second, std::string_view unit);
/// "64 kB", "1.2 GB": decimal prefixes.
std::string show_bytes(double bytes);
/// Local time, "2026-11-21 10:45:12".
std::string show_time(std::int64_t unix_ms);
/// How a candidate is shown to people: its first 12 digits; names such as "eager" stay as they are.
std::string short_id(std::string_view id);

} // namespace kevolve::scheduler
