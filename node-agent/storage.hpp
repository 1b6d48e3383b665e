// Typed bytes and the oracle's numbers, both ways: what a candidate reads and writes against what the oracle computes with. Little-endian
// IEEE formats, float8 as OCP's e4m3fn and e5m2. Pure; any thread.
#pragma once

#include "node-agent/oracle.hpp"
#include "protocol/dtype.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace kevolve::agent {

/// Range and precision of a floating type.
struct floating_format {
  int fraction_bits;       // 23 for float32
  double largest;          // finite
  double smallest_normal;
  double smallest;         // subnormal
  [[nodiscard]] double epsilon() const; // distance from 1 to the next number
};
const floating_format& format_of(dtype type);

/// The nearest number of the type (ties to even); past the range ±Inf (e4m3fn, which has no Inf: NaN).
double round_to(dtype type, double value);

/// Writes values rounded to the type. `to` holds values.size() elements.
void encode(dtype type, std::span<const double> values, std::byte* to);
void encode(dtype type, std::span<const float> values, std::byte* to);
void encode(dtype type, std::span<const std::int64_t> values, std::byte* to);
void decode(dtype type, std::span<const std::byte> bytes, double* to);
void decode(dtype type, std::span<const std::byte> bytes, std::int64_t* to);

/// Exactly the values that the bytes hold.
oracle_tensor to_oracle(dtype type, const std::vector<std::int64_t>& shape, std::span<const std::byte> bytes);

} // namespace kevolve::agent
