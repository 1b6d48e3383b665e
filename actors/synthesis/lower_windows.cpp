// Pooling over windows, and reads through a tensor of indices.
#include "actors/synthesis/lower.hpp"

#include <limits>

namespace kevolve::synthesis {
namespace {

struct pooling {
  std::vector<std::int64_t> kernel, stride, padding, dilation;
  std::size_t spatial = 0;
};

std::vector<std::int64_t> spread(std::vector<std::int64_t> given, const std::vector<std::int64_t>& otherwise) {
  if (given.empty())
    return otherwise;
  while (given.size() < otherwise.size())
    given.push_back(given.back());
  return given;
}

pooling read_pooling(lowering& l, std::size_t spatial) {
  pooling p;
  p.spatial = spatial;
  p.kernel = spread(l.integers("kernel_size"), std::vector<std::int64_t>(spatial, 1));
  p.stride = spread(l.integers("stride"), p.kernel);
  p.padding = spread(l.integers("padding"), std::vector<std::int64_t>(spatial, 0));
  p.dilation = spread(l.integers("dilation"), std::vector<std::int64_t>(spatial, 1));
  return p;
}

std::size_t spatial_rank(const std::string& op) { return op.find("3d") != std::string::npos ? 3 : op.find("1d") != std::string::npos ? 1 : 2; }

/// Where window position `at` reads, and the guards under which it may.
struct reach {
  std::vector<index> at, guards;
};
reach reach_of(const pooling& p, const tensor_ref& x, const std::vector<index>& at, std::size_t rank) {
  reach r;
  r.at.assign(at.begin(), at.begin() + static_cast<std::ptrdiff_t>(rank - p.spatial));
  for (std::size_t d = 0; d < p.spatial; ++d) {
    const std::size_t dim = rank - p.spatial + d;
    const index i = at[dim] * index(p.stride[d]) - p.padding[d] + at[rank + d] * index(p.dilation[d]);
    r.at.push_back(i);
    for (const auto& g : {i, x.shape[dim] - 1 - i}) {
      const auto range = g.range();
      if (!range || range->first < 0)
        r.guards.push_back(g);
    }
  }
  return r;
}

std::vector<index> window_space(const pooling& p, std::vector<index> out_shape, std::vector<std::size_t>& over) {
  const auto rank = out_shape.size();
  for (std::size_t d = 0; d < p.spatial; ++d) {
    over.push_back(rank + d);
    out_shape.emplace_back(p.kernel[d]);
  }
  return out_shape;
}

void max_pool(lowering& l) {
  const tensor_ref x = l.tensor(l.find("self") != nullptr ? "self" : "input");
  const auto p = read_pooling(l, spatial_rank(l.node().op));
  const auto rank = x.shape.size();
  std::vector<std::size_t> over;
  const auto space = window_space(p, l.output_shape(), over);
  const auto element = [&](const std::vector<index>& at) {
    const auto r = reach_of(p, x, at, rank);
    const auto e = l.read(x, r.at, r.guards);
    return r.guards.empty() ? e : make(op::select, {in_range(r.guards), e, number(-std::numeric_limits<double>::infinity())});
  };
  l.bind(0, l.reduce(l.name(), x.type, space, over, false, combiner::maximum, element));
  if (l.node().outputs.size() > 1)
    l.bind(1, l.reduce(l.name("", 1), dtype::int64, space, over, false, combiner::argmax, element, [&](const std::vector<index>& at) {
      const auto r = reach_of(p, x, at, rank);
      index linear;
      for (std::size_t d = rank - p.spatial; d < rank; ++d)
        linear = linear * x.shape[d] + r.at[d];
      return position(linear);
    }, true));
}

void avg_pool(lowering& l) {
  const tensor_ref x = l.tensor(l.find("self") != nullptr ? "self" : "input");
  const auto p = read_pooling(l, spatial_rank(l.node().op));
  const auto rank = x.shape.size();
  if (l.flag("ceil_mode", false))
    return l.fail("ceil_mode is not supported");
  std::vector<std::size_t> over;
  const auto space = window_space(p, l.output_shape(), over);
  const bool count_padding = l.flag("count_include_pad", true);
  std::int64_t area = 1;
  bool padded = false;
  for (std::size_t d = 0; d < p.spatial; ++d) {
    area *= p.kernel[d];
    padded = padded || p.padding[d] != 0;
  }
  const double divisor = l.real("divisor_override").value_or(static_cast<double>(area));
  const auto sum = l.reduce(l.name("sum"), x.type, space, over, false, combiner::sum, [&](const std::vector<index>& at) {
    const auto r = reach_of(p, x, at, rank);
    return l.read(x, r.at, r.guards);
  });
  tensor_ref count;
  const bool counted = !count_padding && padded && !l.has("divisor_override");
  if (counted)
    count = l.reduce(l.name("count"), x.type, space, over, false, combiner::sum, [&](const std::vector<index>& at) {
      const auto r = reach_of(p, x, at, rank);
      return r.guards.empty() ? number(1) : make(op::select, {in_range(r.guards), number(1), number(0)});
    });
  l.bind(0, l.map(l.name(), x.type, sum.shape, [&](const std::vector<index>& at) {
    return make(op::div, {l.read(sum, at), counted ? l.read(count, at) : number(divisor)});
  }));
}

/// Where the output divides the input evenly every window has one size.
void adaptive_pool(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto shape = l.output_shape();
  const auto rank = x.shape.size();
  const auto spatial = spatial_rank(l.node().op);
  std::vector<std::size_t> over;
  std::vector<index> space = shape;
  index area(1);
  for (std::size_t d = 0; d < spatial; ++d) {
    const std::size_t dim = rank - spatial + d;
    const index size = floor_div(x.shape[dim], shape[dim]);
    if (!(size * shape[dim] == x.shape[dim]))
      return l.fail("adaptive pooling needs output sizes that divide the input");
    over.push_back(rank + d);
    space.push_back(size);
    area = area * size;
  }
  const bool greatest = base_name(l.node().op).find("max") != std::string::npos;
  const auto reduced = l.reduce(l.name(greatest ? "" : "sum"), x.type, space, over, false, greatest ? combiner::maximum : combiner::sum,
                                [&](const std::vector<index>& at) {
                                  std::vector<index> inner(at.begin(), at.begin() + static_cast<std::ptrdiff_t>(rank));
                                  for (std::size_t d = 0; d < spatial; ++d)
                                    inner[rank - spatial + d] = at[rank - spatial + d] * space[rank + d] + at[rank + d];
                                  return l.read(x, inner);
                                });
  l.bind(0, greatest ? reduced : l.map(l.name(), x.type, reduced.shape, [&](const std::vector<index>& at) {
    return make(op::div, {l.read(reduced, at), make(op::to_real, {position(area)})});
  }));
}

void embedding(lowering& l) {
  const tensor_ref w = l.tensor("weight");
  const tensor_ref i = l.tensor("indices");
  l.bind(0, l.map(l.name(), w.type, l.output_shape(), [&](const std::vector<index>& at) {
    const std::vector<index> which(at.begin(), at.end() - 1);
    return l.gather(w, {index(0), at.back()}, 0, l.read(i, which));
  }));
}

void index_select(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const tensor_ref i = l.tensor("index");
  const auto dim = l.wrap(l.integer("dim", 0), x.shape.size());
  l.bind(0, l.map(l.name(), x.type, l.output_shape(), [&](const std::vector<index>& at) {
    return l.gather(x, at, dim, l.read(i, i.shape.empty() ? std::vector<index>{} : std::vector<index>{at[dim]}));
  }));
}

void gather(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const tensor_ref i = l.tensor("index");
  const auto dim = l.wrap(l.integer("dim", 0), x.shape.size());
  l.bind(0, l.map(l.name(), x.type, i.shape, [&](const std::vector<index>& at) { return l.gather(x, at, dim, l.read(i, at)); }));
}

/// self[.., indices, ..] with one tensor of indices.
void index_tensor(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto* list = l.find("indices");
  std::size_t dim = 0;
  std::size_t found = 0;
  for (std::size_t d = 0; list != nullptr && d < list->items.size(); ++d)
    if (list->items[d].kind == argument_kind::value) {
      dim = d;
      ++found;
    }
  if (found != 1)
    return l.fail("indexing by " + std::to_string(found) + " tensors is not supported");
  const tensor_ref i = l.named(list->items[dim].text);
  if (i.type == dtype::boolean)
    return l.fail("indexing by a mask is not supported");
  l.bind(0, l.map(l.name(), x.type, l.output_shape(), [&](const std::vector<index>& at) {
    const auto d = static_cast<std::ptrdiff_t>(dim);
    const auto n = static_cast<std::ptrdiff_t>(i.shape.size());
    std::vector<index> inner(at.begin(), at.begin() + d);
    inner.emplace_back(0);
    inner.insert(inner.end(), at.begin() + d + n, at.end());
    return l.gather(x, inner, dim, l.read(i, std::vector<index>(at.begin() + d, at.begin() + d + n)));
  }));
}

} // namespace

const lower_table& window_rules() {
  static const lower_table rules{
    {"max_pool1d", max_pool}, {"max_pool2d", max_pool}, {"max_pool3d", max_pool}, {"max_pool2d_with_indices", max_pool},
    {"max_pool3d_with_indices", max_pool}, {"max_pool1d_with_indices", max_pool}, {"avg_pool1d", avg_pool}, {"avg_pool2d", avg_pool}, {"avg_pool3d", avg_pool},
    {"_adaptive_avg_pool2d", adaptive_pool}, {"_adaptive_avg_pool3d", adaptive_pool}, {"adaptive_avg_pool1d", adaptive_pool},
    {"adaptive_avg_pool2d", adaptive_pool}, {"embedding", embedding}, {"index_select", index_select}, {"gather", gather}, {"index", index_tensor},
  };
  return rules;
}

} // namespace kevolve::synthesis
