// The memory roof measured beside a candidate: a program that reads every input byte once and writes every output byte once, on all cores of
// the slot, and does nothing else. While a leader is verified it is timed against it in the same run, on the same buffers: bandwidth on a
// shared host changes by the minute, so a roof measured at another time would flatter or slander. Pure; any thread.
#pragma once

#include "protocol/candidate.hpp"

#include <string>

namespace kevolve::agent {

/// For an operator with so many inputs and outputs: it knows the ABI's tensors only. Working sets of `streams_from_bytes` and more are written past
/// the caches (host_roofs has what this host does best). Its results are wrong by design, so it is no candidate.
candidate yardstick(const std::string& compiler, std::size_t inputs, std::size_t outputs, double streams_from_bytes);

} // namespace kevolve::agent
