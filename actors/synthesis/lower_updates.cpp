// What in-place writes become: a tensor with a part replaced or added to, read under guards. Constants of the reference, too.
#include "actors/synthesis/algebra.hpp"
#include "actors/synthesis/lower.hpp"

#include <limits>
#include <optional>

namespace kevolve::synthesis {
namespace {

constexpr std::int64_t most_indices = 256; // each element of the result compares with all of them

/// self with the elements at which `inside` (all >= 0) holds taken from src at `from`.
void replaced(lowering& l, const std::function<void(const std::vector<index>& at, std::vector<index>& from, std::vector<index>& inside)>& part) {
  const tensor_ref x = l.tensor("self");
  const tensor_ref src = l.tensor("src");
  l.bind(0, l.map(l.name(), x.type, x.shape, [&](const std::vector<index>& at) {
    std::vector<index> from, inside;
    part(at, from, inside);
    for (std::size_t d = 0; d < from.size(); ++d)
      if (src.shape[d].is(1))
        from[d] = index(0);
    return choose(in_range(inside), l.read(src, from, inside), l.read(x, at));
  }));
}

void slice_scatter(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const tensor_ref src = l.tensor("src");
  const auto dim = l.wrap(l.integer("dim", 0), x.shape.size());
  const index start = slice_bound(l, "start", x.shape[dim], index(0));
  const index step(l.integer("step", 1));
  replaced(l, [&](const std::vector<index>& at, std::vector<index>& from, std::vector<index>& inside) {
    const index distance = at[dim] - start;
    from = at;
    from[dim] = floor_div(distance, step);
    inside = {distance, src.shape[dim] - 1 - from[dim]};
    if (!step.is(1))
      inside.push_back(index(0) - modulo(distance, step)); // divides exactly
  });
}

void select_scatter(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto dim = l.wrap(l.integer("dim", 0), x.shape.size());
  const index which = selected_position(l, x.shape[dim]);
  replaced(l, [&](const std::vector<index>& at, std::vector<index>& from, std::vector<index>& inside) {
    from = at;
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(dim));
    inside = {at[dim] - which, which - at[dim]};
  });
}

struct diagonal_of {
  std::size_t first, second;
  std::int64_t offset;
  index row, column; // of its first element
  diagonal_of(lowering& l, std::size_t rank)
      : first(l.wrap(l.integer("dim1", 0), rank)), second(l.wrap(l.integer("dim2", 1), rank)), offset(l.integer("offset", 0)),
        row(std::max<std::int64_t>(-offset, 0)), column(std::max<std::int64_t>(offset, 0)) {}
  /// Dimensions of a diagonal: the others in their order, then along it.
  [[nodiscard]] std::vector<index> without(const std::vector<index>& at) const {
    std::vector<index> out;
    for (std::size_t d = 0; d < at.size(); ++d)
      if (d != first && d != second)
        out.push_back(at[d]);
    return out;
  }
};

void diagonal(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const diagonal_of along(l, x.shape.size());
  l.bind(0, l.view(x, l.output_shape(), [&](const std::vector<index>& at) {
    std::vector<index> inner;
    std::size_t other = 0;
    for (std::size_t d = 0; d < x.shape.size(); ++d)
      inner.push_back(d == along.first ? at.back() + along.row : d == along.second ? at.back() + along.column : at[other++]);
    return inner;
  }));
}

void diagonal_scatter(lowering& l) {
  const diagonal_of along(l, l.tensor("self").shape.size());
  replaced(l, [&](const std::vector<index>& at, std::vector<index>& from, std::vector<index>& inside) {
    from = along.without(at);
    from.push_back(at[along.first] - along.row);
    const index distance = at[along.second] - at[along.first] - along.offset;
    inside = {distance, index(0) - distance};
  });
}

/// A vector along the diagonal of a matrix of zeros.
void diagonal_embedded(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto shape = l.output_shape();
  const diagonal_of along(l, shape.size());
  l.bind(0, l.map(l.name(), x.type, shape, [&](const std::vector<index>& at) {
    auto from = along.without(at);
    from.push_back(at[along.first] - along.row);
    const index distance = at[along.second] - at[along.first] - along.offset;
    return l.read(x, from, {distance, index(0) - distance});
  }));
}

bool few(lowering& l, const index& n) {
  const bool ok = n.constant() && *n.constant() <= most_indices;
  if (!ok)
    l.fail("more than " + std::to_string(most_indices) + " indices (or a number that is no constant) are not supported");
  return ok;
}

/// Negative indices count from the end.
expr_ref wrapped(const expr_ref& which, const index& extent) {
  return choose(less(which, call(op::to_integer, number(0))), which + position(extent), which);
}

/// Rows that vectors of indices name along dim and the dimensions after it, one each; each row of the result looks for itself among them.
struct named_rows {
  tensor_ref x;
  std::vector<tensor_ref> names;
  std::size_t dim = 0;
  index n; // rows that are named

