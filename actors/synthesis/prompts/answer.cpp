#include "actors/synthesis/prompts/answer.hpp"

#include "actors/synthesis/schedule_text.hpp"
#include "protocol/limits.hpp"
#include "protocol/source_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <sstream>

namespace kevolve::synthesis {
namespace {

constexpr std::string_view search_mark = "<<<<<<<";
constexpr std::string_view divide_mark = "=======";
constexpr std::string_view replace_mark = ">>>>>>>";
constexpr std::size_t files_at_most = 16;
constexpr std::size_t idea_bytes = 160;

error for_model(std::string message) { return {errc::synthesizer, std::move(message)}; }

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    auto end = text.find('\n');
    auto line = text.substr(0, end);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    lines.push_back(line);
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
  }
  return lines;
}

std::string_view trimmed(std::string_view s) {
  auto from = s.find_first_not_of(" \t\r");
  return from == s.npos ? std::string_view() : s.substr(from, s.find_last_not_of(" \t\r") - from + 1);
}

struct block {
  std::string tag;    // the word behind the fence
  std::string path;   // named by the fence, a heading or the line before it; "": none
  std::string content;
  bool closed = false;
};

/// A path in a line such as "**kernel.cpp**", "### File: src/kernel.cu", "kernel.py:".
std::string path_in(std::string_view line) {
  static constexpr std::string_view endings[] = {".cpp", ".cu", ".cuh", ".hip", ".py", ".h", ".hpp", ".cc"};
  std::string found;
  std::string word;
  auto take = [&] {
    for (auto ending : endings)
      if (word.size() > ending.size() && word.ends_with(ending) && found.empty())
        found = word;
    word.clear();
  };
  for (char c : line) {
    bool part = std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' || c == '/';
    if (part)
      word += c;
    else
      take();
  }
  take();
  return found;
}

/// What a reasoning model thought aloud is no answer.
std::string without_thoughts(std::string_view text) {
  std::string out(text);
  for (const auto& [open, close] : {std::pair<std::string, std::string>{"<think>", "</think>"}, {"<thinking>", "</thinking>"}}) {
    if (auto end = out.rfind(close); end != out.npos)
      out = out.substr(end + close.size());
    else if (auto begin = out.find(open); begin != out.npos)
      out = out.substr(0, begin);
  }
  return out;
}

std::vector<block> blocks_of(std::string_view text) {
  std::vector<block> blocks;
  std::string before; // the last line with text above a fence
  std::string fence;  // of the open block
  for (auto line : lines_of(text)) {
    auto bare = trimmed(line);
    auto mark = bare.find_first_not_of("`");
    auto ticks = mark == bare.npos ? bare.size() : mark;
    auto tilde = bare.find_first_not_of("~");
    auto tildes = tilde == bare.npos ? bare.size() : tilde;
    if (fence.empty()) {
      if (ticks >= 3 || tildes >= 3) {
        fence = std::string(bare.substr(0, std::max(ticks, tildes)));
        auto info = trimmed(bare.substr(fence.size()));
        block b;
        b.tag = std::string(info.substr(0, info.find_first_of(" \t:{")));
        b.path = path_in(info);
        if (b.path.empty() && before.size() < 200)
          b.path = path_in(before);
        blocks.push_back(std::move(b));
        before.clear();
      } else if (!bare.empty()) {
        before = std::string(bare);
      }
    } else if (bare.starts_with(fence) && trimmed(bare.substr(std::max(ticks, tildes))).empty() && bare[0] == fence[0]) {
      blocks.back().closed = true;
      fence.clear();
    } else {
      blocks.back().content += std::string(line) + "\n";
    }
  }
  return blocks;
}

