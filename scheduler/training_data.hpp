// Measured edges as rows to learn from: of recorded landscapes (every single transformation between two recorded points) and of the store's
// sessions. Each source weighs the same; within one, edges out of fast parents weigh more, since a search spends its time there. Pure but for reading.
#pragma once

#include "actors/synthesis/boosted.hpp"
#include "kb/store.hpp"
#include "scheduler/landscape_file.hpp"

#include <memory>
#include <string>
#include <vector>

namespace kevolve::scheduler {

/// The edges of one landscape or of one operator's sessions.
struct measured_edges {
  std::string name;               // the operator's
  std::string hardware;
  synthesis::boosting_data edges; // targets: log(parent's time / its time), clipped; a failure is the smallest
};

measured_edges edges_of(const landscape_file& from);
/// One entry for each operator that sessions have edges of. Sessions of operators that the generator cannot write are left out.
result<std::vector<measured_edges>> edges_of(const kb::store& from, const std::string& compiler);

/// All of them together.
synthesis::boosting_data together(const std::vector<const measured_edges*>& all);

} // namespace kevolve::scheduler
