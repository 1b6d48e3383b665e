#include "scheduler/quantity.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <fmt/format.h>

namespace kevolve::scheduler {

namespace {

error unreadable(std::string_view text, std::string_view expected) {
  return {errc::usage, fmt::format("found '{}', expected {}", text, expected)};
}

/// Reads a plain decimal number at the start of `text`; the rest is left in `text`. False: no finite number there.
bool take_number(std::string_view& text, double& value) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || !std::isfinite(value))
    return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

std::string three_digits(double value) {
  const double size = std::fabs(value);
  return size >= 99.95 ? fmt::format("{:.0f}", value) : size >= 9.995 ? fmt::format("{:.1f}", value) : fmt::format("{:.2f}", value);
}

std::string with_prefix(double value, std::string_view unit) {
  static constexpr std::array<std::string_view, 6> prefixes{"", "k", "M", "G", "T", "P"};
  std::size_t at = 0;
  while (std::fabs(value) >= 999.5 && at + 1 < prefixes.size()) {
    value /= 1000;
    ++at;
  }
  return fmt::format("{} {}{}", three_digits(value), prefixes[at], unit);
}

} // namespace

result<double> duration_from_string(std::string_view text) {
  static constexpr std::string_view expected = "a duration such as 60s, 5m, 2h or 500ms";
  double value = 0;
  std::string_view rest = text;
  if (!take_number(rest, value) || value < 0 || std::signbit(value))
    return unreadable(text, expected);
  if (rest == "ms")
    value /= 1000;
  else if (rest == "m" || rest == "min")
    value *= 60;
  else if (rest == "h")
    value *= 3600;
  else if (rest == "d")
    value *= 86400;
  else if (!rest.empty() && rest != "s")
    return unreadable(text, expected);
  if (value > 10 * 366 * 86400.0)
    return unreadable(text, "a duration below ten years");
  return value;
}

result<double> factor_from_string(std::string_view text) {
  double value = 0;
  std::string_view rest = text;
  if (!take_number(rest, value) || value < 0 || (!rest.empty() && rest != "x"))
    return unreadable(text, "a factor such as 1.5x");
  return value;
}

result<std::uint64_t> count_from_string(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size())
    return unreadable(text, "a whole number, 0 or more");
  return value;
}

result<double> number_from_string(std::string_view text) {
  double value = 0;
  std::string_view rest = text;
  if (!take_number(rest, value) || !rest.empty())
    return unreadable(text, "a number");
  return value;
}

result<bool> boolean_from_string(std::string_view text) {
  if (text == "true" || text == "1" || text == "yes" || text == "on")
    return true;
  if (text == "false" || text == "0" || text == "no" || text == "off")
    return false;
  return unreadable(text, "true or false");
}

std::vector<std::string> list_from_string(std::string_view text) {
  std::vector<std::string> items;
  if (text == "none")
    return items;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    if (!item.empty())
      items.emplace_back(item);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
  }
  return items;
}

std::string show_latency(double seconds) {
  if (!std::isfinite(seconds) || seconds <= 0)
    return "?";
  if (seconds < 999.5e-9)
    return three_digits(seconds * 1e9) + " ns";
  if (seconds < 999.5e-6)
    return three_digits(seconds * 1e6) + " us";
  if (seconds < 999.5e-3)
    return three_digits(seconds * 1e3) + " ms";
  return three_digits(seconds) + " s";
}

std::string show_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0)
    return "?";
  if (seconds < 9.95)
    return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 60)
    return fmt::format("{} s", whole);
  if (whole < 3600)
    return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string show_factor(double factor) {
  return std::isfinite(factor) && factor > 0 ? three_digits(factor) + "x" : "?";
}

std::string show_percent(double fraction) {
  return std::isfinite(fraction) && fraction > 0 ? fmt::format("{:.0f}%", fraction * 100) : "?";
}

std::string show_rate(double per_second, std::string_view unit) { return with_prefix(per_second, unit) + "/s"; }
std::string show_bytes(double bytes) { return with_prefix(bytes, "B"); }

std::string show_time(std::int64_t unix_ms) {
  if (unix_ms <= 0)
    return "?";
  const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return text.data();
}

std::string short_id(std::string_view id) {
  return std::string(id.size() == 64 ? id.substr(0, 12) : id);
}

} // namespace kevolve::scheduler
