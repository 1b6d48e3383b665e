// One loop around several nests: attention's two products and the softmax between them, head after head, so that what passes from one to the
// next is one head's share, in a buffer of the thread that computes it. Pure; any thread.
#pragma once

#include "actors/synthesis/plan.hpp"

namespace kevolve::synthesis {

/// Puts runs of consecutive nests into teams: nests whose outermost loops have one extent and of which each hands the next only what the same
/// iteration of that loop computed. `subject`: "*" or a nest that the team must contain. Empty, or why there is no such run.
std::string put_together(plan& out, const std::string& subject);

} // namespace kevolve::synthesis
