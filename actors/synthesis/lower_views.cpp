// Operations that move no data: each is an access map. cat, stack and padding become guarded reads.
#include "actors/synthesis/lower.hpp"

#include <algorithm>

namespace kevolve::synthesis {
namespace {

const char* subject(lowering& l) { return l.find("self") != nullptr ? "self" : l.find("input") != nullptr ? "input" : "tensor"; }

void same(lowering& l) { l.bind(0, l.tensor(subject(l))); }

void reshape(lowering& l) { l.bind(0, l.reshaped(l.tensor(subject(l)), l.output_shape())); }

void transpose(lowering& l) {
  const tensor_ref t = l.tensor("self");
  const auto rank = t.shape.size();
  if (rank < 2)
    return l.bind(0, t);
  const bool named = l.has("dim0");
  const auto a = named ? l.wrap(l.integer("dim0", 0), rank) : rank - 2;
  const auto b = named ? l.wrap(l.integer("dim1", 1), rank) : rank - 1;
  l.bind(0, l.view(t, l.output_shape(), [&](std::vector<index> at) {
    std::swap(at[a], at[b]);
    return at;
  }));
}

void permute(lowering& l) {
  const tensor_ref t = l.tensor("self");
  const auto order = l.integers("dims");
  l.bind(0, l.view(t, l.output_shape(), [&](const std::vector<index>& at) {
    std::vector<index> inner(at.size());
    for (std::size_t d = 0; d < order.size(); ++d)
      inner[l.wrap(order[d], at.size())] = at[d];
    return inner;
  }));
}

void expand(lowering& l) {
  const tensor_ref t = l.tensor("self");
  l.bind(0, l.view(t, l.output_shape(), [&](const std::vector<index>& at) {
    std::vector<index> inner;
    for (std::size_t d = 0; d < t.shape.size(); ++d)
      inner.push_back(t.shape[d].is(1) ? index(0) : at[at.size() - t.shape.size() + d]);
    return inner;
  }));
}

} // namespace

index slice_bound(lowering& l, const char* argument_name, const index& extent, const index& otherwise) {
  if (!l.has(argument_name))
    return otherwise;
  const index given = l.extent(*l.find(argument_name));
  const auto c = given.constant();
  if (!c)
    return given;
  if (*c < 0) {
    const index from_end = extent + given;
    const auto f = from_end.constant();
    return f && *f < 0 ? index(0) : from_end;
  }
  return extent.constant() && *c > *extent.constant() ? extent : given;
}

index selected_position(lowering& l, const index& extent) {
  const index which = l.extent(*l.find("index"));
  return which.constant() && *which.constant() < 0 ? which + extent : which;
}

namespace {

void slice(lowering& l) {
  const tensor_ref t = l.tensor("self");
  const auto dim = l.wrap(l.integer("dim", 0), t.shape.size());
  const index start = slice_bound(l, "start", t.shape[dim], index(0));
  const index step(l.integer("step", 1));
  l.bind(0, l.view(t, l.output_shape(), [&](std::vector<index> at) {
    at[dim] = start + step * at[dim];
    return at;
  }));
}

void select(lowering& l) {
  const tensor_ref t = l.tensor("self");
  const auto dim = l.wrap(l.integer("dim", 0), t.shape.size());
  const index which = selected_position(l, t.shape[dim]);
  l.bind(0, l.view(t, l.output_shape(), [&](std::vector<index> at) {
    at.insert(at.begin() + static_cast<std::ptrdiff_t>(dim), which);
    return at;
  }));
}

void flip(lowering& l) {
  const tensor_ref t = l.tensor("self");
  const auto over = l.dims("dims", t.shape.size());
  l.bind(0, l.view(t, t.shape, [&](std::vector<index> at) {
    for (const auto d : over)
      at[d] = t.shape[d] - 1 - at[d];
    return at;
  }));
}

void split(lowering& l) {
  const tensor_ref t = l.tensor("self");
  const auto dim = l.wrap(l.integer("dim", 0), t.shape.size());
  index start(0);
  for (std::size_t o = 0; o < l.node().outputs.size(); ++o) {
    const auto shape = l.output_shape(o);
    l.bind(o, l.view(t, shape, [&](std::vector<index> at) {
      at[dim] = at[dim] + start;
      return at;
    }));
    start = start + shape[dim];
  }
}

void unbind(lowering& l) {
  const tensor_ref t = l.tensor("self");
  const auto dim = l.wrap(l.integer("dim", 0), t.shape.size());
  for (std::size_t o = 0; o < l.node().outputs.size(); ++o)
    l.bind(o, l.view(t, l.output_shape(o), [&](std::vector<index> at) {
      at.insert(at.begin() + static_cast<std::ptrdiff_t>(dim), index(static_cast<std::int64_t>(o)));
      return at;
    }));
}

/// cat and stack: the part that covers a position is read under its guard.
void concatenate(lowering& l) {
  const bool stack = base_name(l.node().op) == "stack";
  const auto* list = l.find("tensors");
  if (list == nullptr || list->kind != argument_kind::list || list->items.empty())
    return l.fail("argument \"tensors\" is not a list of tensors");
  const auto shape = l.output_shape();
  const auto dim = l.wrap(l.integer("dim", 0), shape.size());
  std::vector<tensor_ref> parts;
  for (const auto& item : list->items)
    parts.push_back(l.named(item.text));
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, shape, [&](const std::vector<index>& at) {
    std::vector<index> ends;
    index end(0);
    for (const auto& p : parts)
      ends.push_back(end = end + (stack ? index(1) : p.shape[dim]));
    expr_ref out;
    for (std::size_t p = parts.size(); p-- > 0;) {
      const index first = p == 0 ? index(0) : ends[p - 1];
      auto inner = at;
      inner[dim] = inner[dim] - first;
      if (stack)
        inner.erase(inner.begin() + static_cast<std::ptrdiff_t>(dim));
      std::vector<index> inside;
      if (p > 0)
        inside.push_back(at[dim] - first);
      if (p + 1 < parts.size())
        inside.push_back(ends[p] - 1 - at[dim]);
      for (std::size_t d = 0; d < inner.size(); ++d)
        if (parts[p].shape[d].is(1))
          inner[d] = index(0);
      const auto part = l.read(parts[p], inner, inside);
      out = out ? make(op::select, {in_range({ends[p] - 1 - at[dim]}), part, out}) : part;
    }
    return out;
  }));
}

