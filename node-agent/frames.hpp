// Frames over a stream socket: a 32-bit length and that many bytes. One thread per end.
#pragma once

#include "protocol/result.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace kevolve::agent {

inline constexpr std::size_t frame_limit = 256u << 20; // a problem with its graph and logs stays far below

/// False when the other end is gone.
bool write_frame(int fd, std::string_view bytes);
/// One whole frame; nothing when none has begun within `wait_ms` (-1: waits for ever); an error when the other end is gone or speaks
/// something else.
result<std::optional<std::string>> read_frame(int fd, int wait_ms);

} // namespace kevolve::agent
