#include "protocol/host_selection.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace kevolve {
namespace {

std::vector<std::string> divided(std::string_view text, char at) {
  std::vector<std::string> parts(1);
  for (const char c : text)
    if (c == at)
      parts.emplace_back();
    else
      parts.back() += c;
  return parts;
}

} // namespace

bool selects(const std::string& hosts, const std::string& agent, const std::vector<std::string>& labels) {
  const auto is = [&](const std::string& one) { return one == "any" || one == agent || std::find(labels.begin(), labels.end(), one) != labels.end(); };
  const auto holds = [&](const std::string& term) {
    const auto all = divided(term, '|');
    return std::any_of(all.begin(), all.end(), [&](const std::string& one) { return one.starts_with('!') ? !is(one.substr(1)) : is(one); });
  };
  const auto terms = divided(hosts, ',');
  return hosts.empty() || std::all_of(terms.begin(), terms.end(), holds);
}

result<void> check_label(const std::string& label) {
  const bool good = !label.empty() && std::all_of(label.begin(), label.end(), [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '_' || c == ':' || c == '-'; });
  return good ? result<void>() : error{errc::usage, "label: found '" + label + "', expected letters, digits and . _ : -"};
}

result<void> check_hosts(const std::string& hosts) {
  for (const std::string& term : divided(hosts, ','))
    for (const std::string& one : divided(term, '|'))
      if (!check_label(one.starts_with('!') ? one.substr(1) : one))
        return error{errc::usage, "hosts '" + hosts + "': found '" + one + "', expected labels or names of agents (letters, digits and . _ : -), ! before what they must not have, | between alternatives, commas between what must all hold"};
  return {};
}

result<selected_target> selected_target_from_string(const std::string& text) {
  const auto at = text.find('@');
  KEVOLVE_TRY(on, target_from_string(text.substr(0, at)));
  if (at == std::string::npos)
    return selected_target{std::move(on), {}};
  KEVOLVE_TRY_VOID(check_hosts(text.substr(at + 1)));
  return selected_target{std::move(on), text.substr(at + 1)};
}

} // namespace kevolve
