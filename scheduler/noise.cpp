#include "scheduler/noise.hpp"

#include "actors/fitness.hpp"
#include "node-agent/process.hpp"
#include "node-agent/statistics.hpp"

#include <cmath>
#include <fmt/format.h>
#include <random>
#include <sched.h>

namespace kevolve::scheduler {
namespace {

/// Root mean square normalisation by all cores, some rows computed again: `share` more work of the same kind. The remark makes it another candidate.
candidate kernel_with(double share, const std::string& remark) {
  candidate c;
  c.definition = "rms_norm_h4096";
  c.author = "noise";
  c.build.flags = {"-O3", "-march=native", "-ffast-math", "-fopenmp"};
  c.sources = {{"kernel.cpp", fmt::format(R"(// {}
#include "kevolve.h"
#include <cmath>
extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {{
  const kevolve_int64 m = axes[0], h = axes[1], more = (kevolve_int64)std::llround({} * (double)m);
#pragma omp parallel for schedule(static)
  for (kevolve_int64 k = 0; k < m + more; ++k) {{
    const kevolve_int64 i = k < m ? k : (k - m) * m / (more > 0 ? more : 1);
    const float* x = (const float*)in[0].data + i * h;
    const float* w = (const float*)in[1].data;
    float* y = (float*)out[0].data + i * h;
    float s = 0;
    for (kevolve_int64 j = 0; j < h; ++j)
      s += x[j] * x[j];
    const float r = 1.0f / std::sqrt(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[j] = x[j] * r * w[j];
  }}
  return 0;
}}
)",
                                          remark, share)}};
  c.id = candidate_hash(c);
  return c;
}

} // namespace

result<std::vector<noise_row>> measure_noise(agent::host_evaluator& host, const problem& rms_norm, std::uint32_t trials, const std::atomic<bool>& cancelled,
                                             const std::function<void(const std::string&)>& progress) {
  std::vector<noise_row> rows;
  std::random_device fresh;
  for (const double gain : {0.0, 0.01, 0.02, 0.03, 0.05, 0.10}) {
    noise_row row;
    row.gain = gain;
    std::vector<double> measured;
    const double began = agent::now_s();
    for (std::uint32_t i = 0; i < trials; ++i) {
      const std::string name = fmt::format("{:08x} {}", fresh(), i);
      evaluate_work w;
      w.subject = rms_norm;
      w.what = kernel_with(0, name);
      w.anchors = {kernel_with(gain, name + ", more work")};
      w.seed = fresh();
      KEVOLVE_TRY(e, host.evaluate(w, cancelled));
      const auto a = search::against(e, w.anchors.front().id);
      if (!a)
        return error{errc::infrastructure, "a trial was not measured: " + std::string(to_string(e.result)) + ": " + e.log.substr(0, 300)};
      ++row.trials;
      row.found += search::is_better(*a);
      const double truth = std::log1p(gain);
      row.covered += a->error >= 0 && a->low() <= truth && truth <= a->high();
      measured.push_back(std::expm1(a->log_ratio));
      progress(fmt::format("a true gain of {:.0f}%: {}/{} trials", gain * 100, i + 1, trials));
    }
    row.median_gain = agent::median(measured);
    row.seconds = (agent::now_s() - began) / std::max(1u, trials);
    rows.push_back(row);
  }
  return rows;
}

double resolvable_gain(const std::vector<noise_row>& rows) {
  for (const noise_row& row : rows)
    if (row.gain > 0 && row.trials > 0 && 4 * row.found >= 3 * row.trials)
      return row.gain;
  return 0;
}

busy_neighbour::busy_neighbour() {
  spinning_ = std::thread([this] {
    cpu_set_t mine;
    CPU_ZERO(&mine);
    if (::sched_getaffinity(0, sizeof mine, &mine) == 0)
      for (int core = CPU_SETSIZE; core-- > 0;)
        if (CPU_ISSET(core, &mine)) {
          CPU_ZERO(&mine);
          CPU_SET(core, &mine);
          ::sched_setaffinity(0, sizeof mine, &mine);
          break;
        }
    volatile double x = 1;
    while (!enough_.load(std::memory_order_relaxed))
      for (int i = 0; i < 1000; ++i)
        x = x * 1.0000001 + 1e-9;
  });
}

busy_neighbour::~busy_neighbour() {
  enough_ = true;
  spinning_.join();
}

} // namespace kevolve::scheduler
