// Element types as FlashInfer-Trace names them. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kevolve {

enum class dtype : std::uint8_t {
  float64, float32, float16, bfloat16, float8_e4m3fn, float8_e5m2, float4_e2m1,
  int64, int32, int16, int8, uint8, boolean,
};
constexpr std::uint64_t enum_max(dtype) { return static_cast<std::uint64_t>(dtype::boolean); }

/// "float32", "bool", …: the name on disk.
std::string_view to_string(dtype type) noexcept;
std::optional<dtype> dtype_from_string(std::string_view name) noexcept;
/// Bytes per element; float4_e2m1 counts as 1 (unpacked).
std::size_t size_of(dtype type) noexcept;
bool is_floating(dtype type) noexcept;

} // namespace kevolve
