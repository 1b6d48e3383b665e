#include "protocol/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace kevolve {

void check_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "kevolve: internal error: %s does not hold (%s:%d)\n", expression, file, line);
  std::abort();
}

} // namespace kevolve
