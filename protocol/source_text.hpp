// A source seen as tokens: without comments, for whoever looks for words in it or compares it with others. Knows C++ and Python comments and
// strings. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve {

struct token {
  enum kind_type : std::uint8_t { word, number, text, sign } kind;
  std::string_view content; // points into the source
  std::uint32_t line;       // from 1
};

/// Comments and white space left out. `python`: '#' begins a comment; otherwise // and /* */, and '#' is a sign.
std::vector<token> tokens_of(std::string_view source, bool python);

/// Whether a source file may have this path: relative, with no part "..", no NUL, and not empty.
bool is_source_path(std::string_view path);

} // namespace kevolve
