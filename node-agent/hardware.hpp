// What this CPU is: the hardware key, caches, instruction set, what it could do at best. Read from sysfs and /proc. Any thread.
#pragma once

#include <cstdint>
#include <string>

namespace kevolve::agent {

/// Raised when what the judge measures or how changes: part of the key of every cached number.
inline constexpr const char* judge_version = "7";

/// A name as part of a key: lower case, anything but letters and digits one dash. "unknown" where nothing is left.
std::string slug(const std::string& text);
/// "cpu-x86_64-avx512-amd-epyc".
std::string hardware_key();
/// The x86-64 microarchitecture level ("x86-64-v4"), or the machine's name elsewhere.
std::string host_architecture();

struct cache_sizes {
  double l1 = 32e3, l2 = 512e3, l3 = 8e6; // bytes; L1 and L2 of one core, L3 as one core sees it
};
cache_sizes caches();

/// float32 operations per cycle and core at best, and why we think so ("2 x 256-bit FMA").
struct core_width {
  double flops_per_cycle = 8;
  int lanes = 4;
  std::string reason;
};
core_width widest_fma();

} // namespace kevolve::agent
