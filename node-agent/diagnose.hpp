// Why a candidate is as fast as it is: bytes and operations from the graph, the host's roofs, the compiler's remarks. Sets each timing's
// roof, the diagnosis and its hints; a time below what the host can do is set to quarantined. Pure; any thread.
#pragma once

#include "node-agent/evaluate.hpp"

namespace kevolve::agent {

/// `roofs` may be null (not measured): then nothing is said of the distance to them.
void diagnose(const problem& subject, const host_roofs* roofs, evaluation& e);

/// A time this far below the roof is not believed: what the roofs' own measurement and a cache that keeps more than we think can explain.
inline constexpr double roof_margin = 0.7;

} // namespace kevolve::agent
