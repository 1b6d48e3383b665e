// Products summed over shared dimensions: matrix products of every shape, and convolutions as the same thing over windows.
#include "actors/synthesis/algebra.hpp"
#include "actors/synthesis/lower.hpp"

namespace kevolve::synthesis {
namespace {

/// a [.., M, K] x b [.., K, N] with broadcast leading dimensions; vectors lose their dimension again.
tensor_ref product_of(lowering& l, const tensor_ref& a, const tensor_ref& b, const std::string& name) {
  const bool row = a.shape.size() == 1;
  const bool column = b.shape.size() == 1;
  const index depth = a.shape.back();
  const index m = row ? index(1) : a.shape[a.shape.size() - 2];
  const index n = column ? index(1) : b.shape.back();
  std::vector<index> space;
  const std::size_t batch_a = row ? 0 : a.shape.size() - 2;
  const std::size_t batch_b = column ? 0 : b.shape.size() - 2;
  const std::size_t batch = std::max(batch_a, batch_b);
  for (std::size_t d = 0; d < batch; ++d) {
    const bool in_a = d + batch_a >= batch && !a.shape[d + batch_a - batch].is(1);
    const bool in_b = d + batch_b >= batch;
    space.push_back(in_a ? a.shape[d + batch_a - batch] : in_b ? b.shape[d + batch_b - batch] : index(1));
  }
  const auto lead = [batch](const tensor_ref& t, std::size_t own, const std::vector<index>& at) {
    std::vector<index> out;
    for (std::size_t d = 0; d < own; ++d)
      out.push_back(t.shape[d].is(1) ? index(0) : at[batch - own + d]);
    return out;
  };
  space.insert(space.end(), {m, n, depth});
  auto out = l.reduce(name, a.type, space, {batch + 2}, false, combiner::sum, [&](const std::vector<index>& at) {
    auto ia = lead(a, batch_a, at);
    auto ib = lead(b, batch_b, at);
    if (!row)
      ia.push_back(at[batch]);
    ia.push_back(at[batch + 2]);
    ib.push_back(at[batch + 2]);
    if (!column)
      ib.push_back(at[batch + 1]);
    return l.read(a, ia) * l.read(b, ib);
  });
  if (!row && !column)
    return out;
  std::vector<index> shape(space.begin(), space.begin() + static_cast<std::ptrdiff_t>(batch));
  if (!row)
    shape.push_back(m);
  if (!column)
    shape.push_back(n);
  return l.reshaped(out, shape);
}

void matmul(lowering& l) {
  const bool named = l.find("mat2") != nullptr;
  const char* second = named ? "mat2" : l.find("other") != nullptr ? "other" : l.find("vec") != nullptr ? "vec" : "tensor";
  l.bind(0, product_of(l, l.tensor("self"), l.tensor(second), l.name()));
}

/// beta * self + alpha * (a x b)
void add_product(lowering& l) {
  const bool batched = l.find("batch1") != nullptr;
  const bool vector = l.find("vec") != nullptr;
  const auto a = l.tensor(batched ? "batch1" : vector ? "mat" : "mat1");
  const auto b = l.tensor(batched ? "batch2" : vector ? "vec" : "mat2");
  const double alpha = l.real("alpha").value_or(1);
  const double beta = l.real("beta").value_or(1);
  const auto c = l.operand("self");
  const auto p = product_of(l, a, b, l.name("product"));
  l.bind(0, l.map(l.name(), p.type, p.shape, [&](const std::vector<index>& at) {
    auto x = l.read(p, at);
    if (alpha != 1)
      x = x * number(alpha);
    if (beta == 0)
      return x;
    return x + (beta == 1 ? c(at) : c(at) * number(beta));
  }));
}

/// beta * self + alpha * (vec1 x vec2), or the sum over batches of batch1 @ batch2 in place of the product.
template <bool Batches>
void add_summed_product(lowering& l) {
  const tensor_ref a = l.tensor(Batches ? "batch1" : "vec1"), b = l.tensor(Batches ? "batch2" : "vec2");
  const double alpha = l.real("alpha").value_or(1), beta = l.real("beta").value_or(1);
  const auto c = l.operand("self");
  tensor_ref product;
  if constexpr (Batches)
    product = l.reduce(l.name("product"), a.type, {a.shape[1], b.shape[2], a.shape[0], a.shape[2]}, {2, 3}, false, combiner::sum,
                       [&](const std::vector<index>& at) { return l.read(a, {at[2], at[0], at[3]}) * l.read(b, {at[2], at[3], at[1]}); });
  else
    product = l.map(l.name("product"), a.type, {a.shape[0], b.shape[0]}, [&](const std::vector<index>& at) { return l.read(a, {at[0]}) * l.read(b, {at[1]}); });
  l.bind(0, l.map(l.name(), product.type, product.shape, [&](const std::vector<index>& at) {
    const auto p = alpha == 1 ? l.read(product, at) : number(alpha) * l.read(product, at);
    return beta == 0 ? p : p + (beta == 1 ? c(at) : number(beta) * c(at));
  }));
}

/// input [.., K], weight [N, K], bias [N]
void linear(lowering& l) {
  const tensor_ref x = l.tensor("input");
  const tensor_ref w = l.tensor("weight");
  const auto rank = x.shape.size();
  auto space = x.shape;
  space.back() = w.shape[0];
  const auto shape = space;
  space.push_back(x.shape.back());
  const bool biased = l.has("bias");
  const auto p = l.reduce(l.name(biased ? "product" : ""), x.type, space, {rank}, false, combiner::sum, [&](const std::vector<index>& at) {
    std::vector<index> ix(at.begin(), at.begin() + static_cast<std::ptrdiff_t>(rank) - 1);
    ix.push_back(at[rank]);
    return l.read(x, ix) * l.read(w, {at[rank - 1], at[rank]});
  });
  l.bind(0, biased ? l.map(l.name(), x.type, shape, [&](const std::vector<index>& at) { return l.read(p, at) + l.read(l.tensor("bias"), {at.back()}); }) : p);
}

struct window {
  std::vector<std::int64_t> stride, padding, dilation;
};

/// Sum over `sumdim` of i1 * i2 * i3, each with dimensions of extent 1 where its list says: what bilinear layers become.
void trilinear(lowering& l) {
  struct part {
    tensor_ref what;
    std::vector<bool> spans; // by dimension of the product: does it vary along it?
  };
  std::vector<part> parts;
  std::size_t rank = 0;
  for (const auto& [name, expanded] : {std::pair{"i1", "expand1"}, std::pair{"i2", "expand2"}, std::pair{"i3", "expand3"}}) {
    const tensor_ref t = l.tensor(name);
    const auto added = l.integers(expanded);
    rank = t.shape.size() + added.size();
    std::vector<bool> spans(rank, true);
    for (const auto d : added)
      spans[l.wrap(d, rank)] = false;
    parts.push_back({t, std::move(spans)});
  }
  std::vector<index> space(rank, index(1));
  for (const part& p : parts)
    for (std::size_t d = 0, own = 0; d < rank; ++d)
      if (p.spans[d])
        if (const index extent = p.what.shape[own++]; !extent.is(1))
          space[d] = extent;
  l.bind(0, l.reduce(l.name(), parts[0].what.type, space, l.dims("sumdim", rank), false, combiner::sum, [&](const std::vector<index>& at) {
    expr_ref product;
    for (const part& p : parts) {
      std::vector<index> from;
      for (std::size_t d = 0; d < rank; ++d)
        if (p.spans[d])
          from.push_back(p.what.shape[from.size()].is(1) ? index(0) : at[d]);
      const auto factor = l.read(p.what, from);
      product = product ? product * factor : factor;
    }
    return product;
  }));
}

/// Distances of each row of x1 from each row of x2 (Euclid's; cdist's others are named).
void distances(lowering& l) {
  const tensor_ref a = l.tensor("x1"), b = l.tensor("x2");
  if (const double p = l.has("p") ? l.real("p").value_or(2) : 2; p != 2)
    return l.fail("distances of order " + std::to_string(p) + " are not supported, those of order 2 are");
  auto space = l.output_shape();
  space.push_back(a.shape.back());
  const std::size_t i = space.size() - 3, j = i + 1, k = i + 2;
  const auto rows = [&](const tensor_ref& t, std::vector<index> at, std::size_t without) {
    at.erase(at.begin() + static_cast<std::ptrdiff_t>(without));
    return l.read_broadcast(t, at);
  };
  const auto squares = l.reduce(l.name("squares"), a.type, space, {k}, false, combiner::sum, [&](const std::vector<index>& at) {
    const auto d = rows(a, at, j) - rows(b, at, i);
    return d * d;
  });
  l.bind(0, l.map(l.name(), a.type, squares.shape, [&](const std::vector<index>& at) { return call(op::sqrt, l.read(squares, at)); }));
}

std::vector<std::int64_t> spread(std::vector<std::int64_t> given, std::size_t n, std::int64_t otherwise) {
  if (given.empty())
    given.push_back(otherwise);
  while (given.size() < n)
    given.push_back(given.back());
  return given;
}

/// A transposed convolution with strides s and no dilation, output positions taken apart as s * q + r: those of one r see every s-th tap of the
/// kernel, k = s * j + (r + padding) % s, and input q + (r + padding) / s - j. So it is s^d ordinary convolutions, contiguous in q, which are then
/// interleaved: value [N, g, O/g, r.., q..].
tensor_ref interleaved_convolutions(lowering& l, const tensor_ref& x, const tensor_ref& w, const window& v, const index& groups, const std::vector<index>& out_shape) {
  const std::size_t spatial = w.shape.size() - 2;
  const index in_per_group = floor_div(w.shape[0], groups);
  std::vector<index> space{x.shape[0], groups, w.shape[1]};
  for (std::size_t d = 0; d < spatial; ++d)
    space.emplace_back(v.stride[d]);
  for (std::size_t d = 0; d < spatial; ++d)
    space.push_back(floor_div(out_shape[2 + d] + index(v.stride[d] - 1), index(v.stride[d])));
  const std::size_t reduced = space.size();
  space.push_back(in_per_group);
  for (std::size_t d = 0; d < spatial; ++d)
    space.push_back(floor_div(w.shape[2 + d] + index(v.stride[d] - 1), index(v.stride[d])));
  std::vector<std::size_t> over;
  for (std::size_t d = reduced; d < space.size(); ++d)
    over.push_back(d);
  return l.reduce(l.name("phases"), x.type, space, over, false, combiner::sum, [&](const std::vector<index>& at) {
    std::vector<index> ix{at[0], at[1] * in_per_group + at[reduced]}, iw{at[1] * in_per_group + at[reduced], at[2]}, guards;
    for (std::size_t d = 0; d < spatial; ++d) {
      const index s(v.stride[d]), r = at[3 + d] + v.padding[d], q = at[3 + spatial + d], j = at[reduced + 1 + d];
      iw.push_back(s * j + modulo(r, s));
      ix.push_back(q + floor_div(r, s) - j);
      guards.insert(guards.end(), {ix.back(), x.shape[2 + d] - 1 - ix.back()});
      if (!(floor_div(w.shape[2 + d], s) * s == w.shape[2 + d]))
        guards.push_back(w.shape[2 + d] - 1 - iw.back());
    }
    std::erase_if(guards, [](const index& g) {
      const auto range = g.range();
      return range && range->first >= 0;
    });
    return l.read(x, ix, guards) * l.read(w, iw, guards); // outside there is no product at all: 0 times an infinite weight must not count
  });
}

/// input [N, C, x..], weight [O, C/g, k..] (transposed: [C, O/g, k..]); sums over channel and kernel positions under bounds guards.
void convolution(lowering& l) {
  tensor_ref x = l.tensor("input");
  const tensor_ref w = l.tensor("weight");
  const std::size_t spatial = w.shape.size() - 2;
  const bool unbatched = x.shape.size() == spatial + 1;
  auto out_shape = l.output_shape();
  if (unbatched) {
    auto shape = x.shape;
    shape.insert(shape.begin(), index(1));
    x = l.reshaped(x, shape);
    out_shape.insert(out_shape.begin(), index(1));
  }
  const window v{spread(l.integers("stride"), spatial, 1), spread(l.integers("padding"), spatial, 0), spread(l.integers("dilation"), spatial, 1)};
  const bool transposed = l.flag("transposed", false) || base_name(l.node().op).rfind("conv_transpose", 0) == 0;
  const index groups(l.integer("groups", 1));
  const index out_per_group = transposed ? w.shape[1] : floor_div(w.shape[0], groups);
  const index in_per_group = transposed ? floor_div(w.shape[0], groups) : w.shape[1];
  bool strided = false, dilated = false;
  for (std::size_t d = 0; d < spatial; ++d) {
    strided = strided || v.stride[d] != 1;
    dilated = dilated || v.dilation[d] != 1;
  }
  if (transposed && strided && !dilated) {
    const auto phases = interleaved_convolutions(l, x, w, v, groups, out_shape);
    std::vector<index> full{x.shape[0], groups, out_per_group};
    full.insert(full.end(), out_shape.begin() + 2, out_shape.end());
    const auto out = l.map(l.name(), x.type, full, [&](const std::vector<index>& at) {
      std::vector<index> from{at[0], at[1], at[2]};
      for (std::size_t d = 0; d < spatial; ++d)
        from.push_back(modulo(at[3 + d], index(v.stride[d])));
      for (std::size_t d = 0; d < spatial; ++d)
        from.push_back(floor_div(at[3 + d], index(v.stride[d])));
      const auto sum = l.read(phases, from);
      return l.has("bias") ? sum + l.read(l.tensor("bias"), {at[1] * out_per_group + at[2]}) : sum;
    });
    return l.bind(0, l.reshaped(out, l.output_shape()));
  }
  std::vector<index> space{x.shape[0], groups, out_per_group};
  space.insert(space.end(), out_shape.begin() + 2, out_shape.end());
  const std::size_t reduced = space.size();
  space.push_back(in_per_group);
  space.insert(space.end(), w.shape.begin() + 2, w.shape.end());
  std::vector<std::size_t> over;
  for (std::size_t d = reduced; d < space.size(); ++d)
    over.push_back(d);
  const bool biased = l.has("bias");
  const auto sum = l.reduce(l.name(biased ? "product" : ""), x.type, space, over, false, combiner::sum, [&](const std::vector<index>& at) {
    std::vector<index> ix{at[0], at[1] * in_per_group + at[reduced]};
    std::vector<index> iw = transposed ? std::vector<index>{at[1] * in_per_group + at[reduced], at[2]}
                                       : std::vector<index>{at[1] * out_per_group + at[2], at[reduced]};
    std::vector<index> guards;
    for (std::size_t d = 0; d < spatial; ++d) {
      const index o = at[3 + d];
      const index k = at[reduced + 1 + d];
      iw.push_back(k);
      const index reach = transposed ? o + v.padding[d] - k * index(v.dilation[d]) : o * index(v.stride[d]) - v.padding[d] + k * index(v.dilation[d]);
      index position_in = reach;
      if (transposed) {
        const index s(v.stride[d]);
        position_in = floor_div(reach, s);
        if (!s.is(1))
          guards.push_back(index(0) - modulo(reach, s)); // divides exactly
        guards.push_back(reach);
        guards.push_back(x.shape[2 + d] - 1 - position_in);
      } else if (v.padding[d] != 0) {
        guards.push_back(reach);
        guards.push_back(x.shape[2 + d] - 1 - reach);
      }
      ix.push_back(position_in);
    }
    std::erase_if(guards, [](const index& g) {
      const auto r = g.range();
      return r && r->first >= 0;
    });
    // A guarded read outside is 0. A transposed convolution has no product there at all: 0 times an infinite weight must not count.
    return l.read(x, ix, guards) * l.read(w, iw, transposed ? guards : std::vector<index>{});
  });
  const std::vector<index> full(space.begin(), space.begin() + static_cast<std::ptrdiff_t>(reduced));
  auto out = sum;
  if (biased)
    out = l.map(l.name(), x.type, full, [&](const std::vector<index>& at) {
      return l.read(sum, at) + l.read(l.tensor("bias"), {at[1] * out_per_group + at[2]});
    });
  l.bind(0, l.reshaped(out, l.output_shape()));
}

} // namespace

const lower_table& contraction_rules() {
  static const lower_table rules{
    {"mm", matmul}, {"bmm", matmul}, {"matmul", matmul}, {"mv", matmul}, {"dot", matmul}, {"addmm", add_product}, {"baddbmm", add_product},
    {"addmv", add_product}, {"addr", add_summed_product<false>}, {"addbmm", add_summed_product<true>}, {"_trilinear", trilinear}, {"_euclidean_dist", distances}, {"_cdist_forward", distances}, {"linear", linear}, {"convolution", convolution}, {"conv1d", convolution}, {"conv2d", convolution},
    {"conv3d", convolution}, {"conv_transpose1d", convolution}, {"conv_transpose2d", convolution}, {"conv_transpose3d", convolution},
  };
  return rules;
}

} // namespace kevolve::synthesis