  static std::optional<named_rows> of(lowering& l, const tensor_ref& x, const std::vector<tensor_ref>& names, std::int64_t dim) {
    named_rows out{x, names, l.wrap(dim, x.shape.size()), index(1)};
    if (out.dim + names.size() > x.shape.size())
      return l.fail("more indices than dimensions"), std::nullopt;
    for (const auto& i : names) {
      if (i.shape.size() > 1)
        return l.fail("indices of more than one dimension are not supported"), std::nullopt;
      if (!i.shape.empty() && !i.shape[0].is(1))
        out.n = i.shape[0];
    }
    return few(l, out.n) ? std::optional(out) : std::nullopt;
  }
  static std::optional<named_rows> of(lowering& l) { return of(l, l.tensor("self"), {l.tensor("index")}, l.integer("dim", 0)); }

  /// The named dimensions of x.
  [[nodiscard]] std::vector<index> extents() const {
    return {x.shape.begin() + static_cast<std::ptrdiff_t>(dim), x.shape.begin() + static_cast<std::ptrdiff_t>(dim + names.size())};
  }
  /// `all` (by x's dimensions) with `one` in place of the named ones.
  [[nodiscard]] std::vector<index> with(std::vector<index> all, const index& one) const {
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(dim) + 1, all.begin() + static_cast<std::ptrdiff_t>(dim + names.size()));
    all[dim] = one;
    return all;
  }
  /// Do the indices at `which` name the row that `at` (by x's dimensions) is in?
  [[nodiscard]] expr_ref hit(lowering& l, const index& which, const std::vector<index>& at) const {
    expr_ref all;
    for (std::size_t d = 0; d < names.size(); ++d) {
      const auto& i = names[d];
      const auto named = l.read(i, i.shape.empty() ? std::vector<index>{} : std::vector<index>{i.shape[0].is(1) ? index(0) : which});
      const auto same = call(op::equal, wrapped(named, x.shape[dim + d]), position(at[dim + d]));
      all = all ? call(op::logical_and, all, same) : same;
    }
    return all;
  }
  /// The same for a place in the named dimensions alone.
  [[nodiscard]] expr_ref hit_row(lowering& l, const index& which, const std::vector<index>& row) const {
    std::vector<index> at(dim, index(0));
    at.insert(at.end(), row.begin(), row.begin() + static_cast<std::ptrdiff_t>(names.size()));
    return hit(l, which, at);
  }
  [[nodiscard]] std::vector<index> row_of(const std::vector<index>& at) const {
    return {at.begin() + static_cast<std::ptrdiff_t>(dim), at.begin() + static_cast<std::ptrdiff_t>(dim + names.size())};
  }
  /// For each of x's elements the sum of those rows of `values` (which broadcast) that are named.
  [[nodiscard]] tensor_ref sum(lowering& l, const tensor_ref& values) const {
    auto space = x.shape;
    space.push_back(n);
    return l.reduce(l.name("sum"), x.type, space, {x.shape.size()}, false, combiner::sum, [&](const std::vector<index>& at) {
      return choose(hit(l, at.back(), at), l.read_broadcast(values, with({at.begin(), at.end() - 1}, at.back())), number(0));
    });
  }
  /// self with the rows that are named taken from `values`; of several for one row the last.
  [[nodiscard]] tensor_ref replaced_by(lowering& l, const tensor_ref& values) const {
    const auto rows = l.map(l.name("rows"), x.type, with(x.shape, n), [&](const std::vector<index>& at) { return l.read_broadcast(values, at); });
    const auto none = call(op::to_integer, number(-1));
    auto space = extents();
    space.push_back(n);
    const auto last = l.reduce(l.name("last"), dtype::int64, space, {names.size()}, false, combiner::maximum,
                               [&](const std::vector<index>& at) { return choose(hit_row(l, at.back(), at), position(at.back()), none); });
    return l.map(l.name(), x.type, x.shape, [&](const std::vector<index>& at) {
      const auto which = l.read(last, row_of(at));
      return choose(less(which, call(op::to_integer, number(0))), l.read(x, at), l.gather(rows, with(at, index(0)), dim, which));
    });
  }
};

