#include "actors/synthesis/bounded.hpp"
#include "actors/synthesis/algebra.hpp"

#include <limits>

namespace kevolve::synthesis {
namespace {

void conjuncts_of(const expr_ref& e, std::vector<expr_ref>& into) {
  if (e->code != op::logical_and)
    return into.push_back(e);
  for (const auto& a : e->args)
    conjuncts_of(a, into);
}

bool is_position_of(const expr_ref& e, const std::string& loop) { return e->code == op::position && e->at.size() == 1 && e->at[0].single_name() == loop; }

std::optional<double> neutral_of(combiner c) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  switch (c) {
    case combiner::sum: return 0;
    case combiner::product: return 1;
    case combiner::maximum: return -infinity;
    case combiner::minimum: return infinity;
    default: return std::nullopt;
  }
}

/// The bounds that the conditions set to `loop`, if all of them do nothing else and at most one of either kind is there.
std::optional<loop_bounds> bounds_of(const expr_ref& condition, const std::string& loop) {
  std::vector<expr_ref> all;
  conjuncts_of(condition, all);
  loop_bounds found;
  const auto one = call(op::to_integer, number(1));
  for (const auto& c : all) {
    if (c->code != op::less && c->code != op::less_equal)
      return std::nullopt;
    const auto &a = c->args[0], &b = c->args[1];
    const bool lower = is_position_of(b, loop) && !depends_on(a, loop) && !found.first;
    const bool upper = is_position_of(a, loop) && !depends_on(b, loop) && !found.last;
    if (lower)
      found.first = c->code == op::less_equal ? a : a + one;
    else if (upper)
      found.last = c->code == op::less ? b : b + one;
    else
      return std::nullopt;
  }
  return found;
}

} // namespace

void bound_loops(const program& p, nest& n) {
  if (n.rows.empty()) // its first loop may be shared among threads
    return;
  for (auto& ph : n.phases) {
    if (ph.statements.size() != 1 || ph.loops.empty())
      continue;
    auto& st = ph.statements[0];
    const auto& v = p.values[static_cast<std::size_t>(st.value)];
    const auto neutral = neutral_of(v.combine);
    const auto& body = st.body;
    if (v.kind != value::kind_t::reduce || !neutral || body->code != op::select || body->args[2]->code != op::number || body->args[2]->constant != *neutral)
      continue;
    for (std::size_t l = st.spatial; l < ph.loops.size(); ++l) {
      const auto loop = ph.loops[l].var.single_name();
      bool inner = false; // a bound that needs a loop further in
      const auto bounds = bounds_of(body->args[0], loop);
      for (std::size_t later = l + 1; bounds && later < ph.loops.size(); ++later)
        for (const auto& b : {bounds->first, bounds->last})
          inner = inner || (b && depends_on(b, ph.loops[later].var.single_name()));
      if (!bounds || inner)
        continue;
      ph.bounds.emplace(loop, *bounds);
      st.body = expr_ref(body->args[1]);
      break;
    }
  }
}

} // namespace kevolve::synthesis
