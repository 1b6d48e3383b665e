// A value as the store keeps it: a header of 12 bytes, then the bytes, compressed where that pays. The checksum covers table, key, header
// and content, so that a flipped bit, a torn page and a record under another's key are all found by whoever reads it. Pure; any thread.
//   0  u8 version (1)   1  u8 flags (bit 0: body is zstd)   2  u16 zero   4  u32 length of what follows the header   8  u32 CRC-32C
// All integers little-endian. `fixed` bytes (chain and sequence of an event) precede the body and are never compressed.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace kevolve::kb {

/// The tables; the number is part of each record's checksum.
enum class table : std::uint8_t {
  root, events, candidates, candidate_index, sessions, occurrences, evaluations, verifications, event_segments, candidate_segments
};
inline constexpr std::size_t table_count = 10;
/// Tables that a store of schema 1 may lack; read as empty where they are missing.
inline constexpr bool may_be_missing(table t) { return t >= table::event_segments; }
const char* name_of(table t) noexcept;

inline constexpr std::size_t record_header_bytes = 12;
inline constexpr std::size_t compress_from_bytes = 1024; // below, zstd's frame and time are not worth what it saves
inline constexpr std::size_t record_bytes_max = std::size_t{64} << 20;

/// A body ready to be written: compressed on the caller's thread, so that the writer only copies and checksums.
struct packed_body {
  std::string bytes;
  bool compressed = false;

  std::size_t record_bytes(std::size_t fixed) const { return record_header_bytes + fixed + bytes.size(); }
};
enum class effort : std::uint8_t { quick, thorough }; // of compression: for one event on its way, or for what is packed once and for all
/// Refused past record_bytes_max.
result<packed_body> pack_body(std::string plain, effort spent = effort::quick);

/// Writes header, fixed part and body to `out`, which holds body.record_bytes(fixed.size()) bytes.
void write_record(char* out, table where, std::string_view key, std::string_view fixed, const packed_body& body);
/// The same as a string.
std::string make_record(table where, std::string_view key, std::string_view body);

struct opened_record {
  std::string_view fixed;
  std::string_view stored;  // the body as it lies there
  bool compressed = false;
};
/// Checks version, length and checksum; `fixed_bytes` are split off. An error says what was found and expected, not where.
result<opened_record> open_record(table where, std::string_view key, std::string_view value, std::size_t fixed_bytes = 0);
/// The body as it was packed; decompressed into `buffer` where needed.
result<std::string_view> body_of(const opened_record& record, std::string& buffer);

} // namespace kevolve::kb
