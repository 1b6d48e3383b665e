// Does a learned policy need fewer evaluations than the rules on operators it has not seen? Leave-one-family-out over recorded landscapes. Pure.
#pragma once

#include "protocol/evaluation.hpp"
#include "scheduler/replays.hpp"
#include "scheduler/training_data.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kevolve::scheduler {

/// At most this much of the rules' evaluations (issue's rule), and surely fewer; otherwise the policy stays off.
inline constexpr double good_enough = 0.7;

/// What both needed on one landscape, one value a seed; infinite: never.
struct held_out_row {
  std::string name;
  std::size_t edges = 0;          // that the policy was learnt from: of other families
  std::vector<double> rules, learned;
};

struct held_out_result {
  std::vector<held_out_row> rows;
  double ratio = 1;               // geometric mean over landscapes of mean evaluations, learned over rules; a run that never got there counts the whole budget
  interval ratio_ci95;            // by resampling landscapes, and seeds within each (2,000 times)
  [[nodiscard]] bool beats_rules() const { return !rows.empty() && ratio <= good_enough && ratio_ci95.high < 1; }
};

/// Families of which one's name contains the other's (rms_norm, fused_add_rms_norm, rms_norm_backward) are never on both sides.
bool are_related(const std::string& operator_a, const std::string& operator_b);
/// `learn` makes a policy of edges. `told` hears each landscape's name before its turn and says whether to go on.
held_out_result hold_out(const std::vector<std::unique_ptr<landscape_file>>& files, const std::vector<measured_edges>& edges,
                         const std::function<std::shared_ptr<const synthesis::learned_policy>(const std::vector<const measured_edges*>&)>& learn, std::uint32_t seeds, std::uint32_t evaluations,
                         std::uint64_t first_seed, const std::function<bool(const std::string&)>& told);
/// Fills ratio and interval from the rows.
void judge(held_out_result& of, std::uint32_t evaluations);

} // namespace kevolve::scheduler
