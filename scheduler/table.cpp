#include "scheduler/table.hpp"

#include "protocol/check.hpp"

#include <algorithm>
#include <utility>

namespace kevolve::scheduler {

namespace {

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string attribute(bool on, const char* code, std::string_view text) {
  return on ? std::string("\033[") + code + "m" + std::string(text) + "\033[0m" : std::string(text);
}

} // namespace

std::string style::strong(std::string_view text) const { return attribute(colour, "1", text); }
std::string style::faint(std::string_view text) const { return attribute(colour, "2", text); }
std::string style::good(std::string_view text) const { return attribute(colour, "32", text); }
std::string style::bad(std::string_view text) const { return attribute(colour, "31", text); }

table::table(std::vector<column> columns) : columns_(std::move(columns)) {}

void table::add(std::vector<std::string> cells) {
  KEVOLVE_CHECK(cells.size() <= columns_.size());
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string table::render(const style& how, std::string_view indent) const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t width = columns_of(columns_[c].title);
    for (const auto& row : rows_)
      width = std::max(width, columns_of(row[c]));
    widths.push_back(width);
  }
  const auto line = [&](const auto& cell) {
    std::string text(indent);
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::string value = cell(c);
      const std::string padding(widths[c] - columns_of(value), ' ');
      text += columns_[c].to == align::right ? padding + value : value + padding;
      text += c + 1 < columns_.size() ? "  " : "";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
  };
  std::string text = how.faint(line([&](std::size_t c) { return columns_[c].title; })) + "\n";
  for (const auto& row : rows_)
    text += line([&](std::size_t c) { return row[c]; }) + "\n";
  return text;
}

std::string wrap(std::string_view text, std::size_t width, std::string_view indent) {
  std::string wrapped;
  std::size_t used = 0;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    text = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
    if (used && used + 1 + columns_of(word) > width) {
      wrapped += "\n" + std::string(indent);
      used = 0;
    }
    wrapped += (used ? " " : "") + std::string(word);
    used += (used ? 1 : 0) + columns_of(word);
  }
  return wrapped;
}

} // namespace kevolve::scheduler
