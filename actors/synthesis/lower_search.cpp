// Sorting and searching: short tables by counting in vectors, long ones by halving; the greatest few of many one after the other.
#include "actors/synthesis/algebra.hpp"
#include "actors/synthesis/lower.hpp"

#include <limits>

namespace kevolve::synthesis {
namespace {

constexpr std::int64_t short_table = 256; // up to it counting wins (one thread, Sapphire Rapids: 64 borders 2.5 times as fast)

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

/// Where each element along one dimension stands in the order: n comparisons each. Stable; NaN is greater than all.
struct ranking {
  tensor_ref x, rank;
  std::size_t dim = 0;
  index n;
};

std::optional<ranking> ranking_of(lowering& l, const tensor_ref& x, std::size_t dim, bool descending) {
  ranking r{x, {}, dim, x.shape.empty() ? index(1) : x.shape[dim]};
  if (x.shape.empty() || !r.n.constant() || *r.n.constant() > short_table) {
    l.fail("an order among more than " + std::to_string(short_table) + " elements, or a number that is no constant, is not supported");
    return std::nullopt;
  }
  auto space = x.shape;
  space.push_back(r.n);
  r.rank = l.reduce(l.name("rank"), dtype::float32, space, {x.shape.size()}, false, combiner::sum, [&](const std::vector<index>& at) {
    const std::vector<index> own(at.begin(), at.end() - 1);
    auto others = own;
    others[dim] = at.back();
    const auto mine = l.read(x, own);
    const auto other = l.read(x, others);
    const auto both = [](expr_ref a, expr_ref b) { return call(op::logical_and, std::move(a), std::move(b)); };
    const auto either = [](expr_ref a, expr_ref b) { return call(op::logical_or, std::move(a), std::move(b)); };
    const auto first = descending ? less(mine, other) : less(other, mine);
    const auto same = call(op::equal, mine, other);
    const auto earlier = in_range({own[dim] - at.back() - 1});
    if (!is_floating(x.type))
      return call(op::to_real, either(first, both(same, earlier)));
    const auto mine_nan = call(op::is_nan, mine);
    const auto other_nan = call(op::is_nan, other);
    const auto by_nan = descending ? both(other_nan, call(op::logical_not, mine_nan)) : both(mine_nan, call(op::logical_not, other_nan));
    return call(op::to_real, either(either(first, by_nan), both(either(same, both(mine_nan, other_nan)), earlier)));
  });
  return r;
}

/// Over `shape` (x's with another extent along the dimension): the element, or its position, that stands at `wanted(at)`.
tensor_ref picked(lowering& l, const ranking& r, const std::string& name, const std::vector<index>& shape, bool positions, const lowering::element& wanted) {
  auto space = shape;
  space.push_back(r.n);
  const auto type = positions ? dtype::int64 : r.x.type;
  return l.reduce(name, type, space, {shape.size()}, false, combiner::sum, [&](const std::vector<index>& at) {
    const std::vector<index> out(at.begin(), at.end() - 1);
    auto from = out;
    from[r.dim] = at.back();
    const auto here = call(op::equal, l.read(r.rank, from), wanted(out));
    const auto nothing = is_floating(type) ? number(0) : call(op::to_integer, number(0));
    return choose(here, positions ? position(at.back()) : l.read(r.x, from), nothing);
  });
}

constexpr std::int64_t most_extrema = 64; // each is two passes over the row

/// The k greatest of a long row, one after the other: the greatest of those that come after the one before in the order (NaN is greater than all,
/// of equals the first comes first), and then where it stands.
void greatest_few(lowering& l, const tensor_ref& x, std::size_t dim, std::int64_t k) {
  if (!is_floating(x.type) || !l.flag("largest", true) || k < 1 || k > most_extrema)
    return l.fail("of more than " + std::to_string(short_table) + " elements only the greatest " + std::to_string(most_extrema) + " floating-point ones are found");
  const auto both = [](expr_ref a, expr_ref b) { return call(op::logical_and, std::move(a), std::move(b)); };
  const auto either = [](expr_ref a, expr_ref b) { return call(op::logical_or, std::move(a), std::move(b)); };
  const auto front = [&](std::vector<index> at) {
    at[dim] = index(0);
    return at;
  };
  // As numbers where float32 counts so far: comparing them shares vectors with the elements.
  const bool counted_in_float = x.shape[dim].constant() && *x.shape[dim].constant() <= std::int64_t{1} << 24;
  const auto standing = [&](const index& i) { return counted_in_float ? call(op::to_real, position(i)) : position(i); };
  std::vector<tensor_ref> values, places;
  for (std::int64_t j = 0; j < k; ++j) {
    const auto eligible = [&](const std::vector<index>& at) -> expr_ref {
      if (j == 0)
        return {};
      const auto e = l.read(x, at), before = l.read(values.back(), front(at));
      const auto later = less(l.read(places.back(), front(at)), standing(at[dim]));
      const auto nan = call(op::is_nan, e), nan_before = call(op::is_nan, before);
      const auto behind_nan = both(nan_before, either(call(op::logical_not, nan), later));
      return either(behind_nan, either(less(e, before), both(call(op::equal, e, before), later))); // comparisons with NaN are false
    };
    const std::string which = std::to_string(j);
    values.push_back(l.reduce(l.name("value" + which), x.type, x.shape, {dim}, true, combiner::maximum, [&](const std::vector<index>& at) {
      const auto allowed = eligible(at);
      const auto e = l.read(x, at);
      return allowed ? choose(allowed, e, number(-std::numeric_limits<double>::infinity())) : e;
    }));
    const tensor_ref value = values.back();
    values.pop_back(); // `eligible` speaks of the one before
    const auto nowhere = standing(x.shape[dim]);
    const auto place = l.reduce(l.name("place" + which), counted_in_float ? dtype::float32 : dtype::int64, x.shape, {dim}, true, combiner::minimum, [&](const std::vector<index>& at) {
      const auto e = l.read(x, at), v = l.read(value, front(at));
      auto here = either(call(op::equal, e, v), both(call(op::is_nan, e), call(op::is_nan, v)));
      if (const auto allowed = eligible(at))
        here = both(allowed, here);
      return choose(here, standing(at[dim]), nowhere);
    });
    values.push_back(value);
    places.push_back(place);
  }
  auto shape = x.shape;
  shape[dim] = index(k);
  for (std::size_t o = 0; o < l.node().outputs.size(); ++o) {
    const auto& found = o == 0 ? values : places;
    l.bind(o, l.map(l.name("", o), o == 0 ? x.type : dtype::int64, shape, [&](const std::vector<index>& at) {
      expr_ref out = l.read(found.back(), front(at));
      for (std::int64_t j = k - 1; j-- > 0;)
        out = choose(in_range({index(j) - at[dim]}), l.read(found[static_cast<std::size_t>(j)], front(at)), out);
      return o == 1 && counted_in_float ? call(op::to_integer, out) : out;
    }));
  }
}

std::size_t sorted_dimension(lowering& l, const tensor_ref& x) { return x.shape.empty() ? 0 : l.wrap(l.integer("dim", -1), x.shape.size()); }

/// sort, argsort, topk: the first of the order, with their positions.
void sort(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto dim = sorted_dimension(l, x);
  const bool top = base_name(l.node().op) == "topk";
  if (top && !x.shape.empty() && (!x.shape[dim].constant() || *x.shape[dim].constant() > short_table))
    return greatest_few(l, x, dim, l.integer("k", 1));
  const auto r = ranking_of(l, x, dim, top ? l.flag("largest", true) : l.flag("descending", false));
  if (!r)
    return;
  auto shape = x.shape;
  if (top)
    shape[dim] = index(l.integer("k", 1));
  const auto place = [&](const std::vector<index>& at) { return call(op::to_real, position(at[dim])); };
  const bool only_positions = base_name(l.node().op) == "argsort";
  for (std::size_t o = 0; o < l.node().outputs.size(); ++o)
    l.bind(o, picked(l, *r, l.name("", o), shape, only_positions || o == 1, place));
}

/// kthvalue, median: one element of the order. The median of a row with NaN is the first of them.
void one_of_order(lowering& l) {
  tensor_ref x = l.tensor("self");
  const bool median = base_name(l.node().op) != "kthvalue";
  const bool flat = l.find("dim") == nullptr && median;
  if (flat)
    x = l.reshaped(x, {l.product(x.shape)});
  const auto dim = sorted_dimension(l, x);
  const auto r = ranking_of(l, x, dim, false);
  if (!r)
    return;
  auto shape = x.shape;
  shape[dim] = index(1);
  const auto n = *r->n.constant();
  tensor_ref numbers;
  if (median)
    numbers = l.reduce(l.name("numbers"), dtype::float32, x.shape, {dim}, true, combiner::sum, [&](const std::vector<index>& at) {
      return call(op::to_real, call(op::logical_not, call(op::is_nan, l.read(x, at))));
    });
  const auto place = [&](const std::vector<index>& at) {
    if (!median)
      return number(static_cast<double>(l.integer("k", 1) - 1));
    const auto known = l.read(numbers, at);
    return choose(less(known, number(static_cast<double>(n))), known, number(static_cast<double>((n - 1) / 2)));
  };
  for (std::size_t o = 0; o < l.node().outputs.size(); ++o)
    l.bind(o, l.reshaped(picked(l, *r, l.name("", o), shape, o == 1, place), l.output_shape()));
}

} // namespace

const lower_table& search_rules() {
  static const lower_table rules{{"bucketize", search_sorted}, {"searchsorted", search_sorted}, {"sort", sort},
                                 {"argsort", sort}, {"topk", sort}, {"kthvalue", one_of_order}, {"median", one_of_order}};
  return rules;
}

} // namespace kevolve::synthesis
