#include "actors/synthesis/prompts/lint.hpp"

#include "protocol/source_text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace kevolve::synthesis {
namespace {

constexpr std::size_t faults_at_most = 12;

/// The token at `i` spells `word`, which may be qualified ("std::thread", "torch.nn").
bool spells(const std::vector<token>& tokens, std::size_t i, std::string_view word) {
  std::string built;
  for (std::size_t k = i; k < tokens.size() && built.size() < word.size(); ++k)
    built += tokens[k].content;
  return built == word;
}

bool is_include_of(const std::vector<token>& tokens, std::size_t i, std::string_view path) {
  if (i + 2 >= tokens.size() || tokens[i].content != "#" || tokens[i + 1].content != "include")
    return false;
  std::string named;
  for (std::size_t k = i + 2; k < tokens.size() && tokens[k].line == tokens[i].line; ++k)
    named += tokens[k].content;
  return named.size() > 2 && std::string_view(named).substr(1, named.size() - 2) == path;
}

bool is_call_or_use(const std::vector<token>& tokens, std::size_t i, std::string_view word) {
  if (tokens[i].kind != token::word)
    return false;
  const bool member = i > 0 && (tokens[i - 1].content == "." || (tokens[i - 1].content == ">" && i > 1 && tokens[i - 2].content == "-"));
  const bool qualified = word.find(':') != word.npos || word.find('.') != word.npos;
  if (member && !qualified)
    return false;
  if (!spells(tokens, i, word))
    return false;
  if (qualified || word == "constructor")
    return word != "constructor" || (i >= 2 && tokens[i - 1].content == "(");
  return i + 1 < tokens.size() && tokens[i + 1].content == "(";
}

bool is_python(const language& in) { return in.fence == "python"; }

/// Brackets that do not match, which is how a cut-off answer looks.
std::string unbalanced(const source_file& f, const std::vector<token>& tokens) {
  std::vector<const token*> open;
  for (const token& t : tokens) {
    if (t.kind != token::sign)
      continue;
    const char c = t.content[0];
    if (c == '(' || c == '[' || c == '{') {
      open.push_back(&t);
    } else if (c == ')' || c == ']' || c == '}') {
      const char wanted = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (open.empty() || open.back()->content[0] != wanted)
        return fmt::format("{}:{}: '{}' closes nothing", f.path, t.line, c);
      open.pop_back();
    }
  }
  return open.empty() ? "" : fmt::format("{}:{}: '{}' is never closed: the source looks cut off", f.path, open.back()->line, open.back()->content);
}

bool defines(const std::vector<token>& tokens, const language& in) {
  for (std::size_t i = 1; i + 1 < tokens.size(); ++i)
    if (tokens[i].content == in.entry && tokens[i + 1].content == "(" && (is_python(in) ? tokens[i - 1].content == "def" : tokens[i - 1].kind == token::word))
      return true;
  return false;
}

bool has_c_linkage(const std::vector<token>& tokens) {
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i)
    if (tokens[i].content == "extern" && tokens[i + 1].content == "\"C\"")
      return true;
  return false;
}

} // namespace

std::vector<std::string> lint(const std::vector<source_file>& files, const language& in) {
  std::vector<std::string> faults;
  if (in.described) {
    if (std::none_of(files.begin(), files.end(), [&](const source_file& f) { return f.path == in.main_file; }))
      faults.push_back(fmt::format("there is no {}", in.main_file));
    return faults;
  }
  bool entry = false, linkage = is_python(in), abi = is_python(in), preprocessor = false;
  for (const source_file& f : files) {
    const auto tokens = tokens_of(f.content, is_python(in));
    entry = entry || defines(tokens, in);
    linkage = linkage || has_c_linkage(tokens);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      abi = abi || is_include_of(tokens, i, "kevolve.h");
      preprocessor = preprocessor || (!is_python(in) && tokens[i].content == "#" && i + 1 < tokens.size() && tokens[i + 1].content.starts_with("if"));
      for (const forbidden_word& word : in.forbidden)
        if (is_call_or_use(tokens, i, word.word) || (!is_python(in) && is_include_of(tokens, i, word.word)))
          faults.push_back(fmt::format("{}:{}: {}: {}", f.path, tokens[i].line, word.word, word.because));
    }
    if (!preprocessor) // branches of #if may each hold half of a bracket
      if (std::string fault = unbalanced(f, tokens); !fault.empty())
        faults.push_back(std::move(fault));
  }
  if (!entry)
    faults.push_back(fmt::format("{}: it does not define {}", in.main_file, in.entry));
  else if (!linkage)
    faults.push_back(fmt::format("{}: {} must be declared extern \"C\"", in.main_file, in.entry));
  if (!abi)
    faults.push_back(fmt::format("{}: it does not include \"kevolve.h\"", in.main_file));
  if (faults.size() > faults_at_most) {
    const auto more = faults.size() - faults_at_most;
    faults.resize(faults_at_most);
    faults.push_back(fmt::format("and {} more", more));
  }
  return faults;
}

} // namespace kevolve::synthesis
