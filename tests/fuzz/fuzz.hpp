// A fuzz target: seeds, and what must hold of any bytes. `fuzz_bytes` aborts (check, or an exception that escapes) where it does not. Built with libFuzzer
// where the compiler has it, and with driver.cpp everywhere: the same targets, the same checks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve::fuzz {

std::vector<std::string> seeds();
void fuzz_bytes(std::string_view bytes);

/// Memory that `new` handed out and has not had back.
struct memory {
  static std::size_t live();
  /// The most that was live since `begin_peak`, beyond what was live then.
  static void begin_peak();
  static std::size_t peak();
};

} // namespace kevolve::fuzz
