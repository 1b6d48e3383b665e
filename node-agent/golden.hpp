// A golden run: calibration's kernel (roofs.hpp) once more, with inputs and rounds whose results are known, for about half a second: copies of a working set past the caches, and
// sums of multiplications and additions on all cores of a slot. What it finds is compared with the calibration (device_health.hpp). Pure; any thread.
#pragma once

#include "node-agent/device_health.hpp"
#include "node-agent/evaluate.hpp"
#include "node-agent/judge_messages.hpp"

#include <array>

namespace kevolve::agent {

/// What is asked of a judge, but for its number and the program. `roofs` has at least one working set.
judge_golden golden_request(const host_roofs& roofs, std::uint64_t seed);
/// What came of it. Errors (infrastructure): the program could not be started, which says nothing of the device. `cores`: as calibration counts them.
result<golden_run> golden_run_of(const judge_golden_done& done, const host_roofs& roofs, std::size_t cores);
/// What it is compared with.
golden_rates calibrated_rates(const host_roofs& roofs);

/// Every thread's sum on a host whose kernel has so many accumulators: by fused multiply-add, and by multiplication and addition. Beginning with k times 0.731, an accumulator is
/// multiplied by -0.99999994 and added 0.731 to, `golden_rounds` times: it swings between two values, so that an error in any round is still there at the end.
inline constexpr std::int64_t golden_rounds = 300'000;
std::array<float, 2> golden_sums_of(int accumulators, std::int64_t rounds);

} // namespace kevolve::agent
