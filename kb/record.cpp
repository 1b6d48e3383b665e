#include "kb/record.hpp"

#include "kb/crc32c.hpp"

#include <array>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <zstd.h>

namespace kevolve::kb {
namespace {

constexpr std::uint8_t record_version = 1;
constexpr std::uint8_t compressed_flag = 1;
constexpr int quick_level = 1, thorough_level = 12; // zstd's

void put_u32(char* out, std::uint32_t value) {
  for (int i = 0; i < 4; ++i)
    out[i] = static_cast<char>(value >> (8 * i));
}
std::uint32_t u32_at(const char* in) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i)
    value = value << 8 | static_cast<unsigned char>(in[i]);
  return value;
}

// Everything but the checksum field itself: table, key length and key, the first 8 header bytes, what follows the header.
std::uint32_t checksum(table where, std::string_view key, const char* record, std::size_t following) {
  const std::array<char, 3> prefix{static_cast<char>(where), static_cast<char>(key.size()), static_cast<char>(key.size() >> 8)};
  std::uint32_t crc = crc32c(0, prefix.data(), prefix.size());
  crc = crc32c(crc, key.data(), key.size());
  crc = crc32c(crc, record, 8);
  return crc32c(crc, record + record_header_bytes, following);
}

struct zstd_freer {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

} // namespace

const char* name_of(table t) noexcept {
  constexpr std::array<const char*, table_count> names{"root",     "events",      "candidates",  "candidate_index",
                                                       "sessions", "occurrences", "evaluations", "verifications",
                                                       "event_segments", "candidate_segments"};
  return names[static_cast<std::size_t>(t)];
}

result<packed_body> pack_body(std::string plain, effort spent) {
  if (plain.size() > record_bytes_max)
    return error{errc::refused, fmt::format("a record of {} bytes is larger than the store keeps ({})", plain.size(), record_bytes_max)};
  if (plain.size() <= compress_from_bytes)
    return packed_body{std::move(plain), false};
  thread_local std::unique_ptr<ZSTD_CCtx, zstd_freer> context(ZSTD_createCCtx());
  thread_local std::string buffer;
  buffer.resize(ZSTD_compressBound(plain.size()));
  const std::size_t size = ZSTD_compressCCtx(context.get(), buffer.data(), buffer.size(), plain.data(), plain.size(),
                                             spent == effort::quick ? quick_level : thorough_level);
  if (ZSTD_isError(size) || size >= plain.size())
    return packed_body{std::move(plain), false};
  packed_body packed{buffer.substr(0, size), true};
  if (buffer.size() > (std::size_t{1} << 20)) // one large record must not pin its buffer to the thread
    buffer = {};
  return packed;
}

void write_record(char* out, table where, std::string_view key, std::string_view fixed, const packed_body& body) {
  const std::size_t following = fixed.size() + body.bytes.size();
  out[0] = static_cast<char>(record_version);
  out[1] = static_cast<char>(body.compressed ? compressed_flag : 0);
  out[2] = out[3] = 0;
  put_u32(out + 4, static_cast<std::uint32_t>(following));
  if (!fixed.empty())
    std::memcpy(out + record_header_bytes, fixed.data(), fixed.size());
  if (!body.bytes.empty())
    std::memcpy(out + record_header_bytes + fixed.size(), body.bytes.data(), body.bytes.size());
  put_u32(out + 8, checksum(where, key, out, following));
}

std::string make_record(table where, std::string_view key, std::string_view body) {
  packed_body packed{std::string(body), false};
  std::string out(packed.record_bytes(0), '\0');
  write_record(out.data(), where, key, {}, packed);
  return out;
}

result<opened_record> open_record(table where, std::string_view key, std::string_view value, std::size_t fixed_bytes) {
  if (value.size() < record_header_bytes + fixed_bytes)
    return error{errc::damaged, fmt::format("{} bytes, at least {} expected", value.size(), record_header_bytes + fixed_bytes)};
  const std::size_t following = value.size() - record_header_bytes;
  const std::uint32_t stated = u32_at(value.data() + 8), found = checksum(where, key, value.data(), following);
  if (stated != found)
    return error{errc::damaged, fmt::format("checksum {:08x}, {:08x} expected", found, stated)};
  if (static_cast<unsigned char>(value[0]) != record_version)
    return error{errc::damaged, fmt::format("record version {}, this kevolve reads up to {}: it was written by a newer one",
                                            static_cast<unsigned>(static_cast<unsigned char>(value[0])), record_version)};
  if (u32_at(value.data() + 4) != following)
    return error{errc::damaged, fmt::format("{} bytes follow the header, {} expected", following, u32_at(value.data() + 4))};
  const auto flags = static_cast<unsigned char>(value[1]);
  if (flags & ~compressed_flag)
    return error{errc::damaged, fmt::format("record flags {:#x} are not known", flags)};
  return opened_record{value.substr(record_header_bytes, fixed_bytes), value.substr(record_header_bytes + fixed_bytes),
                       (flags & compressed_flag) != 0};
}

result<std::string_view> body_of(const opened_record& record, std::string& buffer) {
  if (!record.compressed)
    return record.stored;
  const auto size = ZSTD_getFrameContentSize(record.stored.data(), record.stored.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > record_bytes_max)
    return error{errc::damaged, "the compressed body has no valid size"};
  thread_local std::unique_ptr<ZSTD_DCtx, zstd_freer> context(ZSTD_createDCtx());
  buffer.resize(size);
  const std::size_t got = ZSTD_decompressDCtx(context.get(), buffer.data(), buffer.size(), record.stored.data(), record.stored.size());
  if (ZSTD_isError(got) || got != size)
    return error{errc::damaged, "the compressed body does not decompress"};
  return std::string_view(buffer);
}

} // namespace kevolve::kb
