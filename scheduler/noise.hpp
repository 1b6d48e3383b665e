// How small a gain this host can resolve, measured: pairs of kernels of which one does a known share more of the same work are compared by the
// search's own measurement, over and over. Also the campaign behind `bench aa`'s neighbour: somebody who keeps a core busy. One thread.
#pragma once

#include "node-agent/evaluate.hpp"

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace kevolve::scheduler {

struct noise_row {
  double gain = 0;            // true: 0.03 is 3% less work
  std::uint32_t trials = 0;
  std::uint32_t found = 0;    // called better
  std::uint32_t covered = 0;  // the 95% interval holds the truth
  double median_gain = 0;     // measured
  double seconds = 0;         // a trial, compiling included
};

/// Gains of 0 (how often is "better" said falsely), 1, 2, 3, 5 and 10%; `trials` of each. Errors: the evaluator's.
result<std::vector<noise_row>> measure_noise(agent::host_evaluator& host, const problem& rms_norm, std::uint32_t trials, const std::atomic<bool>& cancelled,
                                             const std::function<void(const std::string&)>& progress);

/// The least of the gains that was found in at least three of four trials; 0: none was.
double resolvable_gain(const std::vector<noise_row>& rows);

/// Keeps one core busy while it lives: the last that this process may run on.
class busy_neighbour {
public:
  busy_neighbour();
  ~busy_neighbour();
  busy_neighbour(const busy_neighbour&) = delete;
  busy_neighbour& operator=(const busy_neighbour&) = delete;

private:
  std::atomic<bool> enough_{false};
  std::thread spinning_;
};

} // namespace kevolve::scheduler
