// CRC-32C (Castagnoli, RFC 3720): what every record of the store carries. The processor's instruction where it has one, a table
// elsewhere; both give the same value. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kevolve::kb {

/// Continues `crc` (0 to begin) over `size` bytes.
std::uint32_t crc32c(std::uint32_t crc, const void* data, std::size_t size) noexcept;
/// The table's form, for hosts without the instruction and for the test that compares both.
std::uint32_t crc32c_by_table(std::uint32_t crc, const void* data, std::size_t size) noexcept;

} // namespace kevolve::kb
