#include "node-agent/storage.hpp"

#include "protocol/check.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace kevolve::agent {
namespace {

constexpr double largest_of(int fraction_bits, int largest_exponent) {
  double power = 1;
  for (int i = 0; i < largest_exponent; ++i)
    power *= 2;
  double half = 1;
  for (int i = 0; i < fraction_bits; ++i)
    half /= 2;
  return power * (2 - half);
}

// In the order of dtype.
const std::array<floating_format, 7> formats{{
    {52, std::numeric_limits<double>::max(), std::numeric_limits<double>::min(), std::numeric_limits<double>::denorm_min()},
    {23, std::numeric_limits<float>::max(), 0x1p-126, 0x1p-149},
    {10, 65504, 0x1p-14, 0x1p-24},
    {7, largest_of(7, 127), 0x1p-126, 0x1p-133},
    {3, 448, 0x1p-6, 0x1p-9},
    {2, 57344, 0x1p-14, 0x1p-16},
    {1, 6, 1, 0.5},
}};

std::uint16_t to_bfloat16(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (value != value)
    return static_cast<std::uint16_t>((bits >> 16) | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/// Bits of a small format from a number that the format holds.
unsigned small_bits(dtype type, double value) {
  const auto& f = format_of(type);
  int width = type == dtype::float16 ? 16 : type == dtype::float4_e2m1 ? 4 : 8;
  unsigned sign = std::signbit(value) ? 1u << (width - 1) : 0;
  unsigned all_exponents = ((1u << (width - 1)) - 1) >> f.fraction_bits << f.fraction_bits;
  if (value != value)
    return type == dtype::float8_e4m3fn ? sign | 0x7f : sign | all_exponents | (1u << (f.fraction_bits - 1));
  double size = std::abs(value);
  if (size > f.largest)
    return sign | all_exponents;
  if (size < f.smallest_normal)
    return sign | static_cast<unsigned>(size / f.smallest);
  int exponent;
  double fraction = std::frexp(size, &exponent); // [0.5, 1)
  int lowest = std::ilogb(f.smallest_normal);
  auto mantissa = static_cast<unsigned>(std::ldexp(fraction, f.fraction_bits + 1)) - (1u << f.fraction_bits);
  return sign | (static_cast<unsigned>(exponent - 1 - lowest + 1) << f.fraction_bits) | mantissa;
}

double small_value(dtype type, unsigned bits) {
  const auto& f = format_of(type);
  int width = type == dtype::float16 ? 16 : type == dtype::float4_e2m1 ? 4 : 8;
  double sign = bits >> (width - 1) & 1 ? -1 : 1;
  unsigned fraction = bits & ((1u << f.fraction_bits) - 1);
  unsigned exponent = (bits & ((1u << (width - 1)) - 1)) >> f.fraction_bits;
  unsigned top = ((1u << (width - 1)) - 1) >> f.fraction_bits;
  if (type == dtype::float8_e4m3fn ? (exponent == top && fraction == 7) : (type != dtype::float4_e2m1 && exponent == top && fraction))
    return std::numeric_limits<double>::quiet_NaN();
  if (type != dtype::float8_e4m3fn && type != dtype::float4_e2m1 && exponent == top)
    return sign * std::numeric_limits<double>::infinity();
  if (exponent == 0)
    return sign * fraction * f.smallest;
  return sign * std::ldexp(1.0 + std::ldexp(fraction, -f.fraction_bits), static_cast<int>(exponent) - 1 + std::ilogb(f.smallest_normal));
}

const std::vector<double>& table_of(dtype type) {
  static const auto build = [](dtype t, unsigned count) {
    std::vector<double> out(count);
    for (unsigned i = 0; i < count; ++i)
      out[i] = small_value(t, t == dtype::float4_e2m1 ? i & 15 : i);
    return out;
  };
  static const std::vector<double> half = build(dtype::float16, 65536), e4m3 = build(dtype::float8_e4m3fn, 256),
                                   e5m2 = build(dtype::float8_e5m2, 256), e2m1 = build(dtype::float4_e2m1, 256);
  return type == dtype::float16 ? half : type == dtype::float8_e4m3fn ? e4m3 : type == dtype::float8_e5m2 ? e5m2 : e2m1;
}

template <class Stored, class T, class F>
void write_as(std::span<const T> values, std::byte* to, F f) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto stored = static_cast<Stored>(f(values[i]));
    std::memcpy(to + i * sizeof stored, &stored, sizeof stored);
  }
}

template <class Stored, class T, class F>
void read_as(std::span<const std::byte> bytes, T* to, F f) {
  for (std::size_t i = 0, n = bytes.size() / sizeof(Stored); i < n; ++i) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + i * sizeof stored, sizeof stored);
    to[i] = f(stored);
  }
}

