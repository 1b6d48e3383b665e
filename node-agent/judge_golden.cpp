// The judge's part of a golden run: a program of ours whose results are known, called on inputs of the judge's; every call timed, the last one's results checked in full.
#include "node-agent/attempt.hpp"
#include "node-agent/process.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <numeric>

namespace kevolve::agent {
namespace {

constexpr double call_limit_s = 30; // calls last milliseconds; on a host that is held back to a hundredth, a second
constexpr std::size_t sum_stride = 16, sums_kept = 1024;

result<std::unique_ptr<buffer_set>> float_buffers(const std::vector<std::int64_t>& sizes) {
  std::vector<buffer_layout> tensors;
  for (const auto n : sizes)
    tensors.push_back({dtype::float32, false, {n}});
  return buffer_set::make(std::move(tensors));
}

std::span<float> floats(buffer_set& of, std::size_t i) { return {reinterpret_cast<float*>(of.data(i)), of.layout(i).elements()}; }

/// Between 1 and 2, all bits of the fraction drawn.
void draw(std::span<float> to, rng from) {
  for (float& each : to)
    each = std::bit_cast<float>(0x3f800000u | static_cast<std::uint32_t>(from() >> 41));
}

/// Empty, or what is wrong.
std::string check_copy(buffer_set& inputs, buffer_set& outputs) {
  const auto from = floats(inputs, 0), to = floats(outputs, 0);
  const std::size_t n = std::min(from.size(), to.size());
  std::size_t differ = 0, first = n;
  for (std::size_t i = 0; i < n; ++i)
    if (std::bit_cast<std::uint32_t>(from[i]) != std::bit_cast<std::uint32_t>(to[i]))
      ++differ, first = std::min(first, i);
  return differ == 0 ? "" : fmt::format("a copy differs from its source in {} of {} elements, first in {}: {:.9g} became {:.9g}", differ, n, first, from[first], to[first]);
}

std::string check_sums(buffer_set& outputs, const std::vector<float>& right, std::size_t threads) {
  const auto sums = floats(outputs, 1);
  for (std::size_t thread = 0; thread < threads; ++thread)
    if (const float sum = sums[thread * sum_stride % sums_kept]; std::find(right.begin(), right.end(), sum) == right.end())
      return fmt::format("core {} of the slot summed up to {:.9g} instead of {:.9g}", thread, sum, right.empty() ? 0.0f : right.front());
  return {};
}

} // namespace

judge_golden_done judge::golden(const judge_golden& what) {
  stillness quiet(baselines_);
  judge_golden_done answer;
  answer.number = what.number;
  auto inputs = float_buffers(what.inputs), outputs = float_buffers(what.outputs);
  auto host = launch_candidate(what.what, 0);
  if (!inputs || !outputs || !host || !host->process) {
    answer.problem = !inputs ? inputs.error().message : !outputs ? outputs.error().message : !host ? host.error().message : host->why_not;
    return answer;
  }
  answer.began = true;
  draw(floats(**inputs, 0), rng(what.seed));
  const auto failed = [&](const call_end& e) {
    answer.problem = "the golden kernel " + e.detail;
    answer.hung = e.what == misbehaviour::hung;
    return answer;
  };
  for (const golden_step& step : what.steps) {
    axis_binding axes;
    for (const auto value : step.axes)
      axes.emplace_back("axis", value);
    if (step.copies)
      (*outputs)->poison();
    std::ranges::fill(floats(**outputs, 1), std::numeric_limits<float>::quiet_NaN());
    if (const call_end mapped = host->process->map(1, axes, **inputs, **outputs, load_limit_s); !mapped.good())
      return failed(mapped);
    std::vector<double> seconds;
    double spent_s = 0;
    for (std::uint32_t call = 0; call <= step.most_calls && (call < 2 || spent_s < step.budget_s); ++call) { // the first one fills page tables and starts threads
      const call_end e = host->process->call(1, 1, call_limit_s);
      if (!e.good())
        return failed(e);
      if (call > 0)
        seconds.push_back(e.seconds), spent_s += e.seconds;
    }
    answer.steps.push_back({*std::min_element(seconds.begin(), seconds.end()), spent_s / static_cast<double>(seconds.size())});
    answer.wrong = step.copies ? check_copy(**inputs, **outputs) : check_sums(**outputs, step.sums, std::max<std::size_t>(setup_.cores.size(), 1));
    if (!answer.wrong.empty())
      return answer;
  }
  return answer;
}

} // namespace kevolve::agent
