// Integer expressions over an operator's axes ("M*4096", "(L + 2*3 - 3)//2 + 1"): shapes, graph attributes, SOL-ExecBench `expr` axes.
// Grammar: + - * / // % ** unary minus, parentheses, integers, axis names; / must divide exactly, // floors. Overflow past 2^63 is an error.
// Pure; any thread.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kevolve {

/// Values of axes, in the definition's order of axes.
using axis_binding = std::vector<std::pair<std::string, std::int64_t>>;

std::optional<std::int64_t> find_axis(const axis_binding& axes, std::string_view name) noexcept;

/// Evaluates `text` under `axes`. Errors name the expression, the position and what was expected.
result<std::int64_t> evaluate(std::string_view text, const axis_binding& axes);
/// The axis names that `text` reads, each once, in order of first use; an error when it does not parse.
result<std::vector<std::string>> names_in(std::string_view text);

} // namespace kevolve
