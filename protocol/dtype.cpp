#include "protocol/dtype.hpp"

#include <array>

namespace kevolve {
namespace {

struct description {
  std::string_view name;
  std::size_t bytes;
  bool floating;
};

// In the enumeration's order.
constexpr std::array<description, 13> descriptions{{
  {"float64", 8, true},
  {"float32", 4, true},
  {"float16", 2, true},
  {"bfloat16", 2, true},
  {"float8_e4m3fn", 1, true},
  {"float8_e5m2", 1, true},
  {"float4_e2m1", 1, true},
  {"int64", 8, false},
  {"int32", 4, false},
  {"int16", 2, false},
  {"int8", 1, false},
  {"uint8", 1, false},
  {"bool", 1, false},
}};
static_assert(descriptions.size() == enum_max(dtype{}) + 1);

constexpr const description& of(dtype type) { return descriptions[static_cast<std::size_t>(type)]; }

} // namespace

std::string_view to_string(dtype type) noexcept { return of(type).name; }

std::optional<dtype> dtype_from_string(std::string_view name) noexcept {
  for (std::size_t i = 0; i < descriptions.size(); ++i)
    if (descriptions[i].name == name)
      return static_cast<dtype>(i);
  return std::nullopt;
}

std::size_t size_of(dtype type) noexcept { return of(type).bytes; }
bool is_floating(dtype type) noexcept { return of(type).floating; }

} // namespace kevolve
