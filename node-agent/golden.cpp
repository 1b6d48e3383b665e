#include "node-agent/golden.hpp"

#include "node-agent/roofs.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::agent {
namespace {

constexpr std::uint32_t most_copies = 12, most_sums = 150; // of a millisecond each, where nobody disturbs
constexpr double copies_budget_s = 0.2, sums_budget_s = 0.5;

} // namespace

std::array<float, 2> golden_sums_of(int accumulators, std::int64_t rounds) {
  constexpr float factor = -0.99999994f, addend = 0.731f; // as the kernel has them
  std::array<float, 2> sums{};
  for (int k = 0; k < accumulators; ++k) {
    float fused = addend * static_cast<float>(k), apart = fused;
    for (std::int64_t r = 0; r < rounds; ++r) {
      fused = std::fma(fused, factor, addend);
      const volatile float product = apart * factor; // rounded by itself, whatever this file is compiled for
      apart = product + addend;
    }
    sums[0] = k == 0 ? fused : sums[0] + fused; // in the kernel's order
    sums[1] = k == 0 ? apart : sums[1] + apart;
  }
  return sums;
}

judge_golden golden_request(const host_roofs& roofs, std::uint64_t seed) {
  static const auto sums = golden_sums_of(roof_chains(), golden_rounds); // takes hundredths of a second
  const double set = roofs.memory.back().working_set_bytes;
  const auto elements = static_cast<std::int64_t>(set / 2 / sizeof(float));
  const roof_mode copy = set >= roofs.streams_from_bytes ? copying_past_caches : copying;
  judge_golden ask;
  ask.inputs = {elements};
  ask.outputs = {elements, 1024};
  ask.steps.push_back({{copy, elements, 1}, true, {}, most_copies, copies_budget_s});
  ask.steps.push_back({{golden_sums, 1024, golden_rounds}, false, {sums.begin(), sums.end()}, most_sums, sums_budget_s});
  ask.seed = seed;
  return ask;
}

result<golden_run> golden_run_of(const judge_golden_done& done, const host_roofs& roofs, std::size_t cores) {
  if (!done.began)
    return error{errc::infrastructure, "the golden kernel could not be started: " + done.problem};
  if (!done.wrong.empty())
    return golden_run{golden_run::end::wrong, {}, done.wrong};
  if (!done.problem.empty())
    return golden_run{done.hung ? golden_run::end::silent : golden_run::end::failed, {}, done.problem};
  if (done.steps.size() != 2)
    return error{errc::infrastructure, "the judge answered a golden run with something else"};
  golden_run run;
  const double flops = roof_flops(golden_rounds, cores);
  run.found.copies = roofs.memory.back().working_set_bytes / done.steps[0].least_s;
  run.found.computes = flops / done.steps[1].least_s;
  run.found.computes_throughout = flops / done.steps[1].mean_s;
  return run;
}

golden_rates calibrated_rates(const host_roofs& roofs) {
  return {roofs.fma_flops_per_s, 0, roofs.memory.empty() ? 0 : roofs.memory.back().copy_bytes_per_s};
}

} // namespace kevolve::agent
