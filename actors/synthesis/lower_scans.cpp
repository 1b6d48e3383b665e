// Running results whose step is no plain sum or product: loops over the positions along a dimension, each of which hands a state to the next.
#include "actors/synthesis/algebra.hpp"
#include "actors/synthesis/lower.hpp"

#include <cmath>
#include <limits>

namespace kevolve::synthesis {
namespace {

/// The dimension that a result runs along, and the others.
struct running {
  tensor_ref x;
  std::size_t along = 0;
  std::vector<index> rest;

  static std::optional<running> of(lowering& l) {
    running r{l.tensor("self"), 0, {}};
    if (r.x.shape.empty())
      return l.fail("a tensor without dimensions is not supported"), std::nullopt;
    r.along = l.wrap(l.integer("dim", 0), r.x.shape.size());
    r.rest = r.x.shape;
    r.rest.erase(r.rest.begin() + static_cast<std::ptrdiff_t>(r.along));
    return r;
  }
  [[nodiscard]] index steps() const { return x.shape[along]; }
  [[nodiscard]] expr_ref element(lowering& l, const index& step, std::vector<index> at) const {
    at.insert(at.begin() + static_cast<std::ptrdiff_t>(along), step);
    return l.read(x, at);
  }
  /// A state as it is at this step.
  static expr_ref before(lowering& l, const tensor_ref& state, const index& step, const std::vector<index>& at) { return l.read(l.at_step(state, step), at); }
  /// What a state is after each step, in x's shape.
  [[nodiscard]] tensor_ref course(lowering& l, const tensor_ref& state) const {
    return l.view(state, x.shape, [&](std::vector<index> at) {
      const index step = at[along];
      at.erase(at.begin() + static_cast<std::ptrdiff_t>(along));
      at.insert(at.begin(), step + 1);
      return at;
    });
  }
};

/// cummax, cummin: of equal ones the last; from a NaN on it stays.
template <bool Greatest>
void running_extremum(lowering& l) {
  const auto r = running::of(l);
  if (!r)
    return;
  const auto zero = call(op::to_integer, number(0));
  const auto value = l.state(l.name("value"), r->x.type, r->rest, r->steps(), true, [&](const std::vector<index>& at) { return r->element(l, index(0), at); });
  const auto place = l.state(l.name("place"), dtype::int64, r->rest, r->steps(), true, [&](const std::vector<index>&) { return zero; });
  const index step = l.begin_steps(r->steps());
  const auto better = [&](const std::vector<index>& at) {
    const auto found = r->element(l, step, at), best = running::before(l, value, step, at);
    const auto least = Greatest ? call(op::less_equal, best, found) : call(op::less_equal, found, best);
    return is_floating(r->x.type) ? call(op::logical_or, call(op::is_nan, found), least) : least;
  };
  l.next(l.name("value_next"), value, r->rest, [&](const std::vector<index>& at) { return choose(better(at), r->element(l, step, at), running::before(l, value, step, at)); });
  l.next(l.name("place_next"), place, r->rest, [&](const std::vector<index>& at) { return choose(better(at), position(step), running::before(l, place, step, at)); });
  l.end_steps();
  l.bind(0, r->course(l, value));
  l.bind(1, r->course(l, place));
}

/// log(e^a + e^b) without overflow; equal infinities stay what they are.
void log_cumulative(lowering& l) {
  const auto r = running::of(l);
  if (!r)
    return;
  const auto sum = l.state(l.name("sum"), r->x.type, r->rest, r->steps(), true, [](const std::vector<index>&) { return number(-std::numeric_limits<double>::infinity()); });
  const index step = l.begin_steps(r->steps());
  l.next(l.name("sum_next"), sum, r->rest, [&](const std::vector<index>& at) {
    const auto a = running::before(l, sum, step, at), b = r->element(l, step, at);
    const auto high = call(op::maximum, a, b), low = call(op::minimum, a, b);
    return high + choose(call(op::equal, a, b), number(std::log(2.0)), call(op::log1p, call(op::exp, low - high)));
  });
  l.end_steps();
  l.bind(0, r->course(l, sum));
}

} // namespace

const lower_table& scan_rules() {
  static const lower_table rules{{"cummax", running_extremum<true>}, {"cummin", running_extremum<false>}, {"logcumsumexp", log_cumulative}};
  return rules;
}

} // namespace kevolve::synthesis
