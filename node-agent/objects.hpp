// What a candidate's object file may hold, read from its ELF tables before we link it: no code that runs by being loaded (constructors, IFUNC),
// no symbol that is not a candidate's own, the math library's, the memory allocator's, OpenMP's or the compiler's run-time support. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kevolve::agent {

/// A candidate may refer to this symbol of a library.
bool allowed_symbol(std::string_view name);

/// Empty, or why these object files (their contents; together they are the candidate) may not be linked.
std::string refuse_objects(const std::vector<std::string>& objects);

} // namespace kevolve::agent
