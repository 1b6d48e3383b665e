#include "actors/synthesis/schedule_text.hpp"

#include <cctype>

namespace kevolve::synthesis {
namespace {

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.front())))
    s.remove_prefix(1);
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back())))
    s.remove_suffix(1);
  return s;
}

std::string_view next(std::string_view& rest, char separator) {
  const auto at = rest.find(separator);
  const auto part = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view{} : rest.substr(at + 1);
  return trimmed(part);
}

} // namespace

result<schedule> schedule_from_text(std::string_view text) {
  schedule out;
  while (!trimmed(text).empty()) {
    const auto step = next(text, ';');
    if (step.empty())
      continue;
    const auto open = step.find('(');
    if (open == std::string_view::npos || step.back() != ')')
      return error{errc::specification, "schedule step \"" + std::string(step) + "\": expected verb(subject, name=value, …)"};
    schedule_step s;
    s.verb = trimmed(step.substr(0, open));
    auto inside = step.substr(open + 1, step.size() - open - 2);
    s.subject = next(inside, ',');
    while (!trimmed(inside).empty()) {
      auto pair = next(inside, ',');
      const auto name = next(pair, '=');
      if (name.empty() || pair.empty())
        return error{errc::specification, "schedule step \"" + std::string(step) + "\": expected name=value"};
      s.parameters.emplace_back(name, trimmed(pair));
    }
    out.steps.push_back(std::move(s));
  }
  return out;
}

} // namespace kevolve::synthesis