void pad(lowering& l) {
  const tensor_ref t = l.tensor("self");
  const auto amounts = l.integers("pad");
  const double fill = l.real("value").value_or(0);
  l.bind(0, l.map(l.name(), t.type, l.output_shape(), [&](const std::vector<index>& at) {
    auto inner = at;
    std::vector<index> inside;
    for (std::size_t p = 0; 2 * p + 1 < amounts.size(); ++p) {
      const std::size_t d = at.size() - 1 - p;
      inner[d] = at[d] - index(amounts[2 * p]);
      if (amounts[2 * p] != 0)
        inside.push_back(inner[d]);
      if (amounts[2 * p + 1] != 0)
        inside.push_back(t.shape[d] - 1 - inner[d]);
    }
    return inside.empty() ? l.read(t, inner) : make(op::select, {in_range(inside), l.read(t, inner, inside), number(fill)});
  }));
}

void roll(lowering& l) {
  const tensor_ref t = l.tensor("self");
  const auto shifts = l.integers("shifts");
  const auto over = l.integers("dims");
  if (over.empty() && shifts.size() == 1) { // over the flattened tensor
    const index n = l.product(t.shape);
    const auto flat = l.reshaped(t, {n});
    return l.bind(0, l.reshaped(l.view(flat, {n}, [&](std::vector<index> at) {
      at[0] = modulo(at[0] + n - modulo(index(shifts[0]), n), n);
      return at;
    }), t.shape));
  }
  if (over.size() != shifts.size())
    return l.fail("expected as many shifts as dimensions");
  l.bind(0, l.view(t, t.shape, [&](std::vector<index> at) {
    for (std::size_t k = 0; k < over.size(); ++k) {
      const auto d = l.wrap(over[k], at.size());
      at[d] = modulo(at[d] + t.shape[d] - modulo(index(shifts[k]), t.shape[d]), t.shape[d]);
    }
    return at;
  }));
}

void repeat(lowering& l) {
  const tensor_ref t = l.tensor("self");
  l.bind(0, l.view(t, l.output_shape(), [&](const std::vector<index>& at) {
    std::vector<index> inner;
    for (std::size_t d = 0; d < t.shape.size(); ++d)
      inner.push_back(modulo(at[at.size() - t.shape.size() + d], t.shape[d]));
    return inner;
  }));
}

/// Strides and offset count elements of self, which PyTorch holds row-major: an input does.
void as_strided(lowering& l) {
  const tensor_ref t = l.tensor("self");
  const auto strides = l.integers("stride");
  const index offset(l.integer("storage_offset", 0));
  if (!l.is_whole_input(t))
    return l.fail("as_strided of what is no whole input is not supported");
  const auto flat = l.reshaped(t, {l.product(t.shape)});
  l.bind(0, l.view(flat, l.output_shape(), [&](const std::vector<index>& at) {
    index linear = offset;
    for (std::size_t d = 0; d < at.size(); ++d)
      linear = linear + at[d] * index(strides[d]);
    return std::vector<index>{linear};
  }));
}

void unfold(lowering& l) {
  const tensor_ref t = l.tensor("self");
  const auto dim = l.wrap(l.integer("dimension", 0), t.shape.size());
  const index step(l.integer("step", 1));
  l.bind(0, l.view(t, l.output_shape(), [&](std::vector<index> at) {
    at[dim] = at[dim] * step + at.back();
    at.pop_back();
    return at;
  }));
}

} // namespace

const lower_table& view_rules() {
  static const lower_table rules{
    {"view", reshape}, {"_reshape_alias", reshape}, {"reshape", reshape}, {"_unsafe_view", reshape}, {"flatten", reshape}, {"unflatten", reshape},
    {"squeeze", reshape}, {"unsqueeze", reshape}, {"t", transpose}, {"transpose", transpose}, {"mT", transpose}, {"numpy_T", transpose}, {"permute", permute},
    {"expand", expand}, {"expand_as", expand}, {"broadcast_to", expand}, {"slice", slice}, {"select", select}, {"narrow", slice}, {"flip", flip}, {"clone", same},
    {"contiguous", same}, {"detach", same}, {"alias", same}, {"lift_fresh", same}, {"lift_fresh_copy", same}, {"dropout", same}, {"split", split},
    {"split_with_sizes", split}, {"unsafe_split", split}, {"chunk", split}, {"unbind", unbind}, {"cat", concatenate}, {"concat", concatenate},
    {"stack", concatenate}, {"constant_pad_nd", pad}, {"roll", roll}, {"unfold", unfold}, {"repeat", repeat},
    {"tile", repeat}, {"as_strided", as_strided},
  };
  return rules;
}

} // namespace kevolve::synthesis
