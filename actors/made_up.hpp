// Parts that cost nothing, for `bench engine` and tests: a problem, a generator whose candidates are small distinct texts, and what measuring one
// would say. Everything is a function of its arguments, so that two runs agree. Any thread.
#pragma once

#include "actors/engine.hpp"
#include "protocol/evaluation.hpp"
#include "protocol/message.hpp"
#include "protocol/operator.hpp"

namespace kevolve::made_up {

problem subject();
device_description device();
/// Schedules are lists of steps "nudge(x, by=…)"; a proposal adds one to its parent's (at most four stay). Sources have a line or two, or `source_bytes`.
generator_factory generator(std::size_t source_bytes = 0);
/// The latency of a candidate in seconds: the root takes 1 ms; a schedule's steps multiply it by their factors, never below 0.1 ms.
double latency_s(const candidate& c);
/// A passed evaluation (or, for one candidate in `fails_one_in`, an incorrect one) against its anchors and baselines.
evaluation measure(const evaluate_work& what, unsigned fails_one_in = 5);

} // namespace kevolve::made_up
