// What this process uses and may use: processor time, resident memory, open descriptors. Linux only. Any thread.
#pragma once

#include <cstdint>

namespace kevolve {

/// User and system time of all threads, in seconds.
double own_cpu_s();

/// Bytes: memory of its own, and file pages that the kernel may take back (the store's map).
struct resident { double anonymous = 0, mapped = 0; };
resident own_resident();

std::uint32_t own_descriptors();
/// Raises the soft limit on descriptors to the hard one: a connection takes one, and the usual soft limit is 1,024.
void allow_many_descriptors();

} // namespace kevolve
