// The cost model: seconds that a plan may take, from what its loops execute and what its nests move. Good for ranks, not for clocks: it knows
// vectors, threads, chains of dependent additions, traffic and the caches' sizes of a usual server core, not the host. Pure; any thread.
#pragma once

#include "actors/synthesis/propose.hpp"

namespace kevolve::synthesis {

/// For the axes that the outlook estimates (the geometric mean of the workloads). Seconds.
double estimated_seconds(const outlook& o, const plan& how);

} // namespace kevolve::synthesis