void index_add(lowering& l) {
  const auto rows = named_rows::of(l);
  if (!rows)
    return;
  const double alpha = l.real("alpha").value_or(1);
  const auto sum = rows->sum(l, l.tensor("source"));
  l.bind(0, l.map(l.name(), rows->x.type, rows->x.shape, [&](const std::vector<index>& at) {
    return l.read(rows->x, at) + (alpha == 1 ? l.read(sum, at) : number(alpha) * l.read(sum, at));
  }));
}

void index_fill(lowering& l) {
  const auto rows = named_rows::of(l);
  if (!rows)
    return;
  const auto value = l.operand("value");
  const auto named = l.reduce(l.name("named"), dtype::boolean, {rows->x.shape[rows->dim], rows->n}, {1}, false, combiner::any,
                              [&](const std::vector<index>& at) { return rows->hit_row(l, at[1], at); });
  l.bind(0, l.map(l.name(), rows->x.type, rows->x.shape, [&](const std::vector<index>& at) { return choose(l.read(named, {at[rows->dim]}), value(at), l.read(rows->x, at)); }));
}

void index_copy(lowering& l) {
  if (const auto rows = named_rows::of(l))
    l.bind(0, rows->replaced_by(l, l.tensor("source")));
}

/// With vectors of integers for neighbouring dimensions; None for those before them.
void index_put(lowering& l) {
  const auto* list = l.find("indices");
  std::vector<tensor_ref> names;
  std::size_t first = 0;
  for (std::size_t d = 0; list != nullptr && d < list->items.size(); ++d) {
    if (list->items[d].kind != argument_kind::value)
      continue;
    if (names.empty())
      first = d;
    if (first + names.size() != d)
      return l.fail("indices for dimensions that are no neighbours are not supported");
    names.push_back(l.named(list->items[d].text));
    if (is_floating(names.back().type) || names.back().type == dtype::boolean)
      return l.fail("a mask in place of indices is not supported");
  }
  if (names.empty())
    return l.fail("argument \"indices\" names no tensor");
  const auto rows = named_rows::of(l, l.tensor("self"), names, static_cast<std::int64_t>(first));
  if (!rows)
    return;
  if (!l.flag("accumulate", false))
    return l.bind(0, rows->replaced_by(l, l.tensor("values")));
  const auto sum = rows->sum(l, l.tensor("values"));
  l.bind(0, l.map(l.name(), rows->x.type, rows->x.shape, [&](const std::vector<index>& at) { return l.read(rows->x, at) + l.read(sum, at); }));
}

/// What scatter's relatives share: each element of the result looks for itself among the indices along dim. index may be smaller than self in
/// the other dimensions.
struct scattered {
  tensor_ref x, i;
  std::size_t dim = 0;
  std::vector<index> space; // of x, and the index's extent along dim

  static std::optional<scattered> of(lowering& l) {
    scattered s{l.tensor("self"), l.tensor("index"), 0, {}};
    if (s.x.shape.empty())
      return l.fail("a tensor without dimensions is not supported"), std::nullopt;
    s.dim = l.wrap(l.integer("dim", 0), s.x.shape.size());
    if (!few(l, s.i.shape[s.dim]))
      return std::nullopt;
    s.space = s.x.shape;
    s.space.push_back(s.i.shape[s.dim]);
    return s;
  }
  /// The place in index and src that element `at` of `space` looks at, where `inside` (all >= 0) holds.
  [[nodiscard]] std::vector<index> from(const std::vector<index>& at, std::vector<index>& inside) const {
    std::vector<index> place(at.begin(), at.end() - 1);
    place[dim] = at.back();
    for (std::size_t d = 0; d < place.size(); ++d)
      if (d != dim && !(i.shape[d] == x.shape[d]))
        inside.push_back(i.shape[d] - 1 - place[d]);
    return place;
  }
  [[nodiscard]] expr_ref hit(lowering& l, const std::vector<index>& at) const {
    std::vector<index> inside;
    const auto place = from(at, inside);
    const auto same = call(op::equal, l.read(i, place, inside), position(at[dim]));
    return inside.empty() ? same : call(op::logical_and, in_range(inside), same);
  }
  /// src's elements that fall on one of self's, combined; `nothing` where there are none.
  [[nodiscard]] tensor_ref combined(lowering& l, combiner c, double nothing) const {
    const tensor_ref src = l.tensor("src");
    return l.reduce(l.name("scattered"), x.type, space, {x.shape.size()}, false, c, [&](const std::vector<index>& at) {
      std::vector<index> inside;
      const auto place = from(at, inside);
      return choose(hit(l, at), l.read(src, place, inside), number(nothing));
    });
  }
};

