#include "node-agent/diagnose.hpp"

#include "node-agent/hardware.hpp"
#include "node-agent/oracle.hpp"
#include "node-agent/roofs.hpp"
#include "node-agent/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace kevolve::agent {
namespace {

constexpr double yardstick_least_bytes = 1 << 20;

constexpr double short_call_s = 10e-6; // about what entering a parallel region costs
constexpr double near_roof = 0.5;      // from here on the roof itself explains the time

constexpr double reads_all = 0.99;     // of its inputs' bytes: else the yardstick, which reads them all, is no roof

/// Bytes of all inputs together.
double input_bytes_of(const operator_definition& op, const axis_binding& axes) {
  double bytes = 0;
  for (const tensor_spec& input : op.inputs)
    if (auto shape = bind_shape(input.shape, axes)) {
      double n = static_cast<double>(size_of(input.type));
      for (const std::int64_t extent : *shape)
        n *= static_cast<double>(extent);
      bytes += n;
    }
  return bytes;
}

/// Shares of the time that each resource explains, summed over workloads.
struct shares {
  double latency_s = 0, memory_s = 0, compute_s = 0, scalar_s = 0;
};

bool vectorised(const evaluation& e) {
  return std::any_of(e.diagnosed.remarks.begin(), e.diagnosed.remarks.end(), [](const std::string& r) { return r.find("vectorized") != r.npos; });
}

std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.0f%%", 100 * share);
  return text;
}

void classify(const shares& s, evaluation& e) {
  const double memory = s.memory_s / s.latency_s, compute = s.compute_s / s.latency_s, scalar = s.scalar_s / s.latency_s;
  auto& d = e.diagnosed;
  const bool plain = !vectorised(e);
  if (std::max(memory, compute) >= near_roof) {
    d.limited_by = memory >= compute ? bound::memory : bound::compute;
  } else if (s.latency_s / static_cast<double>(e.timings.size()) < short_call_s) {
    d.limited_by = bound::launch;
    d.hints.push_back("a call takes about as long as starting threads: use fewer threads or none for this size");
  } else if (plain && scalar >= 0.35) {
    d.limited_by = bound::compute; // scalar code near its own peak
  } else {
    d.limited_by = memory >= 0.25 && memory > 2 * compute ? bound::memory : compute >= 0.25 ? bound::compute : bound::latency;
  }
  if (plain)
    d.hints.push_back("the compiler reports no vectorised loop: give it unit strides, independent accumulators and flags that allow reassociation");
  if (d.limited_by == bound::memory) {
    d.hints.push_back("bound by memory at " + percent(memory) + " of the host's bandwidth for this working set" +
                      std::string(memory < 0.85 ? ": move each byte once (fuse passes, keep rows in cache), stream outputs past the caches when they do not fit"
                                     : ": near the roof, only fewer bytes would help"));
  } else if (d.limited_by == bound::compute) {
    d.hints.push_back("bound by compute at " + percent(compute) + " of the FMA peak: more independent accumulators, wider vectors, register blocking, packed operands");
  } else if (d.limited_by == bound::latency) {
    d.hints.push_back("neither memory (" + percent(memory) + ") nor compute (" + percent(compute) +
                      ") explains the time: dependent chains, strided access or serial parts; break chains, parallelise over the outer loop");
  }
}

} // namespace

void diagnose(const problem& subject, const host_roofs* roofs, evaluation& e) {
  shares sum;
  std::vector<double> fractions;
  const core_width width = widest_fma();
  double bytes = 0, operations = 0;
  for (workload_timing& t : e.timings) {
    const auto w = std::find_if(subject.workloads.begin(), subject.workloads.end(), [&](const workload& x) { return x.uuid == t.workload; });
    if (w == subject.workloads.end() || t.latency_s <= 0)
      continue;
    auto axes = bind_axes(subject.op, w->axes);
    auto cost = axes ? cost_of(subject.op, *axes) : result<graph_cost>(axes.error());
    if (!cost)
      continue;
    bytes += cost->input_bytes + cost->output_bytes;
    operations += cost->operations;
    sum.latency_s += t.latency_s;
    if (!roofs)
      continue;
    double memory_s = memory_time(*roofs, cost->input_bytes, cost->output_bytes);
    const double possible_s = memory_s * roof_margin;
    // Below a megabyte the yardstick's threads take longer to start than the bytes to move.
    if (t.roof_s > 0 && cost->input_bytes + cost->output_bytes >= yardstick_least_bytes && cost->input_bytes >= reads_all * input_bytes_of(subject.op, *axes))
      memory_s = t.roof_s; // measured beside the candidate: what this host's memory gave in those seconds
    const double peak = std::max(roofs->fma_flops_per_s, roofs->theoretical_flops_per_s);
    const double compute_s = peak > 0 ? cost->operations / peak : 0;
    t.roof_s = std::max(memory_s, compute_s);
    t.roofline_fraction = t.roof_s / t.latency_s;
    if (t.roof_s > 0)
      fractions.push_back(t.roofline_fraction);
    sum.memory_s += memory_s;
    sum.compute_s += compute_s;
    sum.scalar_s += compute_s * width.lanes;
    if (t.latency_s < std::max(possible_s, compute_s * roof_margin)) {
      e.result = outcome::quarantined;
      char text[240];
      std::snprintf(text, sizeof text, "workload %s took %.3g us; this host's roofs allow no less than %.3g us: too good to be true until re-checked\n",
                    t.workload.c_str(), t.latency_s * 1e6, std::max(possible_s, compute_s * roof_margin) / roof_margin * 1e6);
      e.log += text;
    }
  }
  auto& d = e.diagnosed;
  d.bytes = bytes;
  d.operations = operations;
  if (sum.latency_s <= 0)
    return;
  d.achieved_bytes_per_s = bytes / sum.latency_s;
  d.achieved_flops = operations / sum.latency_s;
  d.roofline_fraction = geometric_mean(fractions);
  if (roofs)
    classify(sum, e);
}

} // namespace kevolve::agent
