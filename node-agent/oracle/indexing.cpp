// Reading and writing by index. Every index is checked: one out of range is refused, never read.
#include "node-agent/oracle/call.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::agent::oracle {
namespace {

using integer = std::int64_t;

integer checked_index(integer index, integer size) {
  if (index < -size || index >= size)
    refuse("index " + std::to_string(index) + " is out of range for a dimension of size " + std::to_string(size));
  return index < 0 ? index + size : index;
}

tensor empty_like(const tensor& t, const extents& shape) {
  return t.real() ? make<double>(t.type, shape) : make<integer>(t.type, shape);
}

/// f(double{}) or f(integer{}), as the tensor stores.
template <class F>
void by_storage(const tensor& t, F f) {
  if (t.real())
    f(double{});
  else
    f(integer{});
}

/// Rows of `x` along `dim` chosen by a flat list.
tensor take_along(const tensor& x, integer dim, const tensor& index) {
  tensor chosen = contiguous(as_integers(index));
  tensor source = x.rank() ? x : unsqueeze(x, 0);
  extents shape = source.shape;
  auto d = static_cast<std::size_t>(dim);
  shape[d] = chosen.count();
  tensor out = empty_like(x, shape);
  for (integer i = 0; i < chosen.count(); ++i)
    write_window(out, narrow(out, dim, i, 1), narrow(source, dim, checked_index(data<integer>(chosen)[i], source.shape[d]), 1));
  return x.rank() ? out : reshape(out, {});
}

results index_select(const call& c) {
  tensor x = c.value("self");
  return {take_along(x, wrap_dimension(c.integer("dim"), x.rank()), c.value("index"))};
}

results embedding(const call& c) {
  tensor table = contiguous(c.value("weight")), index = contiguous(as_integers(c.value("indices")));
  auto width = table.shape.at(1);
  extents shape = index.shape;
  shape.push_back(width);
  tensor out = make<double>(table.type, shape);
  for (integer i = 0; i < index.count(); ++i)
    std::copy_n(data<double>(table) + checked_index(data<integer>(index)[i], table.shape[0]) * width, width,
                mutable_data<double>(out) + i * width);
  return {out};
}

/// Calls f(place in index, place in a tensor of `shape` with `strides` where dim is taken from the index).
template <class F>
void for_indexed(const tensor& index, const tensor& x, integer dim, F f) {
  tensor dense = contiguous(index);
  extents at(dense.shape.size(), 0);
  auto d = static_cast<std::size_t>(dim);
  for (integer i = 0, n = dense.count(); i < n; ++i) {
    integer place = 0;
    for (std::size_t k = 0; k < at.size(); ++k)
      place += (k == d ? checked_index(data<integer>(dense)[i], x.shape[k]) : at[k]) * x.strides[k];
    f(i, place);
    for (std::size_t k = at.size(); k-- > 0;) {
      if (++at[k] < dense.shape[k])
        break;
      at[k] = 0;
    }
  }
}

tensor at_least_one(const tensor& t) { return t.rank() ? t : unsqueeze(t, 0); }

void check_index_shape(const tensor& index, const tensor& x, integer dim) {
  for (std::size_t k = 0; k < index.shape.size(); ++k)
    if (index.shape.size() != x.shape.size() || (static_cast<integer>(k) != dim && index.shape[k] > x.shape[k]))
      refuse("index of shape " + to_text(index.shape) + " into " + to_text(x.shape));
}

results gather(const call& c) {
  tensor original = c.value("index");
  tensor x = at_least_one(c.value("self")), index = at_least_one(as_integers(original));
  auto dim = wrap_dimension(c.integer("dim"), x.rank());
  check_index_shape(index, x, dim);
  tensor out = empty_like(x, index.shape);
  by_storage(x, [&]<class T>(T) { for_indexed(index, x, dim, [&](integer i, integer place) { mutable_data<T>(out)[i] = data<T>(x)[place]; }); });
  return {reshape(out, original.shape)};
}

template <class T>
T combined(const std::string& how, T old, T next) {
  if (how == "add" || how == "sum")
    return old + next;
  if (how == "multiply" || how == "prod")
    return old * next;
  if (how == "amax")
    return old != old || old > next ? old : next;
  if (how == "amin")
    return old != old || old < next ? old : next;
  if (how.empty())
    return next;
  refuse("reduction '" + how + "'");
}

tensor scattered(const tensor& self, integer dim, const tensor& index, const tensor& source, const std::string& how) {
  tensor out = copy_of(at_least_one(self));
  tensor where = at_least_one(as_integers(index));
  check_index_shape(where, out, dim);
  tensor from = at_least_one(source);
  if (source.count() == 1 && source.rank() == 0)
    from = expand(source, where.shape);
  else
    for (std::size_t k = 0; k < where.shape.size(); ++k)
      from = narrow(from, static_cast<integer>(k), 0, std::min(where.shape[k], from.shape.at(k)));
  by_storage(out, [&]<class T>(T) {
    tensor values = contiguous(convert(from, out.type));
    T* to = mutable_data<T>(out);
    for_indexed(where, out, dim, [&](integer i, integer place) { to[place] = combined<T>(how, to[place], data<T>(values)[i]); });
  });
  return reshape(out, self.shape);
}

results scatter(const call& c) {
  tensor self = c.value("self");
  auto how = c.text("reduce", "");
  tensor source = c.value(c.has("src") ? "src" : "value");
  return {scattered(self, wrap_dimension(c.integer("dim"), self.rank()), c.value("index"), source, how)};
}

results scatter_add(const call& c) {
  tensor self = c.value("self");
  return {scattered(self, wrap_dimension(c.integer("dim"), self.rank()), c.value("index"), c.value("src"), "add")};
}

results scatter_reduce(const call& c) {
  auto how = c.text("reduce", "");
  if (!c.flag("include_self", true) || how == "mean")
    refuse("scatter_reduce is supported with include_self and without mean");
  return scatter(c);
}

enum class index_write { copy, add, fill };
template <index_write How>
results write_along(const call& c) {
  tensor out = copy_of(at_least_one(c.value("self")));
  auto dim = wrap_dimension(c.integer("dim"), out.rank());
  tensor index = contiguous(as_integers(c.value("index")));
  double alpha = How == index_write::add ? c.real("alpha", 1) : 1;
  tensor source = c.value(How == index_write::fill ? "value" : "source");
  for (integer i = 0; i < index.count(); ++i) {
    auto row = narrow(out, dim, checked_index(data<integer>(index)[i], out.shape[static_cast<std::size_t>(dim)]), 1);
    tensor from = How == index_write::fill ? source : narrow(at_least_one(source), dim, i, 1);
    if (How == index_write::add)
      from = map<double, double>(dtype::float64, as_reals(row), as_reals(from), [=](double a, double b) { return a + alpha * b; });
    write_window(out, row, from);
  }
  return {out};
}

/// Index lists with boolean masks replaced by the places where they are true, one list per mask dimension.
std::vector<std::optional<tensor>> index_lists(const call& c) {
  std::vector<std::optional<tensor>> out;
  for (auto& index : c.values("indices")) {
    if (!index || (index->type != dtype::boolean && index->type != dtype::uint8)) {
      out.push_back(index ? std::optional(as_integers(*index)) : std::nullopt);
      continue;
    }
    tensor mask = contiguous(*index);
    std::vector<std::vector<integer>> places(mask.shape.size());
    for (integer i = 0; i < mask.count(); ++i)
      if (data<integer>(mask)[i])
        for (std::size_t d = mask.shape.size(), rest = static_cast<std::size_t>(i); d-- > 0; rest /= static_cast<std::size_t>(mask.shape[d]))
          places[d].push_back(static_cast<integer>(rest) % mask.shape[d]);
    for (const auto& list : places) {
      tensor t = make<integer>(dtype::int64, {static_cast<integer>(list.size())});
      std::copy(list.begin(), list.end(), mutable_data<integer>(t));
      out.emplace_back(t);
    }
  }
  return out;
}

/// x[indices]: the indexed dimensions moved to the front, flat places into them, and where the result's dimensions go.
struct advanced_index {
  tensor moved;                 // view of x: indexed dimensions first
  extents common;               // broadcast shape of the indices
  std::vector<integer> places;  // offsets from moved's start, one per element of `common`
  extents rest;                 // shape of the dimensions that are not indexed
  std::size_t front = 0;        // how many of `rest` come before the indices in the result
};

advanced_index resolve(const tensor& x, const std::vector<std::optional<tensor>>& lists) {
  if (lists.size() > x.shape.size())
    refuse(std::to_string(lists.size()) + " indices into " + to_text(x.shape));
  advanced_index out;
  extents order, plain;
  bool adjacent = true;
  for (std::size_t d = 0; d < x.shape.size(); ++d)
    if (d < lists.size() && lists[d]) {
      adjacent &= order.empty() || order.back() == static_cast<integer>(d) - 1;
      order.push_back(static_cast<integer>(d));
      out.common = broadcast(out.common, lists[d]->shape);
    } else {
      plain.push_back(static_cast<integer>(d));
    }
  auto indexed = order.size();
  out.front = adjacent && indexed ? static_cast<std::size_t>(order[0]) : 0;
  order.insert(order.end(), plain.begin(), plain.end());
  out.moved = permute(x, order);
  out.rest.assign(out.moved.shape.begin() + static_cast<std::ptrdiff_t>(indexed), out.moved.shape.end());
  out.places.assign(static_cast<std::size_t>(product(out.common)), 0);
  for (std::size_t k = 0; k < indexed; ++k) {
    tensor list = contiguous(expand(*lists[static_cast<std::size_t>(order[k])], out.common));
    for (std::size_t i = 0; i < out.places.size(); ++i)
      out.places[i] += checked_index(data<integer>(list)[i], out.moved.shape[k]) * out.moved.strides[k];
  }
  return out;
}

/// The view of `moved` at one place: its unindexed dimensions.
tensor at_place(const advanced_index& a, const tensor& moved, integer place) {
  tensor view = moved;
  auto indexed = static_cast<std::ptrdiff_t>(moved.shape.size() - a.rest.size());
  view.offset += place;
  view.shape.erase(view.shape.begin(), view.shape.begin() + indexed);
  view.strides.erase(view.strides.begin(), view.strides.begin() + indexed);
  return view;
}

/// [common, rest] to the result's order: rest[0, front), common, rest[front, …), and back.
extents result_order(const advanced_index& a) {
  extents order;
  auto common = static_cast<integer>(a.common.size());
  for (std::size_t d = 0; d < a.front; ++d)
    order.push_back(common + static_cast<integer>(d));
  for (integer d = 0; d < common; ++d)
    order.push_back(d);
  for (std::size_t d = a.front; d < a.rest.size(); ++d)
    order.push_back(common + static_cast<integer>(d));
  return order;
}

results index(const call& c) {
  tensor x = c.value("self");
  auto a = resolve(x, index_lists(c));
  extents shape{static_cast<integer>(a.places.size())};
  shape.insert(shape.end(), a.rest.begin(), a.rest.end());
  tensor out = empty_like(x, shape);
  if (a.rest.empty())
    by_storage(x, [&]<class T>(T) {
      for (std::size_t i = 0; i < a.places.size(); ++i)
        mutable_data<T>(out)[i] = data<T>(a.moved)[a.places[i]];
    });
  else
    for (std::size_t i = 0; i < a.places.size(); ++i)
      write_window(out, select(out, 0, static_cast<integer>(i)), at_place(a, a.moved, a.places[i]));
  extents wide = a.common;
  wide.insert(wide.end(), a.rest.begin(), a.rest.end());
  return {permute(reshape(out, wide), result_order(a))};
}

results index_put(const call& c) {
  tensor out = copy_of(c.value("self"));
  auto a = resolve(out, index_lists(c));
  auto order = result_order(a);
  extents wide = a.common;
  wide.insert(wide.end(), a.rest.begin(), a.rest.end());
  extents shape;
  for (auto d : order)
    shape.push_back(wide[static_cast<std::size_t>(d)]);
  tensor values = expand(convert(c.value("values"), out.type), shape);
  extents inverse(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    inverse[static_cast<std::size_t>(order[i])] = static_cast<integer>(i);
  extents flat{static_cast<integer>(a.places.size())};
  flat.insert(flat.end(), a.rest.begin(), a.rest.end());
  values = reshape(permute(values, inverse), flat);
  bool accumulate = c.flag("accumulate");
  for (std::size_t i = 0; i < a.places.size(); ++i) {
    tensor window = at_place(a, a.moved, a.places[i]);
    window.reals = out.reals, window.integers = out.integers;
    tensor from = select(values, 0, static_cast<integer>(i));
    if (accumulate)
      from = out.real() ? map<double, double>(out.type, window, from, [](double p, double q) { return p + q; })
                        : map<integer, integer>(out.type, window, from, [](integer p, integer q) { return p + q; });
    write_window(out, window, from);
  }
  return {out};
}

/// Keeps the elements whose column - row satisfies `keep`, zeroes the others.
template <bool Lower>
results triangle(const call& c) {
  tensor out = copy_of(c.value("self"));
  auto diagonal = c.integer("diagonal", 0);
  if (out.rank() < 2)
    refuse("a triangle of " + to_text(out.shape));
  auto rows = out.shape[out.shape.size() - 2], columns = out.shape.back();
  by_storage(out, [&]<class T>(T) {
    T* x = mutable_data<T>(out);
    for (integer at = 0, n = out.count(), r = 0; at < n; at += columns, r = (r + 1) % rows)
      for (integer k = 0; k < columns; ++k)
        if (Lower ? k - r > diagonal : k - r < diagonal)
          x[at + k] = 0;
  });
  return {out};
}

results searchsorted(const call& c) { // one sorted row for all
  bool buckets = c.has("boundaries");
  tensor sorted = contiguous(as_reals(c.value(buckets ? "boundaries" : "sorted_sequence"))), x = c.value("self");
  bool right = c.flag("right") || c.text("side", "left") == "right";
  if (sorted.rank() != 1)
    refuse("searchsorted is supported in one sorted row");
  const double* begin = data<double>(sorted);
  const double* end = begin + sorted.count();
  return {map<integer, double>(c.result_type(), as_reals(x), [=](double v) {
    if (v != v)
      return static_cast<integer>(end - begin);
    return static_cast<integer>((right ? std::upper_bound(begin, end, v) : std::lower_bound(begin, end, v)) - begin);
  })};
}

const entry table[] = {
    {"index_select", index_select},
    {"embedding", embedding},
    {"gather", gather},
    {"take_along_dim", gather},
    {"take", [](const call& c) -> results {
       tensor x = c.value("self"), where = c.value("index");
       return {reshape(take_along(reshape(x, {x.count()}), 0, where), where.shape)};
     }},
    {"scatter", scatter},
    {"scatter_add", scatter_add},
    {"scatter_reduce", scatter_reduce},
    {"index_copy", write_along<index_write::copy>},
    {"index_add", write_along<index_write::add>},
    {"index_fill", write_along<index_write::fill>},
    {"index", index},
    {"_unsafe_index", index},
    {"index_put", index_put},
    {"_unsafe_index_put", index_put},
    {"tril", triangle<true>},
    {"triu", triangle<false>},
    {"bucketize", searchsorted},
    {"searchsorted", searchsorted},
};

} // namespace

family indexing_operations() { return table; }

} // namespace kevolve::agent::oracle
