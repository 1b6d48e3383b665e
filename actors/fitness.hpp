// What an evaluation's comparisons say together: the geometric mean over workloads of anchor time / candidate time, how sure it is, and
// whether that is enough to call the candidate better (false-gain rate 0.5%). Pure; any thread.
#pragma once

#include "protocol/evaluation.hpp"
#include "protocol/event.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kevolve::search {

/// log(anchor's time / candidate's time), mean over the workloads that were compared.
struct advantage {
  double log_ratio = 0;
  double error = 0;             // standard error of log_ratio; negative: unknown
  double e_value = 0;           // mean of the workloads' e-values: itself an e-value under any dependence between them
  std::size_t workloads = 0;

  /// Low and high end of the 95% interval of log_ratio.
  [[nodiscard]] double low() const { return log_ratio - 1.96 * error; }
  [[nodiscard]] double high() const { return log_ratio + 1.96 * error; }
};

/// Empty where no workload was compared with `anchor`.
std::optional<advantage> against(const evaluation& e, std::string_view anchor);

/// Better than its anchor: an e-value of at least 200 (false-gain rate 0.5%).
bool is_better(const advantage& a);

/// Better than a leader that was itself measured against another anchor: the difference of the two fitnesses, with both errors, is above
/// zero at 0.5% (normal approximation), and it is better than its own anchor.
bool is_better(const advantage& a, double fitness, double leader_fitness, double leader_error);

/// Geometric mean of the latencies over workloads; 0 where there is none.
double mean_latency_s(const evaluation& e);
/// Mean of log(reference / latency) over the workloads that both name; empty where none is shared.
std::optional<double> log_speedup(const std::vector<std::pair<std::string, double>>& reference_s, const evaluation& e);

/// What a verification says of `number`: against the best baseline of each workload, or the root where no baseline was measured.
leader_verified verdict_of(node_number number, evaluation e, std::string_view root);

} // namespace kevolve::search
