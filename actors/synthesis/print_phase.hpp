// One phase of a nest as text: its loops with vectors along one of them or along the rows around it, its reductions with their partial results, its stores. Driven by print_rows.cpp, row after row.
#pragma once

#include "actors/synthesis/print.hpp"

#include <set>
#include <string>
#include <vector>

namespace kevolve::synthesis {

inline bool reduces(const value& v) { return v.kind == value::kind_t::reduce; }
/// The C++ type that a reduction's partial results have; `wide`: double for float32.
std::string accumulator_type(const kernel_state& k, const value& v, bool wide);
/// What a reduction begins with.
std::string initial(const kernel_state& k, const value& v);
/// acc <- acc combined with x, both scalars (`width` 0) or vectors.
std::string combined(kernel_state& k, const value& v, const std::string& acc, const std::string& x, int width);
/// The statement with `by` added to a loop's variable.
void move_loop(statement& st, const index& var, const index& by);

/// A tensor that is read across the vectors, turned round in registers.
struct crossing {
  int value;
  index offset;
  std::string tile; // the vectors that hold it, one for each step of the loop before the last
};

class phase_printer {
public:
  phase_printer(kernel_state& k, const nest& n) : k_(k), n_(n) {}

  // what is known of the nest
  bool row_vector = false;          // vectors lie along its last row loop
  std::vector<crossing> crossings;
  bool in_tile = false;             // they are in registers now
  bool streamed = false;            // something was stored past the cache

  /// `row`, `row_width`: the rows are the vector (empty, 0: they are not). `vector_scalars`: numbers of the row that are vectors then; this phase's are added. `ranged`: the first loop runs over a thread's share.
  /// `jam`: so many vectors of rows side by side share what they read.
  std::string phase_text(const phase& ph, const std::string& row, int row_width, std::set<int>& vector_scalars, bool ranged = false, int jam = 1);

private:
  struct pass {
    const phase* ph = nullptr;
    emitter* e = nullptr;
    std::vector<statement> statements; // as shifted for this copy
    std::size_t vector_at = static_cast<std::size_t>(-1); // which loop is the vector loop
    int width = 0;       // of the current variant; 0: scalar
    int row_width = 0;   // rows are the vector
    int accumulators = 1;
    int copy = 0;
    bool wide = false;   // scalar sums in double
    bool simd = false;
    bool ranged = false; // loop 0 runs from first_ to last_
    int jam = 1;         // vectors of the row side by side, each with its own sum
  };

  /// The statement of one of the vectors side by side.
  statement jammed(const statement& st, int copy) const;
  static std::string accumulator_of(const pass& s, const value& v, int copy);
  /// Values that this phase reads and no later one.
  std::set<int> read_last_in(const phase& ph) const;
  /// The vector loop named in one phase stands for the loops of the same name in the others.
  bool same_kind(const dimension& d) const;
  /// The last loop, or the last of the loops that every statement keeps.
  static bool vector_position_fits(const phase& ph, std::size_t l);
  /// The last loop walks every tensor that it moves in by neighbours.
  bool neighbours_only(const phase& ph) const;
  /// A plain sum over neighbours: the compiler may use vectors for it.
  bool plain_simd(const phase& ph) const;
  std::string level(pass& s, std::size_t d);
  /// A scan along the vector loop: each vector has its own running result, and what came before is carried in double.
  bool carried_in_lanes(const pass& s) const;
  bool vector_reduced(const pass& s, const statement& st) const;
  std::string declared(const pass& s, const statement& st);
  /// Vector accumulators join into the scalar one that the rest of the loop used.
  std::string joined(const pass& s, const statement& st);
  std::string finished(pass& s, const statement& st);
  /// A value becomes a local of the row and, where somebody else reads it, a store.
  std::string kept(pass& s, const statement& st, const text& computed);
  std::string stored(pass& s, const statement& st, const text& t);
  std::string innermost(pass& s);
  /// One row's part of a sum of columns.
  std::string added(pass& s, const statement& st, const text& t);
  std::string jammed_sums(pass& s, const std::vector<expr_ref>& bodies, std::size_t depth);
  std::string drained(pass& s, std::size_t depth);
  std::string loop_text(pass& s, std::size_t d);
  /// The place of an extreme element along neighbours: whole vectors are compared first, and few of them hold a better one.
  bool searched_by_vectors(const pass& s, std::size_t d) const;
  std::string search_text(pass& s, std::size_t d, const std::string& v, const std::string& last);
  /// The vector loop: as many copies as accumulators and unrolling ask for, then single vectors, then scalars.
  std::string vector_loops(pass& s, std::size_t d, const std::string& v, const std::string& last, const index& extent);
  [[nodiscard]] const value& value_of(const statement& st) const { return k_.subject.values[static_cast<std::size_t>(st.value)]; }
  static bool is_local(const statement& st) { return st.spatial == 0; }

  kernel_state& k_;
  const nest& n_;
};

} // namespace kevolve::synthesis
