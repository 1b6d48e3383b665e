// Sums of columns that ride along: where a nest goes through rows anyway, what sums the same rows column by column is added to each thread's own row of sums there, instead of reading everything once more. Pure; any thread.
#pragma once

#include "actors/synthesis/print.hpp"

#include <string>
#include <vector>

namespace kevolve::synthesis {

/// Moves nests that only sum columns (gradients of weights and biases) into the pass of an earlier nest over the same rows. `subject`: "*", or a value or nest that is to move. Empty, or why none can.
std::string carry_sums(const program& p, plan& out, const std::string& subject);

/// For each value that `n` carries, the row of sums that every thread has.
std::vector<workspace_buffer> carried_rows(const kernel_state& k, const nest& n);
/// Before the nest's loops: the thread's rows of sums are 0. After them: all threads' rows become the values.
std::string carried_begin(const std::vector<workspace_buffer>& rows);
std::string carried_end(kernel_state& k, const nest& n, const std::vector<workspace_buffer>& rows, bool parallel);

} // namespace kevolve::synthesis
