#include "protocol/likeness.hpp"

#include "protocol/source_text.hpp"

#include <string>
#include <unordered_map>
#include <unordered_set>

namespace kevolve {
namespace {

constexpr std::uint64_t prime = 0x100000001b3ull; // FNV-1a

std::uint64_t mixed(std::uint64_t h, std::uint64_t value) {
  for (int byte = 0; byte < 8; ++byte)
    h = (h ^ ((value >> (8 * byte)) & 0xff)) * prime;
  return h;
}

std::uint64_t hash_of(std::uint64_t h, std::string_view text) {
  h = mixed(h, text.size());
  for (char c : text)
    h = (h ^ static_cast<unsigned char>(c)) * prime;
  return h;
}

/// Words that mean what they say; all others are somebody's names.
bool is_language(std::string_view word) {
  static const std::unordered_set<std::string_view> words{
    "float", "double", "int", "long", "short", "char", "bool", "unsigned", "signed", "void", "auto", "const", "static", "inline", "constexpr", "struct",
    "for", "while", "do", "if", "else", "return", "break", "continue", "switch", "case", "template", "typename", "true", "false", "nullptr", "pragma",
    "omp", "parallel", "simd", "schedule", "reduction", "collapse", "include", "define", "restrict", "__restrict", "__restrict__", "def", "in", "range",
    "tl", "constexpr", "import", "and", "or", "not", "is", "None", "True", "False", "lambda", "shape", "data", "strides", "axes", "inputs", "outputs"};
  return words.contains(word) || word.starts_with("__") || word.starts_with("_mm");
}

std::uint64_t digest(const candidate& c, bool numbers) {
  std::uint64_t h = hash_of(0xcbf29ce484222325ull, c.build.language);
  for (const std::string& flag : c.build.flags)
    h = hash_of(h, flag);
  for (const source_file& f : c.sources) {
    std::unordered_map<std::string_view, std::uint64_t> names;
    const bool python = f.path.ends_with(".py");
    const auto tokens = tokens_of(f.content, python);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const token& t = tokens[i];
      if (t.kind == token::number && !numbers)
        h = mixed(h, 1);
      else if (t.kind == token::word && !is_language(t.content) && (i + 1 >= tokens.size() || tokens[i + 1].content != "("))
        h = mixed(mixed(h, 2), names.try_emplace(t.content, names.size()).first->second);
      else
        h = hash_of(h, t.content); // what is called keeps its name: exp is not log
    }
  }
  return h;
}

} // namespace

std::uint64_t likeness_of(const candidate& c) { return digest(c, true); }

std::uint64_t strategy_of_sources(const candidate& c) { return digest(c, false); }

} // namespace kevolve
