// Register blocks for products: which shapes a target's registers hold, and which of them a product of this size wastes least. Pure; any thread.
#pragma once

#include "actors/synthesis/propose.hpp"
#include "actors/synthesis/schedule_edit.hpp"

namespace kevolve::synthesis {

struct block_shape {
  int m, n;
  double efficiency; // of the inner loop, measured relative to the best of them
};

/// Register blocks that fit the registers of the target: accumulators, one row of b, one broadcast.
std::vector<block_shape> block_shapes(int width);
/// What blocks of `step` compute, over what an extent needs: at least 1.
double waste(double extent, int step);
/// Rows and columns of one product of the batch.
std::pair<double, double> shape_of(const outlook& o, const nest& n);
/// m = 0: none.
block_shape best_block(const outlook& o, const nest& n);
/// The largest block of sums in registers that divides a small product evenly; m = 0: none does.
block_shape direct_block(const outlook& o, const nest& n);
/// Products so small that packing costs as much as it saves; there are many of them.
bool is_small_product(const outlook& o, const nest& n);
parameters block_parameters(const outlook& o, const block_shape& b);

/// Bytes that one call reads and writes at the least.
double traffic(const outlook& o);
/// Elements of an index space, by the outlook's estimates.
double elements(const outlook& o, const std::vector<dimension>& dims);
/// How many values read this one.
int readers(const program& p, int which);

inline constexpr double stream_from_bytes = 12e6; // below this a result is still in some cache when its reader comes

} // namespace kevolve::synthesis
