// When are two sources the same try? Equal tokens with own names numbered by first use: comments, layout and names make no difference.
// Without the numbers it is the source's strategy (the glossary's word). Pure; any thread.
#pragma once

#include "protocol/candidate.hpp"

#include <cstdint>
#include <vector>

namespace kevolve {

/// Equal for candidates that differ in comments, layout and names only. Flags count.
std::uint64_t likeness_of(const candidate& c);
/// The same without numbers: a tile of 32 instead of 64 is the same strategy.
std::uint64_t strategy_of_sources(const candidate& c);

} // namespace kevolve
