// Our own bugs: an invariant that does not hold aborts the process, in every build type. Never for input, disk or network.
#pragma once

namespace kevolve {
[[noreturn]] void check_failed(const char* expression, const char* file, int line) noexcept;
} // namespace kevolve

#define KEVOLVE_CHECK(expression)                                                                                                    \
  ((expression) ? static_cast<void>(0) : ::kevolve::check_failed(#expression, __FILE__, __LINE__))
