// program x schedule -> loop nests with storage decided and tuning attached. Legality is decided here, by dependences: a step that does not
// apply is named in `skipped` and changes nothing. Pure; any thread.
#pragma once

#include "actors/synthesis/ir.hpp"
#include "protocol/candidate.hpp"

#include <map>
#include <set>

namespace kevolve::synthesis {

/// Where a value lives.
enum class storage {
  input, output, workspace, row_buffer, row_scalar,
  iteration_buffer, // of one iteration of the loop around a team of nests, per thread
};

/// One value computed inside a phase. `spatial`: how many leading loops of the phase are its own dimensions; the others are reduced.
struct statement {
  int value = -1;
  expr_ref body;             // loads are in offset form: at[0] is the row-major offset (none for row scalars)
  std::size_t spatial = 0;
  index target;              // offset of the store
  bool carried = false;      // a sum over the nest's rows: each adds to its thread's row of sums, at `target` (carried.hpp)
};

/// Integers that data give: the loop runs from the larger of 0 and `first` to the smaller of its extent and `last`. Null: no such bound.
struct loop_bounds {
  expr_ref first, last;
};

struct phase {
  std::vector<dimension> loops;
  std::map<std::string, loop_bounds> bounds; // by loop variable
  std::vector<statement> statements;
  std::string scanned;       // the loop that carries a scan, if any
};

/// How a product summed over shared loops is split; set where `register_block` applied.
struct blocking {
  int m = 0, n = 0;                 // rows and columns of accumulators
  std::int64_t mc = 0, nc = 0, kc = 0; // cache blocks; 0: the whole extent
  bool share_rows = false;          // threads share the rows; otherwise the columns
  bool direct = false;              // operands are read where they lie: nothing is packed
};

struct nest {
  std::string name;
  std::vector<dimension> rows;      // spatial loops around everything
  std::vector<phase> phases;
  // tuning
  std::string vector_loop;          // its loop variable; empty: scalar code
  int width = 0;
  int unroll = 1;
  int accumulators = 1;
  bool parallel = false;
  std::int64_t grain = 0;           // 0: one contiguous share for each thread
  bool split_reduction = false;     // no rows: threads share the reduction
  std::int64_t prefetch = 0;        // bytes ahead
  std::int64_t prefetch_rows = 0;   // rows ahead, in the last phase that reads them
  std::optional<blocking> blocked;
  int team = -1;                    // which team it belongs to; its rows are then inside the team's loop
  int recurrence = -1;              // the loop over steps that it is in
  bool apart = false;               // of those: threads that divide its first row loop take their share through all steps
};

/// Nests inside one loop whose iterations the threads share.
struct team {
  dimension loop;
  std::map<int, index> buffers;     // values that only the team reads: elements of one iteration
};

struct plan {
  std::vector<nest> nests;
  std::vector<team> teams;          // of consecutive nests
  std::set<int> divided;            // recurrences whose rows the threads divide among them
  std::vector<storage> stored;      // by value
  std::set<int> streamed;           // values written past the cache
  std::set<std::string> approximate; // functions
  std::string compiler;
  std::vector<std::string> flags;
  std::vector<std::string> skipped; // steps that did not apply, each with why
  std::vector<std::string> taken;   // one line for each decision
};

plan make_plan(const program& p, const schedule& s, const std::string& default_compiler);

/// Facts about a nest that the proposals and the analytic schedule read.
bool is_contraction(const program& p, const nest& n);
/// The loops of a product a x b: columns are what the last loop runs over and b reads; batch loops are in both, or take the columns of windows
/// row by row, so that those of one row lie side by side. Empty where it is none.
struct product_loops {
  expr_ref a, b;
  std::vector<dimension> batch, rows, columns;
  std::set<int> finite; // values that must hold finite numbers only for a x b to be the product: a kernel asks, and has its plain loops otherwise
};
std::optional<product_loops> loops_of_product(const nest& n);
/// Rows and columns are whole blocks of m x n, and the columns' operand moves to its neighbour (or stays) from column to column.
bool fits_directly(const product_loops& loops, std::int64_t m, std::int64_t n);
/// The loop whose neighbours lie side by side in memory in most accesses: candidate for vectors. Empty when there is none.
std::string contiguous_loop(const program& p, const plan& whole, const nest& n);
/// Element-wise, with reads whose neighbours lie along the last row loop but one: a transposition.
bool crosses_rows(const nest& n);
/// What such a nest reads of float32, so that tiles of it can be turned round in registers; each place once.
struct crossing_read {
  int value = -1;
  index offset;
};
std::vector<crossing_read> crossing_reads(const program& p, const nest& n);
/// Reductions alone, side by side along the vectors: each takes a strip of every row, the wider the better for the memory.
bool sums_columns(const program& p, const nest& n);
std::string parameter(const schedule_step& s, const std::string& name, const std::string& otherwise = "");
std::int64_t integer_parameter(const schedule_step& s, const std::string& name, std::int64_t otherwise);

} // namespace kevolve::synthesis
