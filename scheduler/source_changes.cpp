#include "scheduler/source_changes.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <string_view>

namespace kevolve::scheduler {
namespace {

constexpr std::size_t context_lines = 3;
constexpr std::size_t cells_most = 4'000'000; // of the table of common lines; beyond it a whole block counts as replaced

using lines = std::vector<std::string_view>;

lines lines_of(std::string_view text) {
  lines all;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    all.push_back(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return all;
}

struct edit {
  char kind = ' '; // ' ' kept, '-' gone, '+' new
  std::string_view line;
};

/// The longest common subsequence by the textbook's table.
void align(const lines& a, const lines& b, std::vector<edit>& out) {
  if ((a.size() + 1) * (b.size() + 1) > cells_most) {
    for (const auto& line : a)
      out.push_back({'-', line});
    for (const auto& line : b)
      out.push_back({'+', line});
    return;
  }
  const std::size_t width = b.size() + 1;
  std::vector<std::uint32_t> common((a.size() + 1) * width, 0);
  for (std::size_t i = a.size(); i-- > 0;)
    for (std::size_t j = b.size(); j-- > 0;)
      common[i * width + j] = a[i] == b[j] ? common[(i + 1) * width + j + 1] + 1 : std::max(common[(i + 1) * width + j], common[i * width + j + 1]);
  std::size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && a[i] == b[j])
      out.push_back({' ', a[i]}), ++i, ++j;
    else if (j == b.size() || (i < a.size() && common[(i + 1) * width + j] >= common[i * width + j + 1]))
      out.push_back({'-', a[i++]});
    else
      out.push_back({'+', b[j++]});
  }
}

std::vector<edit> edits_between(lines a, lines b) {
  std::vector<edit> all;
  const auto same = static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
  for (std::size_t i = 0; i < same; ++i)
    all.push_back({' ', a[i]});
  std::size_t tail = 0;
  while (tail < std::min(a.size(), b.size()) - same && a[a.size() - 1 - tail] == b[b.size() - 1 - tail])
    ++tail;
  const auto part = [&](const lines& of) { return lines(of.begin() + static_cast<std::ptrdiff_t>(same), of.end() - static_cast<std::ptrdiff_t>(tail)); };
  align(part(a), part(b), all);
  for (std::size_t i = a.size() - tail; i < a.size(); ++i)
    all.push_back({' ', a[i]});
  return all;
}

std::string hunks_of(const std::vector<edit>& all) {
  std::string text;
  std::size_t line_before = 1, line_after = 1, at = 0;
  while (at < all.size()) {
    const auto change = static_cast<std::size_t>(std::find_if(all.begin() + static_cast<std::ptrdiff_t>(at), all.end(), [](const edit& e) { return e.kind != ' '; }) - all.begin());
    if (change == all.size())
      break;
    const std::size_t begin = std::max(at, change - std::min(change, context_lines));
    line_before += begin - at, line_after += begin - at;
    std::size_t end = change, kept = 0; // until more kept lines follow than two contexts hold
    for (std::size_t i = change; i < all.size() && kept <= 2 * context_lines; ++i) {
      kept = all[i].kind == ' ' ? kept + 1 : 0;
      if (kept == 0)
        end = i + 1;
    }
    end = std::min(all.size(), end + context_lines);
    std::size_t before = 0, after = 0;
    std::string body;
    for (std::size_t i = begin; i < end; ++i) {
      before += all[i].kind != '+';
      after += all[i].kind != '-';
      body += fmt::format("{}{}\n", all[i].kind, all[i].line);
    }
    text += fmt::format("@@ -{},{} +{},{} @@\n{}", before ? line_before : 0, before, after ? line_after : 0, after, body);
    line_before += before, line_after += after;
    at = end;
  }
  return text;
}

} // namespace

std::string changes_between(const std::vector<source_file>& before, const std::vector<source_file>& after) {
  std::map<std::string, std::pair<std::string_view, std::string_view>> files;
  for (const source_file& f : before)
    files[f.path].first = f.content;
  for (const source_file& f : after)
    files[f.path].second = f.content;
  std::string text;
  for (const auto& [path, versions] : files)
    if (versions.first != versions.second)
      text += fmt::format("--- a/{0}\n+++ b/{0}\n", path) + hunks_of(edits_between(lines_of(versions.first), lines_of(versions.second)));
  return text;
}

} // namespace kevolve::scheduler
