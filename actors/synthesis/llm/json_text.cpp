#include "actors/synthesis/llm/json_text.hpp"

#include <cmath>

namespace kevolve::llm {
namespace {

bool nested_too_deep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > 64)
        return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

} // namespace

std::optional<json> parse_json(std::string_view text) {
  if (nested_too_deep(text))
    return std::nullopt;
  json value = json::parse(text.begin(), text.end(), nullptr, false);
  if (value.is_discarded())
    return std::nullopt;
  return value;
}

std::string json_text(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

const json* member(const json& of, const char* name) {
  if (!of.is_object())
    return nullptr;
  const auto at = of.find(name);
  return at == of.end() || at->is_null() ? nullptr : &*at;
}

std::string text_member(const json& of, const char* name) {
  const json* at = member(of, name);
  return at && at->is_string() ? at->get<std::string>() : std::string();
}

std::uint64_t count_member(const json& of, const char* name) {
  const json* at = member(of, name);
  if (at && at->is_number_unsigned())
    return at->get<std::uint64_t>();
  if (at && at->is_number_float() && at->get<double>() >= 0 && at->get<double>() < 1e15)
    return static_cast<std::uint64_t>(std::llround(at->get<double>())); // some gateways write 12.0
  return 0;
}

} // namespace kevolve::llm
