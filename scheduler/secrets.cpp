#include "scheduler/secrets.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fmt/format.h>

namespace kevolve::scheduler {
namespace {

constexpr std::size_t shortest_known = 6;
constexpr std::size_t shortest_value = 8; // of an assignment or a header: less is a placeholder

bool is_alnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }
bool is_word(char c) { return is_alnum(c) || c == '_'; }
bool is_token(char c) { return is_word(c) || c == '-' || c == '.' || c == '~' || c == '+' || c == '/' || c == '='; }

bool same_letters(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() && std::equal(lower.begin(), lower.end(), text.begin(), [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
}

void replace_all(std::string& text, std::string_view what) {
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + secret_replacement.size()))
    text.replace(at, what.size(), secret_replacement);
}

std::string percent_form(const std::string& value) {
  std::string coded;
  for (unsigned char c : value)
    coded += std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~' ? std::string(1, static_cast<char>(c)) : fmt::format("%{:02X}", c);
  return coded;
}

/// How the keys of well-known services begin, and how many bytes follow at the least.
struct key_form {
  std::string_view begin;
  std::size_t rest;
  bool underscores = true;
};
constexpr std::array key_forms{
  key_form{"sk-", 16},   key_form{"ghp_", 20},   key_form{"gho_", 20},   key_form{"ghs_", 20},  key_form{"ghu_", 20}, key_form{"ghr_", 20},
  key_form{"github_pat_", 20}, key_form{"glpat-", 16}, key_form{"hf_", 20, false}, key_form{"gsk_", 20, false}, key_form{"xai-", 20}, key_form{"xoxb-", 10},
  key_form{"xoxp-", 10}, key_form{"xoxa-", 10},  key_form{"AKIA", 16, false}, key_form{"ASIA", 16, false}, key_form{"AIza", 30}, key_form{"npm_", 30, false}, key_form{"pypi-", 20},
};

/// The length of a key that begins at `at`, or 0.
std::size_t key_at(std::string_view text, std::size_t at) {
  for (const key_form& form : key_forms) {
    if (!text.substr(at).starts_with(form.begin))
      continue;
    std::size_t end = at + form.begin.size();
    bool digit = false;
    for (; end < text.size() && (is_alnum(text[end]) || (form.underscores && (text[end] == '_' || text[end] == '-'))); ++end)
      digit = digit || std::isdigit(static_cast<unsigned char>(text[end]));
    if (digit && end - at - form.begin.size() >= form.rest)
      return end - at;
  }
  return 0;
}

/// A JSON web token: three parts of base64url, the first of which begins with {" .
std::size_t web_token_at(std::string_view text, std::size_t at) {
  if (!text.substr(at).starts_with("eyJ"))
    return 0;
  std::size_t end = at, dots = 0;
  for (; end < text.size() && (is_word(text[end]) || text[end] == '-' || text[end] == '.'); ++end)
    dots += text[end] == '.';
  return dots == 2 && end - at > 20 ? end - at : 0;
}

std::size_t token_length(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && is_token(text[end]))
    ++end;
  return end - at;
}

/// "Bearer abc…" and headers that carry keys: where the secret begins behind `at`, and how long it is.
std::pair<std::size_t, std::size_t> header_at(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at);
  if (same_letters(rest, "bearer ")) {
    const std::size_t length = token_length(text, at + 7);
    return length >= shortest_value ? std::pair(at + 7, length) : std::pair<std::size_t, std::size_t>();
  }
  for (const std::string_view name : {"proxy-authorization", "authorization", "x-api-key", "api-key", "set-cookie", "cookie"}) {
    if (!same_letters(rest, name))
      continue;
    std::size_t value = at + name.size();
    while (value < text.size() && (text[value] == '"' || text[value] == '\'' || text[value] == ' ' || text[value] == '\\'))
      ++value;
    if (value >= text.size() || text[value] != ':')
      return {};
    ++value;
    while (value < text.size() && (text[value] == '"' || text[value] == '\'' || text[value] == ' ' || text[value] == '\\'))
      ++value;
    std::size_t end = value;
    while (end < text.size() && text[end] != '\n' && text[end] != '\r' && text[end] != '"' && text[end] != '\'' && text[end] != '\\')
      ++end;
    return end - value >= shortest_value ? std::pair(value, end - value) : std::pair<std::size_t, std::size_t>();
  }
  return {};
}

bool says_secret(std::string_view name) {
  for (const std::string_view word : {"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"})
    if (name.find(word) != name.npos)
      return true;
  return false;
}

