#include "kb/document.hpp"

#include "protocol/digest.hpp"

#include <algorithm>
#include <cstdint>
#include <fmt/format.h>

namespace kevolve::kb {
namespace {

constexpr std::size_t document_bytes = 4u << 20;
constexpr std::size_t passage_bytes = 2400; // some 300 words
constexpr std::size_t passages_at_most = 4000;
constexpr std::size_t heading_levels = 6; // Markdown's
constexpr std::size_t title_bytes = 120;

std::string_view trimmed(std::string_view s) {
  const auto from = s.find_first_not_of(" \t\r");
  return from == s.npos ? std::string_view() : s.substr(from, s.find_last_not_of(" \t\r") - from + 1);
}

std::vector<std::string> items_of(std::string_view list) {
  std::vector<std::string> items;
  while (true) {
    const auto comma = list.find(',');
    if (auto item = trimmed(list.substr(0, comma)); !item.empty() && item != "all")
      items.emplace_back(item);
    if (comma == list.npos)
      return items;
    list.remove_prefix(comma + 1);
  }
}

constexpr std::uint32_t not_a_character = 0xFFFFFFFF;

struct character {
  std::uint32_t code = not_a_character;
  std::size_t bytes = 1;
};

/// The character at `at` by RFC 3629: no overlong forms, no surrogates.
character character_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80)
    return {first, 1};
  const std::size_t bytes = first >= 0xF0 && first <= 0xF4 ? 4 : first >= 0xE0 && first < 0xF0 ? 3 : first >= 0xC2 && first < 0xE0 ? 2 : 0;
  if (bytes == 0 || at + bytes > text.size())
    return {};
  std::uint32_t code = first & (0xFFu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80)
      return {};
    code = code << 6 | (byte(at + i) & 0x3Fu);
  }
  const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  if (overlong || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
    return {};
  return {code, bytes};
}

bool is_hidden(std::uint32_t code) {
  return (code < 0x20 && code != '\n' && code != '\t') || (code >= 0x7F && code <= 0x9F) || (code >= 0x200B && code <= 0x200F) || (code >= 0x202A && code <= 0x202E) ||
         (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF || (code >= 0xE0000 && code <= 0xE007F);
}

/// Nothing that a terminal or a model could take for more than text, and always UTF-8: control characters, marks that change a text's direction,
/// characters without a width and tags are left out; bytes that are no UTF-8 become U+FFFD.
std::string scrubbed(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto [code, bytes] = character_at(text, at);
    if (code == not_a_character)
      out += "\xEF\xBF\xBD";
    else if (code == '\f' || code == 0x2028 || code == 0x2029) // pages of a PDF, separators
      out += '\n';
    else if (!is_hidden(code))
      out += text.substr(at, bytes);
    at += bytes;
  }
  return out;
}

/// At most so many bytes, never half a character. `text` is UTF-8.
std::string_view beginning_of(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes)
    return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80)
    --bytes;
  return text.substr(0, bytes);
}

std::string_view next_line(std::string_view& rest) {
  const auto end = rest.find('\n');
  const auto line = rest.substr(0, end);
  rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
  return line;
}

result<void> take_front_matter(document& d, std::string_view& rest, const std::string& where) {
  std::string_view after = rest;
  if (trimmed(next_line(after)) != "---")
    return {};
  for (std::size_t number = 2;; ++number) {
    if (after.empty())
      return error{errc::specification, fmt::format("{}: its front matter has no end: expected a line ---", where)};
    const auto line = trimmed(next_line(after));
    if (line == "---")
      break;
    if (line.empty() || line.starts_with('#'))
      continue;
    const auto colon = line.find(':');
    if (colon == line.npos)
      return error{errc::specification, fmt::format("{}:{}: found '{}', expected key: value", where, number, line)};
    const auto key = trimmed(line.substr(0, colon));
    auto value = line.substr(colon + 1);
    if (const auto comment = value.find(" #"); comment != value.npos)
      value = value.substr(0, comment);
    value = trimmed(value);
    if (key == "title")
      d.title = beginning_of(value, title_bytes);
    else if (key == "platforms")
      d.platforms = items_of(value);
    else if (key == "languages")
      d.languages = items_of(value);
    else if (key == "architectures")
      d.architectures = items_of(value);
    else if (key == "signals")
      d.signals = items_of(value);
    else if (key == "sources")
      d.sources = {std::string(value)};
    else if (key == "status")
      d.status = value;
    else
      return error{errc::specification, fmt::format("{}:{}: key '{}' is not known; expected title, platforms, languages, architectures, signals, sources or status", where, number, key)};
  }
  rest = after;
  return {};
}

class cutter {
public:
  explicit cutter(document& into) : into_(into) {}

  void line(std::string_view text) {
    const bool fence = trimmed(text).starts_with("```");
    code_ = fence ? !code_ : code_;
    const auto level = code_ || fence ? 0 : std::min(text.find_first_not_of('#'), text.size());
    if (level > 0 && level <= heading_levels && level < text.size() && text[level] == ' ') {
      close();
      path_.resize(std::min(path_.size(), level - 1));
      path_.resize(level - 1);
      path_.emplace_back(beginning_of(trimmed(text.substr(level)), title_bytes));
      return;
    }
    do { // a line longer than a passage is cut, too
      const auto part = beginning_of(text, passage_bytes - 1);
      add(part);
      text.remove_prefix(part.size());
    } while (!text.empty());
  }
  void close() {
    if (!trimmed(current_).empty() && current_.find_first_not_of(" \n\t") != current_.npos && into_.passages.size() < passages_at_most) {
      std::string heading;
      for (const std::string& part : path_)
        if (!part.empty())
          heading += (heading.empty() ? "" : " > ") + part;
      into_.passages.push_back({into_.id, heading.empty() ? into_.title : heading, std::move(current_)});
    }
    current_.clear();
  }

private:
  /// Passages end where a paragraph does; one that goes on and on, at twice the size, wherever that is.
  void add(std::string_view line) {
    const std::size_t after = current_.size() + line.size() + 1;
    if (after > 2 * passage_bytes || (after > passage_bytes && !code_ && trimmed(line).empty()))
      close();
    current_ += line;
    current_ += '\n';
  }

  document& into_;
  std::vector<std::string> path_;
  std::string current_;
  bool code_ = false;
};

} // namespace

result<document> read_document(std::string id, std::string_view text, const document_defaults& defaults, const std::string& where) {
  if (text.size() > document_bytes)
    return error{errc::specification, fmt::format("{}: found {} bytes, expected at most {}", where, text.size(), document_bytes)};
  document d;
  d.id = std::move(id);
  d.platforms = defaults.platforms;
  d.languages = defaults.languages;
  d.version = sha256_hex(text);
  const std::string clean = scrubbed(text);
  std::string_view rest = clean;
  KEVOLVE_TRY_VOID(take_front_matter(d, rest, where));
  if (d.title.empty()) { // a plain text's first line
    std::string_view peek = rest;
    while (!peek.empty() && d.title.empty()) {
      auto line = trimmed(next_line(peek));
      while (line.starts_with('#'))
        line.remove_prefix(1);
      d.title = beginning_of(trimmed(line), title_bytes);
    }
    if (d.title.empty())
      return error{errc::specification, fmt::format("{}: it is empty; expected a text", where)};
  }
  cutter cut(d);
  while (!rest.empty())
    cut.line(next_line(rest));
  cut.close();
  return d;
}

} // namespace kevolve::kb
