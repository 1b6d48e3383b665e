// Context memory by rules: what the attempts that a memory operator drew say about the bottleneck and about what is worth no second try, as a
// short report for a prompt and as signals for retrieval. Pure; any thread.
#pragma once

#include "actors/synthesis/generator.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace kevolve::synthesis {

/// What kinds of work an operator holds, by its graph and its type: "matmul", "norm", "softmax", "attention", "convolution", "reduction",
/// "gather", "transpose", "scan", "pooling", "sort", "loss", "embedding"; "elementwise" where it is none of them.
std::vector<std::string> kinds_of(const operator_definition& op);

struct evidence {
  std::string bottleneck;           // a paragraph on the parent: outcome or bound, with its numbers and hints
  std::vector<std::string> tried;   // a line each: what was changed, what came of it; the most telling first
  std::vector<std::string> signals; // "bound:memory", "outcome:compile_error", "operator:norm", "error:undefined_symbol", …
  std::string words;                // of messages and hints: what documents are searched for
};

evidence evidence_of(const problem& subject, const context& given);

/// "passed, 2.31x of its parent", "compile_error: kernel.cpp:12: …": an attempt's result in one line of at most 160 bytes.
std::string in_one_line(const attempt& a, const std::string& root = "the plain loop nest");
/// The evaluation of an attempt for a prompt: outcome, messages or the failed case, a line per workload, counters, hints. At most `bytes`.
std::string evaluation_text(const problem& subject, const attempt& a, std::size_t bytes);
/// Signals in a compiler's or loader's messages: "error:undefined_symbol", "error:type_mismatch", ….
std::vector<std::string> signals_in(std::string_view log);
/// At most `bytes` of a text: its beginning and its end, cut at lines, with a note of what is missing between.
std::string shortened(std::string_view text, std::size_t bytes);

} // namespace kevolve::synthesis
