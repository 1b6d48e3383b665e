// What a model said, turned into a candidate's files: whole files, several files, search/replace edits of the parent's, or a schedule for the
// generator to print. Takes answers as models really write them; what it can't take it says in words that the model can act on. Pure.
#pragma once

#include "actors/synthesis/prompts/language.hpp"
#include "protocol/result.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve::synthesis {

struct answer_parts {
  std::string idea;                    // one line: what is tried and why
  std::vector<source_file> files;      // complete, edits applied
  std::vector<std::string> flags;      // from a line "flags: …"; empty: the language's
  std::optional<schedule> print;       // instead of files
};

/// `parent`: the files that edits apply to; empty: there are none. Errors are for the model: errc::synthesizer.
result<answer_parts> read_answer(std::string_view text, const language& in, const std::vector<source_file>& parent);

/// Applies edits in the text to `file`. An edit's search text must be there exactly once (or, where it isn't, once when spaces at the ends of
/// lines and indentation are ignored). Errors name the edit by its number.
result<std::string> apply_edits(std::string_view edits, const std::string& file);
bool has_edits(std::string_view text);

} // namespace kevolve::synthesis
