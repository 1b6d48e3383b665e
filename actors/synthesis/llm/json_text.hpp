// JSON from somebody we do not trust: bounded depth before anything is built, no exceptions out. Any thread.
#pragma once

#include "actors/synthesis/llm/types.hpp"

namespace kevolve::llm {

/// None: not JSON, or nested deeper than 64 (the deepest format here has 8).
std::optional<json> parse_json(std::string_view text);
/// Text with anything that is not UTF-8 replaced.
std::string json_text(const json& value);

/// Members, where they are what they should be.
const json* member(const json& of, const char* name);            // null where absent, or JSON null
std::string text_member(const json& of, const char* name);       // "" where it is none
std::uint64_t count_member(const json& of, const char* name);    // 0 where it is none

} // namespace kevolve::llm