/// Elements of src are added where index says along dim.
void scatter_add(lowering& l) {
  const auto s = scattered::of(l);
  if (!s)
    return;
  const auto sum = s->combined(l, combiner::sum, 0);
  l.bind(0, l.map(l.name(), s->x.type, s->x.shape, [&](const std::vector<index>& at) { return l.read(s->x, at) + l.read(sum, at); }));
}

/// Elements of src (or a number) replace self's where index says; of several for one place the last.
void scatter(lowering& l) {
  const auto s = scattered::of(l);
  if (!s)
    return;
  if (l.has("value")) {
    const auto value = l.operand("value");
    const auto named = l.reduce(l.name("named"), dtype::boolean, s->space, {s->x.shape.size()}, false, combiner::any, [&](const std::vector<index>& at) { return s->hit(l, at); });
    return l.bind(0, l.map(l.name(), s->x.type, s->x.shape, [&](const std::vector<index>& at) { return choose(l.read(named, at), value(at), l.read(s->x, at)); }));
  }
  // As large as self in the other dimensions, so that every element may look: both sides of a choice are read.
  tensor_ref src = l.tensor("src");
  auto wide = s->x.shape;
  wide[s->dim] = src.shape[s->dim];
  if (!(src.shape == wide))
    src = l.map(l.name("src"), src.type, wide, [&, narrow = src](const std::vector<index>& at) {
      std::vector<index> inside;
      for (std::size_t d = 0; d < at.size(); ++d)
        if (!(narrow.shape[d] == wide[d]))
          inside.push_back(narrow.shape[d] - 1 - at[d]);
      return l.read(narrow, at, inside);
    });
  const auto none = call(op::to_integer, number(-1));
  const auto last = l.reduce(l.name("last"), dtype::int64, s->space, {s->x.shape.size()}, false, combiner::maximum,
                             [&](const std::vector<index>& at) { return choose(s->hit(l, at), position(at.back()), none); });
  l.bind(0, l.map(l.name(), s->x.type, s->x.shape, [&](const std::vector<index>& at) {
    const auto which = l.read(last, at);
    return choose(less(which, call(op::to_integer, number(0))), l.read(s->x, at), l.gather(src, at, s->dim, which));
  }));
}

/// Elements of src are combined with self's where index says.
void scatter_reduce(lowering& l) {
  const auto s = scattered::of(l);
  if (!s)
    return;
  const std::string how = l.text("reduce", "");
  const bool greatest = how == "amax", least = how == "amin", sum = how == "sum", product = how == "prod";
  if (!l.flag("include_self", true) || !(greatest || least || sum || product))
    return l.fail("scatter_reduce is supported with 'sum', 'prod', 'amax' or 'amin' and with self included");
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const auto found = s->combined(l, greatest ? combiner::maximum : least ? combiner::minimum : sum ? combiner::sum : combiner::product,
                                 greatest ? -infinity : least ? infinity : sum ? 0 : 1);
  const auto code = greatest ? op::maximum : least ? op::minimum : sum ? op::add : op::mul;
  l.bind(0, l.map(l.name(), s->x.type, s->x.shape, [&](const std::vector<index>& at) { return call(code, l.read(s->x, at), l.read(found, at)); }));
}

/// A tensor that the tracer found written in the reference.
void literal(lowering& l) {
  const auto* values = l.find("values");
  std::vector<double> numbers;
  for (const auto& v : values == nullptr ? std::vector<argument>{} : values->items)
    numbers.push_back(v.kind == argument_kind::boolean ? (v.boolean ? 1.0 : 0.0)
                      : v.kind == argument_kind::real  ? v.real
                                                       : static_cast<double>(l.extent(v).constant().value_or(0)));
  l.bind(0, l.literal(l.name(), l.node().outputs.at(0).type, l.output_shape(), std::move(numbers)));
}

} // namespace

const lower_table& update_rules() {
  static const lower_table rules{
    {"slice_scatter", slice_scatter}, {"select_scatter", select_scatter}, {"diagonal", diagonal}, {"diagonal_scatter", diagonal_scatter}, {"diag_embed", diagonal_embedded},
    {"index_add", index_add}, {"index_fill", index_fill}, {"scatter_add", scatter_add}, {"scatter", scatter}, {"index_copy", index_copy}, {"index_put", index_put}, {"_unsafe_index_put", index_put}, {"scatter_reduce", scatter_reduce}, {"literal", literal},
  };
  return rules;
}

} // namespace kevolve::synthesis
