// Expressions as C++ text: common parts are named once and lifted to the outermost loop they depend on. One emitter prints one phase (or one
// epilogue); the nest printers drive it. Not shared between threads.
#pragma once

#include "actors/synthesis/functions.hpp"
#include "actors/synthesis/plan.hpp"

#include <optional>

namespace kevolve::synthesis {

enum class text_type { real, boolean, integer };

struct text {
  std::string code;
  text_type type = text_type::real;
  bool vector = false;
};

/// What every printer of one kernel shares.
struct kernel_state {
  const program& subject;
  const plan& how;
  used_functions used;
  std::string real = "float";   // double when any tensor is float64
  int counter = 0;              // for names of temporaries
  std::vector<std::string> functions; // whole functions that a nest calls
};

class emitter {
public:
  emitter(kernel_state& k, std::vector<std::string> loops) : k_(k), loops_(std::move(loops)), lifted(loops_.size() + 1), scopes_(loops_.size() + 1) {}

  /// Expressions from here on are vectors along `loop` (empty: scalars).
  void vectorize(const std::string& loop, int width) { vector_loop_ = loop, width_ = width; }
  /// Are expressions vectors now, and is each lane's place another?
  [[nodiscard]] bool varies_by_lane(const index& target) const { return !vector_loop_.empty() && target.depends_on(vector_loop_); }
  /// Counts common parts of what will be emitted next at the innermost depth.
  void announce(const std::vector<expr_ref>& all);
  text emit(const expr_ref& e, std::size_t depth);
  /// A name that no value and no axis has.
  std::string unique(const std::string& base);
  /// What a load with this key stands for from now on at this depth.
  void define(const std::string& key, const text& t, std::size_t depth) { scopes_[depth][key] = t; }
  std::string load_key(int value, const index& offset);
  /// Depth d's definitions are forgotten: its loop body was printed.
  void forget(std::size_t depth);
  std::string as_vector(const text& t);
  std::string as_real(const text& t);
  std::string store(int value, const std::string& offset, const text& t, bool stream);
  /// Names of row scalars that are vectors in this pass.
  std::set<int> vector_scalars;
  std::int64_t prefetch = 0; // bytes ahead
  std::map<std::string, index> ahead; // the row that is asked for; empty: none
  std::set<int> asked_for;            // values whose next rows this phase asks for
  std::string lane_variable = "l";

private:
  /// The lanes in which all of some affine conditions hold: from `low` to `high`, where `always` holds ("" : everywhere).
  struct lane_reach {
    std::string low, high, always;
  };
  std::optional<lane_reach> lanes_between(const std::vector<index>& all);
  text build(const expr_ref& e, std::size_t depth);
  text build_load(const expr& e, std::size_t depth);
  text build_call(const expr_ref& e, std::size_t depth);
  text build_binary(const expr_ref& e, std::size_t depth);
  text build_in_range(const expr& e);
  text build_position(const expr& e);
  std::string condition(const std::vector<index>& all) const;
  std::size_t depth_of(const expr_ref& e) const;

  kernel_state& k_;
  std::vector<std::string> loops_;

public:
  std::vector<std::vector<std::string>> lifted; // lines by depth, to be printed inside that many loops

private:
  std::vector<std::map<std::string, text>> scopes_;
  std::map<std::string, int> uses_;
  std::map<const expr*, std::string> keys_;
  std::vector<expr_ref> alive_; // keys_ is by address
  std::string vector_loop_;
  int width_ = 0;
};

/// The local variable that holds a row scalar.
std::string row_name(const value& v);
const char* c_type(dtype t);
std::string literal(double x, const std::string& real);
/// Does every scan of the phase run along its last loop, in a way that vectors can carry (sums and products of float32)?
bool scans_by_vectors(const program& p, const phase& ph);
/// Can the phase's statements be printed as vectors along this loop?
bool can_vectorize(const program& p, const plan& how, const phase& ph, const std::string& loop);

} // namespace kevolve::synthesis