std::string idea_of(std::string_view text) {
  for (auto line : lines_of(text)) {
    auto bare = trimmed(line);
    while (bare.starts_with('*') || bare.starts_with('#') || bare.starts_with(' '))
      bare.remove_prefix(1);
    for (std::string_view label : {"IDEA:", "Idea:", "idea:", "IDEA", "Idea"})
      if (bare.starts_with(label)) {
        bare = trimmed(bare.substr(label.size()));
        while (bare.starts_with('*') || bare.starts_with(':') || bare.starts_with(' '))
          bare.remove_prefix(1);
        std::string idea(bare.substr(0, idea_bytes));
        std::replace_if(idea.begin(), idea.end(), [](unsigned char c) { return c < 32; }, ' ');
        return idea;
      }
  }
  return "";
}

std::vector<std::string> flags_of(const std::vector<source_file>& files) {
  std::vector<std::string> flags;
  for (const source_file& f : files)
    for (auto line : lines_of(std::string_view(f.content).substr(0, 1000))) {
      auto at = line.find("flags:");
      auto bare = trimmed(line);
      if (at == line.npos || !(bare.starts_with("//") || bare.starts_with("#")))
        continue;
      std::istringstream words{std::string(line.substr(at + 6))};
      for (std::string flag; words >> flag;)
        flags.push_back(flag);
      return flags;
    }
  return flags;
}

std::string squeezed(std::string_view line) {
  std::string out;
  for (char c : trimmed(line))
    if (c != ' ' && c != '\t')
      out += c;
  return out;
}

/// Where `part`'s lines stand in `whole` when spaces do not count: line number, and how often.
std::pair<std::size_t, std::size_t> find_loosely(const std::vector<std::string_view>& whole, const std::vector<std::string_view>& part) {
  std::vector<std::string> a, b;
  for (auto l : whole)
    a.push_back(squeezed(l));
  for (auto l : part)
    b.push_back(squeezed(l));
  std::size_t at = 0, times = 0;
  for (std::size_t i = 0; !b.empty() && i + b.size() <= a.size(); ++i)
    if (std::equal(b.begin(), b.end(), a.begin() + static_cast<std::ptrdiff_t>(i))) {
      at = times++ == 0 ? i : at;
    }
  return {at, times};
}

struct edit {
  std::string search, replace;
};

result<std::vector<edit>> edits_of(std::string_view text) {
  std::vector<edit> edits;
  enum { outside, searching, replacing } state = outside;
  for (auto line : lines_of(text)) {
    auto bare = trimmed(line);
    if (bare.starts_with(search_mark)) {
      if (state != outside)
        return for_model(fmt::format("edit {}: a new {} begins before its {} line", edits.size(), search_mark, replace_mark));
      state = searching;
      edits.emplace_back();
    } else if (state == searching && bare.starts_with(divide_mark)) {
      state = replacing;
    } else if (state == replacing && bare.starts_with(replace_mark)) {
      state = outside;
    } else if (state == searching) {
      edits.back().search += std::string(line) + "\n";
    } else if (state == replacing) {
      edits.back().replace += std::string(line) + "\n";
    }
  }
  if (state != outside)
    return for_model(fmt::format("edit {}: it has no end: found no line {} REPLACE", edits.size(), replace_mark));
  return edits;
}

result<std::vector<source_file>> edited(std::string_view text, const language& in, const std::vector<source_file>& parent) {
  if (parent.empty())
    return for_model("there is no parent whose files could be edited: write the whole file");
  std::vector<source_file> files = parent;
  auto main = std::find_if(files.begin(), files.end(), [&](const source_file& f) { return f.path == in.main_file; });
  source_file& target = main == files.end() ? files.front() : *main;
  KEVOLVE_TRY(changed, apply_edits(text, target.content));
  target.content = std::move(changed);
  return files;
}

