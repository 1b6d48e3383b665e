// What every operator becomes: values, each a scalar expression over an index space, some with a reduction or a scan. No operator's name
// survives here, so that what a schedule may do is decided by dependences alone. Immutable after lowering; any thread.
#pragma once

#include "actors/synthesis/index.hpp"
#include "protocol/dtype.hpp"

#include <memory>
#include <string>
#include <vector>

namespace kevolve::synthesis {

enum class op {
  number, load, position, // position: an index as a number (at[0])
  add, sub, mul, div, maximum, minimum, power, modulo,
  neg, exp, log, log1p, expm1, sqrt, rsqrt, tanh, erf, abs, floor, ceil, round, trunc, sin, cos, sign,
  tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, erfc, lgamma, atan2, hypot, copysign, remainder, // libm's; remainder: fmod
  bit_and, bit_or, bit_xor, shift_left, shift_right, // integers
  less, less_equal, equal, not_equal, logical_and, logical_or, logical_not, is_nan,
  in_range, // all of at[] are >= 0
  select,   // args: condition, then, otherwise
  to_real, to_integer, to_boolean,
  lower_bound, upper_bound, // args[0]: x; value: a sorted input of at[0] elements: how many of them are below (not above) x; NaN: all
};

struct expr;
using expr_ref = std::shared_ptr<const expr>;
struct expr {
  op code = op::number;
  std::vector<expr_ref> args;
  double constant = 0;        // number
  int value = -1;             // load, lower_bound, upper_bound: which value
  std::vector<index> at;      // load: one index per dimension; position; in_range
  std::vector<index> guards;  // load: read only where all of these are >= 0, else 0
  std::vector<expr_ref> looked_up; // load: integer expressions named "@0", "@1" in `at` (gathers)
};

expr_ref number(double x);
expr_ref make(op code, std::vector<expr_ref> args);
expr_ref load(int value, std::vector<index> at);
expr_ref position(const index& at);
expr_ref in_range(std::vector<index> conditions);

struct dimension {
  index var;         // a loop atom of its own
  index extent;
  std::string name;  // semantic: "M", "H", …
};

enum class combiner { none, sum, product, maximum, minimum, argmax, argmin, any, all };

/// One tensor that is computed (or given). dims have no constant extent of 1.
struct value {
  enum class kind_t { input, map, reduce, scan, state } kind = kind_t::map;
  std::string name;
  dtype type = dtype::float32;
  std::vector<dimension> dims;   // row-major storage order
  std::vector<dimension> over;   // reduce: reduction loops; scan: the one scanned dimension is dims[scanned]
  std::size_t scanned = 0;
  combiner combine = combiner::none;
  bool last_nan = false;         // argmax, argmin: the last NaN wins (pooling), not the first
  expr_ref body;                 // over dims and `over`
  int input = -1;                // position among the operator's inputs; -1: `written`
  std::shared_ptr<const std::vector<double>> written; // input: a constant of the reference, row-major
  std::vector<int> outputs;      // positions among the operator's outputs that this value's storage is
  int recurrence = -1;           // the loop over steps that computes it once in each (state: that carries it); -1: none
  bool history = false;          // state: every step's stays. dims[0] is the steps and one more, else 2; see slot_of
  int next_of = -1;              // the state that this is the next value of; it lies there
};

/// A loop whose iterations follow each other: its values are neighbours in the program and see each other as of the same step; what a step hands
/// to the next is a state, a value of its own before the loop, whose `body` (over dims without the first) is what the first step reads.
struct recurrence {
  index step;         // the loop's variable, as values name it
  index steps;
  bool apart = false; // by dependences: the first dimension of all values in it never mixes, so that threads may divide it among them
};

struct program {
  std::vector<value> values;     // in dependence order
  std::vector<recurrence> recurrences;
  std::vector<std::string> axes; // names of symbolic axes with their positions
  std::vector<std::pair<std::string, index>> axis_values; // every axis of the definition, in its order
  std::vector<std::string> input_names, output_names;
  std::vector<std::vector<index>> input_shapes, output_shapes;
  std::vector<dtype> input_types, output_types;
};

/// Visits every node once per occurrence.
template <class F>
void walk(const expr_ref& e, F&& f) {
  f(*e);
  for (const auto& a : e->args)
    walk(a, f);
  for (const auto& a : e->looked_up)
    walk(a, f);
}
/// e with loop variables replaced, and `guards` added to every load.
expr_ref substitute(const expr_ref& e, const std::map<std::string, index>& values, const std::vector<index>& guards = {});
/// Canonical text: equal keys compute equal numbers.
const std::string& key_of(const expr_ref& e, std::map<const expr*, std::string>& cache);
std::vector<int> loads_of(const expr_ref& e);
bool depends_on(const expr_ref& e, const std::string& loop);
/// Row-major offset of `at` in a tensor of these dimensions.
index offset_of(const std::vector<dimension>& dims, const std::vector<index>& at);
/// The value in whose storage v lies: the state that it is the next value of, or itself.
const value& holder_of(const program& p, int v);
/// Where in its first dimension a state lies that step s reads; the step leaves the next one at s + 1. Never the same place: a step may compute
/// some elements twice.
index slot_of(bool history, const index& step);
/// Where element `at` of v (of a state, without its first dimension: of its first value) lies in its storage.
index place_of(const program& p, int v, const std::vector<index>& at);
/// The loop over steps that v is computed in, -1: none. A state's own body belongs before its loop.
inline int computed_in(const value& v) { return v.kind == value::kind_t::state ? -1 : v.recurrence; }

} // namespace kevolve::synthesis
