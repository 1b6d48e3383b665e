// SHA-256 of bytes, for names of things by their content. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace kevolve {

/// 64 hexadecimal digits.
std::string sha256_hex(std::string_view bytes);

} // namespace kevolve
