// Is this database what was written? Before LMDB maps it (a damaged file makes LMDB crash), and record by record (`check`).
#pragma once

#include "kb/store.hpp"

namespace kevolve::kb {

struct database;

/// Cheap enough for every start: what LMDB trusts blindly. `alone`: no other process writes meanwhile.
result<void> verify_before_mapping(const std::filesystem::path& directory, bool alone);

} // namespace kevolve::kb