/// NAME=value where NAME is written like a variable of the environment that holds a secret.
std::pair<std::size_t, std::size_t> assignment_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && (std::isupper(static_cast<unsigned char>(text[end])) || std::isdigit(static_cast<unsigned char>(text[end])) || text[end] == '_'))
    ++end;
  if (end == at || end >= text.size() || text[end] != '=' || !says_secret(text.substr(at, end - at)))
    return {};
  std::size_t value = end + 1;
  if (value < text.size() && (text[value] == '"' || text[value] == '\''))
    ++value;
  const std::size_t length = token_length(text, value);
  return length >= shortest_value ? std::pair(value, length) : std::pair<std::size_t, std::size_t>();
}

/// user:password in a URL, behind its "://".
std::pair<std::size_t, std::size_t> user_at(std::string_view text, std::size_t at) {
  if (!text.substr(at).starts_with("://"))
    return {};
  bool colon = false;
  for (std::size_t end = at + 3; end < text.size() && end < at + 300; ++end) {
    if (text[end] == '@')
      return colon ? std::pair(at + 3, end - at - 3) : std::pair<std::size_t, std::size_t>();
    colon = colon || text[end] == ':';
    if (!is_token(text[end]) && std::string_view(":!$&*,;%").find(text[end]) == std::string_view::npos)
      return {};
    if (text[end] == '/')
      return {};
  }
  return {};
}

/// A private key in PEM form, whole.
std::size_t private_key_at(std::string_view text, std::size_t at) {
  if (!text.substr(at).starts_with("-----BEGIN "))
    return 0;
  const std::size_t head = text.find("-----", at + 11);
  if (head == text.npos || !text.substr(at, head - at).ends_with("PRIVATE KEY"))
    return 0;
  const std::size_t tail = text.find("-----END ", head);
  const std::size_t end = tail == text.npos ? text.npos : text.find("-----", tail + 9);
  return end == text.npos ? text.size() - at : end + 5 - at; // cut off: all that there is of it
}

/// The secret that is recognised at `at`: where it begins and its length; 0: none.
std::pair<std::size_t, std::size_t> secret_at(std::string_view text, std::size_t at, bool begins_word) {
  if (text[at] == ':')
    return user_at(text, at);
  if (const std::size_t length = private_key_at(text, at))
    return {at, length};
  if (!begins_word)
    return {};
  if (const std::size_t length = std::max(key_at(text, at), web_token_at(text, at)))
    return {at, length};
  if (const auto header = header_at(text, at); header.second)
    return header;
  return assignment_at(text, at);
}

std::string without_key_forms(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto [begin, length] = secret_at(text, at, at == 0 || !is_word(text[at - 1]));
    if (length == 0) {
      out += text[at++];
      continue;
    }
    out.append(text, at, begin - at).append(secret_replacement);
    at = begin + length;
  }
  return out;
}

/// "/home/ada/x" -> "~/x".
std::string without_homes(const std::string& text, const std::string& home) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = 0;
    const std::string_view rest = std::string_view(text).substr(at);
    if (text[at] == '/' && (at == 0 || !is_word(text[at - 1]))) {
      if (home.size() > 1 && rest.starts_with(home) && (rest.size() == home.size() || !is_word(rest[home.size()])))
        length = home.size();
      for (const std::string_view root : {"/home/", "/Users/"})
        if (length == 0 && rest.starts_with(root))
          for (length = root.size(); length < rest.size() && (is_word(rest[length]) || rest[length] == '-' || rest[length] == '.');)
            ++length;
      if (length == 0 && rest.starts_with("/root") && (rest.size() == 5 || !is_word(rest[5])))
        length = 5;
    }
    if (length)
      out += '~', at += length;
    else
      out += text[at++];
  }
  return out;
}

} // namespace

secret_filter::secret_filter(std::vector<std::string> known, std::string home) : home_(std::move(home)) {
  for (std::string& value : known)
    if (value.size() >= shortest_known) {
      if (std::string coded = percent_form(value); coded != value)
        known_.push_back(std::move(coded));
      known_.push_back(std::move(value));
    }
  std::sort(known_.begin(), known_.end(), [](const std::string& a, const std::string& b) { return std::pair(b.size(), a) < std::pair(a.size(), b); });
  known_.erase(std::unique(known_.begin(), known_.end()), known_.end());
  while (home_.ends_with('/'))
    home_.pop_back();
}

std::string secret_filter::scrub(std::string text) const {
  for (const std::string& value : known_)
    replace_all(text, value);
  return without_homes(without_key_forms(text), home_);
}

std::vector<std::string> secrets_in_environment(const std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<std::string> values;
  for (const auto& [name, value] : variables) {
    std::string upper = name;
    std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
    if (says_secret(upper) && value.size() >= shortest_value && !value.starts_with('/') && !value.starts_with("~/"))
      values.push_back(value);
  }
  return values;
}

} // namespace kevolve::scheduler
