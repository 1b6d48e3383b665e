// What this host can do at best, measured by kernels that are compiled, loaded and called exactly as candidates are, on the same kind of
// memory: read, write and copy bandwidth per working set on all cores of a device slot, and the FMA peak with 24 independent
// accumulators, checked against instruction width x units x a clock measured by a chain of dependent multiplications. The best of several
// repeats counts: a roof is what is possible. Kept on disk by hardware key x toolchain x judge version. Any thread.
#pragma once

#include "node-agent/evaluate.hpp"

#include <functional>

namespace kevolve::agent {

/// Times `kernel` on float32 buffers once per set of axes: the least seconds per call.
using probe_kernel = std::function<result<std::vector<double>>(const candidate& kernel, const std::vector<std::int64_t>& inputs,
                                                               const std::vector<std::int64_t>& outputs,
                                                               const std::vector<std::vector<std::int64_t>>& axes)>;

/// What calibration runs, and golden.hpp. One float32 input, two float32 outputs, of which the second takes every thread's sum (every 16th element); axes: one of these modes,
/// elements, and how often.
enum roof_mode : std::int64_t { reading, writing_past_caches, writing, copying_past_caches, copying, multiplying_and_adding, dependent_multiplications, golden_sums };
candidate roof_kernel(const std::string& compiler);
/// Of its sums on this host: accumulators of a thread, and operations that `cores` threads make in so many rounds.
int roof_chains();
double roof_flops(std::int64_t rounds, std::size_t cores);

result<host_roofs> measure_roofs(const std::filesystem::path& cache, const std::string& hardware, const std::string& toolchain,
                                 const std::string& compiler, std::size_t cores, bool afresh, const probe_kernel& probe);

/// The least time to read and write so many bytes once with a working set of their sum: pairs of read and written bytes at the copy's
/// rate, the rest at the reading or writing rate.
double memory_time(const host_roofs& roofs, double read_bytes, double write_bytes);

} // namespace kevolve::agent
