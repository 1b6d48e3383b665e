#include "protocol/source_text.hpp"

#include <algorithm>
#include <cctype>

namespace kevolve {
namespace {

bool begins_word(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool in_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// The end of a string that begins at `at`; the source's end where it has none.
std::size_t string_end(std::string_view s, std::size_t at, bool python) {
  const char quote = s[at];
  if (python && s.substr(at, 3) == std::string(3, quote)) {
    auto end = s.find(std::string(3, quote), at + 3);
    return end == s.npos ? s.size() : end + 3;
  }
  for (std::size_t i = at + 1; i < s.size(); ++i) {
    if (s[i] == '\\')
      ++i;
    else if (s[i] == quote)
      return i + 1;
    else if (s[i] == '\n')
      return i;
  }
  return s.size();
}

} // namespace

std::vector<token> tokens_of(std::string_view s, bool python) {
  std::vector<token> out;
  std::uint32_t line = 1;
  std::size_t i = 0;
  while (i < s.size()) {
    const char c = s[i];
    std::size_t end = i + 1;
    if (std::isspace(static_cast<unsigned char>(c))) {
      line += c == '\n';
      i = end;
      continue;
    }
    if ((python && c == '#') || (!python && s.substr(i, 2) == "//")) {
      i = std::min(s.find('\n', i), s.size());
      continue;
    }
    if (!python && s.substr(i, 2) == "/*") {
      end = s.find("*/", i + 2);
      end = end == s.npos ? s.size() : end + 2;
      for (std::size_t k = i; k < end; ++k)
        line += s[k] == '\n';
      i = end;
      continue;
    }
    auto kind = token::sign;
    if (begins_word(c)) {
      kind = token::word;
      while (end < s.size() && in_word(s[end]))
        ++end;
    } else if (std::isdigit(static_cast<unsigned char>(c))) {
      kind = token::number;
      while (end < s.size() && (in_word(s[end]) || s[end] == '.' || s[end] == '\'' || ((s[end] == '+' || s[end] == '-') && (s[end - 1] == 'e' || s[end - 1] == 'p'))))
        ++end;
    } else if (c == '"' || c == '\'') {
      kind = token::text;
      end = string_end(s, i, python);
    }
    out.push_back({kind, s.substr(i, end - i), line});
    for (std::size_t k = i; k < end; ++k)
      line += s[k] == '\n';
    i = end;
  }
  return out;
}

bool is_source_path(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != path.npos)
    return false;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    if (path.substr(at, end - at) == "..")
      return false;
    at = end + 1;
  }
  return true;
}

} // namespace kevolve
