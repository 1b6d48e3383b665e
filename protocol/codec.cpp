#include "protocol/codec.hpp"

#include <bit>
#include <cstring>

namespace kevolve::codec {
namespace {

template <class T>
T big_endian(const unsigned char* data) {
  std::uint64_t raw = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    raw = raw << 8 | data[i];
  return static_cast<T>(raw);
}

} // namespace

bool reader::fail(std::string what) {
  if (problem_.empty())
    problem_ = "MessagePack at byte " + std::to_string(offset_) + ": " + std::move(what);
  return false;
}

bool reader::take(std::size_t count, const unsigned char*& data) {
  if (!ok())
    return false;
  if (bytes_.size() - offset_ < count)
    return fail("needs " + std::to_string(count) + " more bytes, " + std::to_string(bytes_.size() - offset_) + " are left");
  data = reinterpret_cast<const unsigned char*>(bytes_.data()) + offset_;
  offset_ += count;
  return true;
}

bool reader::peek(unsigned char& tag) {
  const unsigned char* data = nullptr;
  if (!take(1, data))
    return false;
  --offset_;
  tag = *data;
  return true;
}

bool reader::enter() {
  if (depth_ >= limits::decode_depth * 2)
    return fail("nested deeper than allowed");
  ++depth_;
  return true;
}

bool reader::charge(std::size_t memory) {
  if (memory > memory_left_)
    return fail("its elements take more memory than a value of this size may");
  memory_left_ -= memory;
  return true;
}

bool reader::read_nil_if_present() {
  unsigned char tag = 0;
  if (!peek(tag) || tag != 0xc0)
    return false;
  ++offset_;
  return true;
}

bool reader::read_boolean(bool& value) {
  const unsigned char* data = nullptr;
  if (!take(1, data))
    return false;
  if (*data != 0xc2 && *data != 0xc3)
    return fail("expected a boolean");
  value = *data == 0xc3;
  return true;
}

bool reader::read_unsigned(std::uint64_t& value) {
  std::int64_t as_signed = 0;
  unsigned char tag = 0;
  if (!peek(tag))
    return false;
  const unsigned char* data = nullptr;
  if (tag == 0xcf) {
    if (!take(9, data))
      return false;
    value = big_endian<std::uint64_t>(data + 1);
    return true;
  }
  if (!read_signed(as_signed))
    return false;
  if (as_signed < 0)
    return fail("expected an integer that is not negative");
  value = static_cast<std::uint64_t>(as_signed);
  return true;
}

bool reader::read_signed(std::int64_t& value) {
  const unsigned char* data = nullptr;
  if (!take(1, data))
    return false;
  unsigned char tag = *data;
  if (tag < 0x80)
    return value = tag, true;
  if (tag >= 0xe0)
    return value = static_cast<signed char>(tag), true;
  switch (tag) {
    case 0xcc: return take(1, data) && (value = data[0], true);
    case 0xcd: return take(2, data) && (value = big_endian<std::uint16_t>(data), true);
    case 0xce: return take(4, data) && (value = big_endian<std::uint32_t>(data), true);
    case 0xcf: {
      if (!take(8, data))
        return false;
      auto raw = big_endian<std::uint64_t>(data);
      if (raw > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return fail("integer past 2^63");
      return value = static_cast<std::int64_t>(raw), true;
    }
    case 0xd0: return take(1, data) && (value = static_cast<std::int8_t>(data[0]), true);
    case 0xd1: return take(2, data) && (value = static_cast<std::int16_t>(big_endian<std::uint16_t>(data)), true);
    case 0xd2: return take(4, data) && (value = static_cast<std::int32_t>(big_endian<std::uint32_t>(data)), true);
    case 0xd3: return take(8, data) && (value = static_cast<std::int64_t>(big_endian<std::uint64_t>(data)), true);
    default: return fail("expected an integer");
  }
}

bool reader::read_real(double& value) {
  unsigned char tag = 0;
  if (!peek(tag))
    return false;
  const unsigned char* data = nullptr;
  if (tag == 0xcb)
    return take(9, data) && (value = std::bit_cast<double>(big_endian<std::uint64_t>(data + 1)), true);
  if (tag == 0xca)
    return take(5, data) && (value = std::bit_cast<float>(big_endian<std::uint32_t>(data + 1)), true);
  std::int64_t integer = 0;
  return read_signed(integer) && (value = static_cast<double>(integer), true);
}

bool reader::read_string(std::string_view& value) {
  const unsigned char* data = nullptr;
  if (!take(1, data))
    return false;
  std::size_t size = 0;
  if ((*data & 0xe0) == 0xa0)
    size = *data & 0x1f;
  else if (*data == 0xd9 || *data == 0xc4)
    size = take(1, data) ? *data : 0;
  else if (*data == 0xda || *data == 0xc5)
    size = take(2, data) ? big_endian<std::uint16_t>(data) : 0;
  else if (*data == 0xdb || *data == 0xc6)
    size = take(4, data) ? big_endian<std::uint32_t>(data) : 0;
  else
    return fail("expected a string");
  if (!ok() || !take(size, data))
    return false;
  value = {reinterpret_cast<const char*>(data), size};
  return true;
}

bool reader::read_array(std::size_t& count) {
  const unsigned char* data = nullptr;
  if (!take(1, data))
    return false;
  if ((*data & 0xf0) == 0x90)
    count = *data & 0x0f;
  else if (*data == 0xdc)
    count = take(2, data) ? big_endian<std::uint16_t>(data) : 0;
  else if (*data == 0xdd)
    count = take(4, data) ? big_endian<std::uint32_t>(data) : 0;
  else
    return fail("expected an array");
  if (ok() && count > bytes_.size() - offset_)
    return fail("array of " + std::to_string(count) + " elements does not fit in what is left");
  return ok();
}

bool reader::read_map(std::size_t& count) {
  const unsigned char* data = nullptr;
  if (!take(1, data))
    return false;
  if ((*data & 0xf0) == 0x80)
    count = *data & 0x0f;
  else if (*data == 0xde)
    count = take(2, data) ? big_endian<std::uint16_t>(data) : 0;
  else if (*data == 0xdf)
    count = take(4, data) ? big_endian<std::uint32_t>(data) : 0;
  else
    return fail("expected a map");
  if (ok() && count > (bytes_.size() - offset_) / 2)
    return fail("map of " + std::to_string(count) + " entries does not fit in what is left");
  return ok();
}

bool reader::skip() {
  unsigned char tag = 0;
  if (!peek(tag) || !enter())
    return false;
  const unsigned char* data = nullptr;
  std::string_view text;
  std::size_t count = 0;
  bool good = true;
  if (tag == 0xc0 || tag == 0xc2 || tag == 0xc3) {
    good = take(1, data);
  } else if ((tag & 0xe0) == 0xa0 || (tag >= 0xd9 && tag <= 0xdb) || (tag >= 0xc4 && tag <= 0xc6)) {
    good = read_string(text);
  } else if ((tag & 0xf0) == 0x90 || tag == 0xdc || tag == 0xdd) {
    good = read_array(count);
    for (std::size_t i = 0; good && i < count; ++i)
      good = skip();
  } else if ((tag & 0xf0) == 0x80 || tag == 0xde || tag == 0xdf) {
    good = read_map(count);
    for (std::size_t i = 0; good && i < 2 * count; ++i)
      good = skip();
  } else if (tag == 0xca || tag == 0xcb) {
    double real = 0;
    good = read_real(real);
  } else if (tag == 0xcf) {
    good = take(9, data);
  } else if (tag < 0x80 || tag >= 0xe0 || (tag >= 0xcc && tag <= 0xd3)) {
    std::int64_t integer = 0;
    good = read_signed(integer);
  } else {
    good = fail("extension types are not used");
  }
  leave();
  return good;
}

} // namespace kevolve::codec