result<std::vector<source_file>> whole_files(const std::vector<block>& blocks, const language& in) {
  std::vector<const block*> code;
  for (const block& b : blocks) {
    const bool prose = b.tag == "text" || b.tag == "bash" || b.tag == "sh" || b.tag == "console" || b.tag == "diff" || b.tag == "json" || b.tag == "markdown";
    if (!prose && !trimmed(b.content).empty())
      code.push_back(&b);
  }
  if (code.empty())
    return for_model(fmt::format("found no code block; expected the whole {} between ``` lines", in.main_file));
  if (!code.back()->closed)
    return for_model("the answer ends within a code block: it was cut off; answer more briefly, or with edits");
  std::vector<source_file> files;
  auto put = [&](const std::string& path, const std::string& content) {
    auto same = std::find_if(files.begin(), files.end(), [&](const source_file& f) { return f.path == path; });
    if (same == files.end())
      files.push_back({path, content});
    else
      same->content = content; // a later version replaces an earlier one
  };
  const bool named = std::any_of(code.begin(), code.end(), [&](const block* b) { return b->path == in.main_file; });
  if (named) {
    for (const block* b : code)
      if (!b->path.empty())
        put(b->path, b->content);
  } else { // the last block with the entry point is what was meant, a longer one before it where the last is a fragment
    const block* chosen = nullptr;
    for (const block* b : code)
      if (b->content.find(in.entry) != std::string::npos && (!chosen || 2 * b->content.size() >= chosen->content.size()))
        chosen = b;
    if (!chosen)
      return for_model(fmt::format("no code block defines {}; expected the whole {}", in.entry, in.main_file));
    put(in.main_file, chosen->content);
  }
  if (files.size() > files_at_most)
    return for_model(fmt::format("found {} files, expected at most {}", files.size(), files_at_most));
  for (const source_file& file : files)
    if (!is_source_path(file.path))
      return for_model(fmt::format("found a file named '{}', expected a relative path without ..", file.path));
  return files;
}

} // namespace

bool has_edits(std::string_view text) {
  for (auto line : lines_of(text))
    if (trimmed(line).starts_with(search_mark))
      return true;
  return false;
}

result<std::string> apply_edits(std::string_view text, const std::string& file) {
  KEVOLVE_TRY(edits, edits_of(text));
  if (edits.empty())
    return for_model("found no edit");
  std::string now = file;
  for (std::size_t i = 0; i < edits.size(); ++i) {
    const auto& [search, replace] = edits[i];
    if (trimmed(search).empty() && now.empty()) {
      now = replace;
      continue;
    }
    auto at = search.empty() ? now.npos : now.find(search);
    if (at != now.npos && now.find(search, at + 1) == now.npos) {
      now.replace(at, search.size(), replace);
      continue;
    }
    if (at != now.npos)
      return for_model(fmt::format("edit {}: its search text is there more than once; add lines around it", i + 1));
    auto whole = lines_of(now);
    auto part = lines_of(search);
    auto [line, times] = find_loosely(whole, part);
    if (times != 1)
      return for_model(fmt::format("edit {}: its search text is {} in the file: \"{}\"; copy lines exactly as they stand there", i + 1,
                                   times == 0 ? "not" : "more than once", trimmed(part.empty() ? "" : part.front()).substr(0, 80)));
    std::string changed;
    for (std::size_t l = 0; l < line; ++l)
      changed += std::string(whole[l]) + "\n";
    changed += replace;
    for (std::size_t l = line + part.size(); l < whole.size(); ++l)
      changed += std::string(whole[l]) + "\n";
    now = std::move(changed);
  }
  return now;
}

result<answer_parts> read_answer(std::string_view said, const language& in, const std::vector<source_file>& parent) {
  const std::string text = without_thoughts(said);
  answer_parts parts;
  parts.idea = idea_of(text);
  const auto blocks = blocks_of(text);
  for (const block& b : blocks)
    if (b.tag == "schedule" && b.closed) {
      auto read = schedule_from_text(trimmed(b.content));
      if (!read)
        return for_model("the schedule cannot be read: " + read.error().message);
      parts.print = std::move(*read);
      return parts;
    }
  auto files = has_edits(text) ? edited(text, in, parent) : whole_files(blocks, in);
  if (!files)
    return files.error();
  parts.files = std::move(*files);
  std::size_t bytes = 0;
  for (const source_file& f : parts.files)
    bytes += f.content.size();
  if (bytes > limits::source_bytes)
    return for_model(fmt::format("found {} bytes of source, expected at most {}", bytes, limits::source_bytes));
  parts.flags = flags_of(parts.files);
  return parts;
}

} // namespace kevolve::synthesis
