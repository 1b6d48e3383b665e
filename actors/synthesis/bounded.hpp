// Loops that data bound: a sum over all of a dimension of what is zero outside of a range is a sum over that range. Pure; any thread.
#pragma once

#include "actors/synthesis/plan.hpp"

namespace kevolve::synthesis {

/// Where a reduction's body is `select(first <= i && i < last, x, neutral)`, its loop i runs from `first` to `last` and computes x.
void bound_loops(const program& p, nest& n);

} // namespace kevolve::synthesis
