// Sorting and searching: short tables by counting in vectors, long ones by halving.
#include "actors/synthesis/lower.hpp"

namespace kevolve::synthesis {
namespace {

constexpr std::int64_t short_table = 256; // up to it counting wins (one thread, Sapphire Rapids: 64 borders 2.5 times as fast)

expr_ref call(op code, expr_ref x) { return make(code, {std::move(x)}); }

/// How many boundaries lie before each element: vectors of comparisons beat a search among few.
void count_before(lowering& l, const tensor_ref& x, const tensor_ref& borders, bool right) {
  auto space = x.shape;
  space.push_back(borders.shape.at(0));
  const auto type = l.node().outputs.at(0).type;
  l.bind(0, l.reduce(l.name(), type, space, {x.shape.size()}, false, combiner::sum, [&](const std::vector<index>& at) {
    const auto border = l.read(borders, {at.back()});
    const auto element = l.read(x, std::vector<index>(at.begin(), at.end() - 1));
    // "Not before" as PyTorch's search asks it, so that NaN lies after every boundary.
    const auto stops = right ? make(op::less, {element, border}) : make(op::less_equal, {element, border});
    return call(op::to_integer, call(op::logical_not, stops));
  }));
}

/// Positions in one sorted row that every element shares.
void search_sorted(lowering& l) {
  const bool buckets = l.find("boundaries") != nullptr;
  const tensor_ref sorted = l.tensor(buckets ? "boundaries" : "sorted_sequence");
  const tensor_ref x = l.tensor("self");
  const bool right = l.flag("right", false) || l.text("side", "left") == "right";
  if (sorted.shape.size() != 1)
    return l.fail("the sorted values must have one dimension");
  if (const auto n = sorted.shape[0].constant(); n && *n <= short_table && x.type == dtype::float32 && sorted.type == dtype::float32)
    return count_before(l, x, sorted, right);
  if (!l.is_whole_input(sorted))
    return l.fail("more than " + std::to_string(short_table) + " sorted values must be an input");
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, x.shape, [&](const std::vector<index>& at) {
    expr e = *make(right ? op::upper_bound : op::lower_bound, {l.read(x, at)});
    e.value = sorted.value;
    e.at = {sorted.shape[0]};
    return std::make_shared<const expr>(std::move(e));
  }));
}

/// Sorts a short vector by counting what comes before each element (n * n comparisons; NaN last).
void sort(lowering& l) {
  const tensor_ref x = l.tensor("self");
  if (x.shape.size() != 1 || !x.shape[0].constant() || *x.shape[0].constant() > short_table || l.flag("descending", false) || x.type != dtype::float32)
    return l.fail("sort is supported for float32 vectors of at most 256, ascending");
  const auto n = x.shape[0];
  const auto rank = l.reduce(l.name("rank"), x.type, {n, n}, {1}, false, combiner::sum, [&](const std::vector<index>& at) {
    const auto mine = l.read(x, {at[0]});
    const auto other = l.read(x, {at[1]});
    const auto mine_nan = call(op::is_nan, mine);
    const auto other_nan = call(op::is_nan, other);
    const auto both = [](expr_ref a, expr_ref b) { return make(op::logical_and, {std::move(a), std::move(b)}); };
    const auto either = [](expr_ref a, expr_ref b) { return make(op::logical_or, {std::move(a), std::move(b)}); };
    const auto same = either(make(op::equal, {mine, other}), both(mine_nan, other_nan));
    const auto before = either(either(make(op::less, {other, mine}), both(mine_nan, call(op::logical_not, other_nan))), both(same, in_range({at[0] - at[1] - 1})));
    return call(op::to_real, before);
  });
  const auto picked = [&](const std::string& name, dtype type, const lowering::element& what) {
    return l.reduce(name, type, {n, n}, {1}, false, combiner::sum, [&](const std::vector<index>& at) {
      return make(op::select, {make(op::equal, {l.read(rank, {at[1]}), call(op::to_real, position(at[0]))}), what({at[1]}), is_floating(type) ? number(0) : call(op::to_integer, number(0))});
    });
  };
  l.bind(0, picked(l.name(), x.type, [&](const std::vector<index>& at) { return l.read(x, at); }));
  if (l.node().outputs.size() > 1)
    l.bind(1, picked(l.name("", 1), dtype::int64, [&](const std::vector<index>& at) { return position(at[0]); }));
}

} // namespace

const lower_table& search_rules() {
  static const lower_table rules{{"bucketize", search_sorted}, {"searchsorted", search_sorted}, {"sort", sort}};
  return rules;
}

} // namespace kevolve::synthesis