template <class T>
void encode_reals(dtype type, std::span<const T> values, std::byte* to) {
  auto same = [](T x) { return x; };
  auto small = [=](T x) { return small_bits(type, round_to(type, x)); };
  switch (type) {
    case dtype::float64: return write_as<double>(values, to, same);
    case dtype::float32: return write_as<float>(values, to, same);
    case dtype::bfloat16:
      if constexpr (std::is_same_v<T, float>)
        return write_as<std::uint16_t>(values, to, to_bfloat16);
      // Through float32 would round twice; round_to has bfloat16's precision already, so the second rounding is exact.
      return write_as<std::uint16_t>(values, to, [](T x) { return to_bfloat16(static_cast<float>(round_to(dtype::bfloat16, x))); });
    case dtype::float16: return write_as<std::uint16_t>(values, to, small);
    default: return write_as<std::uint8_t>(values, to, small);
  }
}

} // namespace

double floating_format::epsilon() const { return std::ldexp(1.0, -fraction_bits); }

const floating_format& format_of(dtype type) {
  KEVOLVE_CHECK(is_floating(type));
  return formats[static_cast<std::size_t>(type)];
}

double round_to(dtype type, double value) {
  if (type == dtype::float64)
    return value;
  if (type == dtype::float32)
    return static_cast<float>(value);
  const auto& f = format_of(type);
  double size = std::abs(value);
  if (!(size < std::numeric_limits<double>::infinity()))
    return type == dtype::float8_e4m3fn ? std::numeric_limits<double>::quiet_NaN() : value;
  double quantum = size < f.smallest_normal ? f.smallest : std::ldexp(1.0, std::ilogb(size) - f.fraction_bits);
  double rounded = std::nearbyint(size / quantum) * quantum;
  if (rounded > f.largest) {
    if (type == dtype::float4_e2m1)
      rounded = f.largest;
    else
      rounded = type == dtype::float8_e4m3fn ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  }
  return std::copysign(rounded, value);
}

void encode(dtype type, std::span<const double> values, std::byte* to) { encode_reals(type, values, to); }
void encode(dtype type, std::span<const float> values, std::byte* to) { encode_reals(type, values, to); }

void encode(dtype type, std::span<const std::int64_t> values, std::byte* to) {
  auto same = [](std::int64_t x) { return x; };
  switch (type) {
    case dtype::int64: return write_as<std::int64_t>(values, to, same);
    case dtype::int32: return write_as<std::int32_t>(values, to, same);
    case dtype::int16: return write_as<std::int16_t>(values, to, same);
    case dtype::boolean: return write_as<std::uint8_t>(values, to, [](std::int64_t x) { return x != 0; });
    default: return write_as<std::uint8_t>(values, to, same);
  }
}

void decode(dtype type, std::span<const std::byte> bytes, double* to) {
  auto same = [](auto x) { return static_cast<double>(x); };
  switch (type) {
    case dtype::float64: return read_as<double>(bytes, to, same);
    case dtype::float32: return read_as<float>(bytes, to, same);
    case dtype::bfloat16:
      return read_as<std::uint16_t>(bytes, to, [](std::uint16_t x) {
        auto wide = static_cast<std::uint32_t>(x) << 16;
        float value;
        std::memcpy(&value, &wide, 4);
        return static_cast<double>(value);
      });
    case dtype::float16: {
      const auto& table = table_of(type);
      return read_as<std::uint16_t>(bytes, to, [&](std::uint16_t x) { return table[x]; });
    }
    default: {
      const auto& table = table_of(type);
      return read_as<std::uint8_t>(bytes, to, [&](std::uint8_t x) { return table[x]; });
    }
  }
}

void decode(dtype type, std::span<const std::byte> bytes, std::int64_t* to) {
  auto same = [](auto x) { return static_cast<std::int64_t>(x); };
  switch (type) {
    case dtype::int64: return read_as<std::int64_t>(bytes, to, same);
    case dtype::int32: return read_as<std::int32_t>(bytes, to, same);
    case dtype::int16: return read_as<std::int16_t>(bytes, to, same);
    case dtype::int8: return read_as<std::int8_t>(bytes, to, same);
    default: return read_as<std::uint8_t>(bytes, to, same);
  }
}

oracle_tensor to_oracle(dtype type, const std::vector<std::int64_t>& shape, std::span<const std::byte> bytes) {
  oracle_tensor out{.type = type, .shape = shape, .reals = {}, .integers = {}};
  auto count = bytes.size() / size_of(type);
  if (is_floating(type)) {
    out.reals.resize(count);
    decode(type, bytes, out.reals.data());
  } else {
    out.integers.resize(count);
    decode(type, bytes, out.integers.data());
  }
  return out;
}

} // namespace kevolve::agent
