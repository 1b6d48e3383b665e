#include "actors/synthesis/llm/header_values.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace kevolve::llm {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

std::optional<double> number(std::string_view text) {
  text = trimmed(text);
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) || std::abs(value) > 1e12)
    return std::nullopt;
  return value;
}

/// Exactly these digits at this place.
std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (text.size() < at + count)
    return std::nullopt;
  int value = 0;
  for (char c : text.substr(at, count)) {
    if (c < '0' || c > '9')
      return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

/// Days since 1970-01-01 in the Gregorian calendar.
long days_of(int year, int month, int day) {
  const int y = month <= 2 ? year - 1 : year;
  const long era = (y >= 0 ? y : y - 399) / 400;
  const int of_era = y - static_cast<int>(era * 400);
  const int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

std::optional<double> seconds_of(std::optional<int> year, int month, std::optional<int> day, std::string_view text, std::size_t time_at) {
  const auto h = digits(text, time_at, 2), m = digits(text, time_at + 3, 2), s = digits(text, time_at + 6, 2);
  if (!year || !day || !h || !m || !s || month < 1 || month > 12 || *day < 1 || *day > 31 || *h > 23 || *m > 59 || *s > 60 || text[time_at + 2] != ':' || text[time_at + 5] != ':')
    return std::nullopt;
  return static_cast<double>(days_of(*year, month, *day)) * 86400.0 + *h * 3600 + *m * 60 + *s;
}

/// "6m0s" or a time of day that is still to come.
std::optional<double> reset_value(std::string_view text, double unix_now_s) {
  if (const auto duration = duration_value(text))
    return std::max(0.0, *duration);
  if (const auto at = rfc3339(trimmed(text)))
    return std::max(0.0, *at - unix_now_s);
  return std::nullopt;
}

told_limit limit_named(const headers& in, std::string_view vendor, std::string_view what, double unix_now_s) {
  const auto named = [&](std::string_view part) -> const std::string* {
    // OpenAI: x-ratelimit-PART-WHAT; Anthropic: anthropic-ratelimit-WHAT-PART
    return vendor == "x" ? find_header(in, "x-ratelimit-" + std::string(part) + "-" + std::string(what))
                         : find_header(in, "anthropic-ratelimit-" + std::string(what) + "-" + std::string(part));
  };
  told_limit told;
  if (const auto* text = named("limit"))
    told.limit = number(*text);
  if (told.limit && *told.limit <= 0)
    told.limit.reset();
  if (const auto* text = named("remaining"))
    told.remaining = number(*text);
  if (told.remaining && (*told.remaining < 0 || (*told.remaining == 0 && !told.limit)))
    told.remaining.reset();
  if (const auto* text = named("reset"))
    told.reset_s = reset_value(*text, unix_now_s);
  return told;
}

} // namespace

const std::string* find_header(const headers& in, std::string_view name) {
  for (const header& h : in)
    if (h.name == name)
      return &h.value;
  return nullptr;
}

std::optional<double> http_date(std::string_view text) {
  text = trimmed(text);
  static constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 29 || !text.ends_with(" GMT") || text.substr(3, 2) != ", ")
    return std::nullopt;
  const auto month = std::find(months.begin(), months.end(), text.substr(8, 3));
  if (month == months.end())
    return std::nullopt;
  return seconds_of(digits(text, 12, 4), static_cast<int>(month - months.begin()) + 1, digits(text, 5, 2), text, 17);
}

std::optional<double> rfc3339(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't' && text[10] != ' '))
    return std::nullopt;
  auto seconds = seconds_of(digits(text, 0, 4), digits(text, 5, 2).value_or(0), digits(text, 8, 2), text, 11);
  if (!seconds)
    return std::nullopt;
  std::size_t at = 19;
  if (text[at] == '.') {
    std::size_t end = at + 1;
    double scale = 0.1;
    for (; end < text.size() && text[end] >= '0' && text[end] <= '9'; ++end, scale /= 10)
      *seconds += (text[end] - '0') * scale;
    at = end;
  }
  const std::string_view zone = text.substr(at);
  if (zone == "Z" || zone == "z")
    return seconds;
  const auto h = digits(zone, 1, 2), m = digits(zone, 4, 2);
  if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || !h || !m || zone[3] != ':')
    return std::nullopt;
  return *seconds - (zone[0] == '+' ? 1 : -1) * (*h * 3600 + *m * 60);
}

std::optional<double> duration_value(std::string_view text) {
  text = trimmed(text);
  if (const auto plain = number(text))
    return plain;
  double total = 0;
  if (text.empty())
    return std::nullopt;
  while (!text.empty()) {
    double value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (failed != std::errc{} || value < 0)
      return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    std::size_t unit_end = 0;
    while (unit_end < text.size() && text[unit_end] >= 'a' && text[unit_end] <= 'z')
      ++unit_end;
    const std::string_view unit = text.substr(0, unit_end);
    const double factor = unit == "ns" ? 1e-9 : unit == "us" ? 1e-6 : unit == "ms" ? 1e-3 : unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : unit == "d" ? 86400 : 0;
    if (factor == 0)
      return std::nullopt;
    total += value * factor;
    text.remove_prefix(unit_end);
  }
  return std::isfinite(total) && total < 1e12 ? std::optional(total) : std::nullopt;
}

std::optional<double> retry_after_s(const headers& in, double unix_now_s) {
  if (const auto* text = find_header(in, "retry-after-ms"))
    if (const auto ms = number(*text))
      return std::max(0.0, *ms / 1000);
  if (const auto* text = find_header(in, "retry-after")) {
    if (const auto seconds = number(*text))
      return std::max(0.0, *seconds);
    if (const auto date = http_date(*text))
      return std::max(0.0, *date - unix_now_s);
  }
  return std::nullopt;
}

std::optional<bool> should_retry(const headers& in) {
  const auto* text = find_header(in, "x-should-retry");
  if (text && (*text == "true" || *text == "false"))
    return *text == "true";
  return std::nullopt;
}

std::string request_id(const headers& in) {
  const auto* text = find_header(in, "x-request-id");
  if (!text)
    text = find_header(in, "request-id");
  std::string id;
  if (text)
    for (char c : std::string_view(*text).substr(0, 200))
      if (c > 0x20 && c < 0x7f)
        id += c;
  return id;
}

told_limits limits_in(const headers& in, double unix_now_s) {
  told_limits told;
  const bool anthropic = std::any_of(in.begin(), in.end(), [](const header& h) { return h.name.starts_with("anthropic-ratelimit-"); });
  told.requests = limit_named(in, anthropic ? "anthropic" : "x", "requests", unix_now_s);
  told.tokens = limit_named(in, anthropic ? "anthropic" : "x", "tokens", unix_now_s);
  if (anthropic)
    for (const char* what : {"input-tokens", "output-tokens"})
      if (const told_limit more = limit_named(in, "anthropic", what, unix_now_s); more.remaining && (!told.tokens.remaining || *more.remaining < *told.tokens.remaining))
        told.tokens = more;
  return told;
}

} // namespace kevolve::llm
