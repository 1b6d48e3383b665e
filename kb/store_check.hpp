// Lets LMDB read a database in a process of its own, where a crash is a finding: LMDB asserts, and the kernel sends SIGBUS, on damage that the
// page check does not model. The process is `kevolve-store-check`, found beside our own executable; without it a fork, where we have a single
// thread; else nothing (the page check has been done).
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <filesystem>

namespace kevolve::kb {

enum class check_effort : std::uint8_t {
  start, // opens, walks the tables of a small store, and the root of a large one
  full,  // touches every record
};

/// Runs in the child. Returns what LMDB says, if it survives.
result<void> read_with_lmdb(const std::filesystem::path& directory, check_effort effort);
/// Runs read_with_lmdb in a child; damaged where the child dies of a signal.
result<void> check_in_child(const std::filesystem::path& directory, check_effort effort);

} // namespace kevolve::kb
