// Pooling over windows, and reads through a tensor of indices.
#include "actors/synthesis/lower.hpp"

#include <algorithm>
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
  const bool beyond = l.flag("ceil_mode", false); // the last window may reach beyond the padding, which never counts
  const bool counted = ((!count_padding && padded) || beyond) && !l.has("divisor_override");
  if (counted)
    count = l.reduce(l.name("count"), x.type, space, over, false, combiner::sum, [&](const std::vector<index>& at) {
      auto r = reach_of(p, x, at, rank);
      if (count_padding) {
        r.guards.clear();
        for (std::size_t d = 0; d < p.spatial; ++d)
          r.guards.push_back(x.shape[rank - p.spatial + d] - 1 + p.padding[d] - r.at[rank - p.spatial + d]);
      }
      return r.guards.empty() ? number(1) : make(op::select, {in_range(r.guards), number(1), number(0)});
    });
  l.bind(0, l.map(l.name(), x.type, sum.shape, [&](const std::vector<index>& at) {
    return make(op::div, {l.read(sum, at), counted ? l.read(count, at) : number(divisor)});
  }));
}

/// Output i covers floor(i * in / out) to ceil((i + 1) * in / out); where the sizes divide, every window is as long.
void adaptive_pool(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const bool greatest = base_name(l.node().op).find("max") != std::string::npos;
  const auto shape = l.output_shape();
  const auto rank = x.shape.size();
  const auto spatial = spatial_rank(l.node().op);
  std::vector<std::size_t> over;
  std::vector<index> space = shape;
  bool even = true;
  index area(1);
  for (std::size_t d = 0; d < spatial; ++d) {
    const std::size_t dim = rank - spatial + d;
    const index size = floor_div(x.shape[dim], shape[dim]);
    const bool divides = size * shape[dim] == x.shape[dim];
    even = even && divides;
    over.push_back(rank + d);
    space.push_back(divides ? size : size + 2); // a window that starts and ends between elements
    area = area * size;
  }
  const auto first = [&](const index& i, std::size_t dim) { return floor_div(i * x.shape[dim], shape[dim]); };
  const auto end = [&](const index& i, std::size_t dim) { return floor_div((i + 1) * x.shape[dim] + shape[dim] - 1, shape[dim]); };
  const auto window = [&](const std::vector<index>& at, std::vector<index>& inner) {
    std::vector<index> inside;
    inner.assign(at.begin(), at.begin() + static_cast<std::ptrdiff_t>(rank));
    for (std::size_t d = 0; d < spatial; ++d) {
      const std::size_t dim = rank - spatial + d;
      inner[dim] = even ? at[dim] * space[rank + d] + at[rank + d] : first(at[dim], dim) + at[rank + d];
      if (!even)
        inside.push_back(end(at[dim], dim) - 1 - inner[dim]);
    }
    return inside;
  };
  const auto element = [&](const std::vector<index>& at) {
    std::vector<index> inner;
    const auto inside = window(at, inner);
    const auto e = l.read(x, inner, inside);
    return !greatest || inside.empty() ? e : make(op::select, {in_range(inside), e, number(-std::numeric_limits<double>::infinity())});
  };
  const auto reduced = l.reduce(l.name(greatest ? "" : "sum"), x.type, space, over, false, greatest ? combiner::maximum : combiner::sum, element);
  if (!greatest)
    return l.bind(0, l.map(l.name(), x.type, reduced.shape, [&](const std::vector<index>& at) {
      index count = area;
      if (!even) {
        count = index(1);
        for (std::size_t dim = rank - spatial; dim < rank; ++dim)
          count = count * (end(at[dim], dim) - first(at[dim], dim));
      }
      return make(op::div, {l.read(reduced, at), make(op::to_real, {position(count)})});
    }));
  l.bind(0, reduced);
  if (l.node().outputs.size() > 1)
    l.bind(1, l.reduce(l.name("", 1), dtype::int64, space, over, false, combiner::argmax, element, [&](const std::vector<index>& at) {
      std::vector<index> inner;
      window(at, inner);
      index linear;
      for (std::size_t d = rank - spatial; d < rank; ++d)
        linear = linear * x.shape[d] + inner[d];
      return position(linear);
    }, true));
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

/// self[.., i, .., j, ..]: the indices' common shape stands where the first of them is (or in front, where others lie between).
void index_tensor(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto* list = l.find("indices");
  std::vector<std::pair<std::size_t, tensor_ref>> by;
  for (std::size_t d = 0; list != nullptr && d < list->items.size(); ++d)
    if (list->items[d].kind == argument_kind::value)
      by.emplace_back(d, l.named(list->items[d].text));
  if (by.empty())
    return l.fail("no tensor of indices is given");
  std::size_t n = 0; // rank of the indices' common shape
  for (const auto& [d, i] : by) {
    if (i.type == dtype::boolean)
      return l.fail("indexing by a mask is not supported");
    n = std::max(n, i.shape.size());
  }
  const bool adjacent = by.back().first - by.front().first + 1 == by.size();
  const auto begin = static_cast<std::ptrdiff_t>(adjacent ? by.front().first : 0);
  l.bind(0, l.map(l.name(), x.type, l.output_shape(), [&](const std::vector<index>& at) {
    const std::vector<index> which(at.begin() + begin, at.begin() + begin + static_cast<std::ptrdiff_t>(n));
    std::vector<index> rest(at.begin(), at.begin() + begin);
    rest.insert(rest.end(), at.begin() + begin + static_cast<std::ptrdiff_t>(n), at.end());
    std::vector<index> inner;
    std::vector<std::pair<std::size_t, expr_ref>> looked_up;
    std::size_t next = 0;
    for (std::size_t d = 0; d < x.shape.size(); ++d) {
      const auto found = std::find_if(by.begin(), by.end(), [&](const auto& b) { return b.first == d; });
      inner.push_back(found == by.end() ? rest[next++] : index(0));
      if (found != by.end())
        looked_up.emplace_back(d, l.read_broadcast(found->second, which));
    }
    return l.gather(x, inner, looked_up);
  }));
}

void take(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const tensor_ref i = l.tensor("index");
  const auto flat = l.reshaped(x, {l.product(x.shape)});
  l.bind(0, l.map(l.name(), x.type, i.shape, [&](const std::vector<index>& at) { return l.gather(flat, {index(0)}, 0, l.read(i, at)); }));
}

} // namespace

const lower_table& window_rules() {
  static const lower_table rules{
    {"max_pool1d", max_pool}, {"max_pool2d", max_pool}, {"max_pool3d", max_pool}, {"max_pool2d_with_indices", max_pool},
    {"max_pool3d_with_indices", max_pool}, {"max_pool1d_with_indices", max_pool}, {"avg_pool1d", avg_pool}, {"avg_pool2d", avg_pool}, {"avg_pool3d", avg_pool},
    {"_adaptive_avg_pool2d", adaptive_pool}, {"_adaptive_avg_pool3d", adaptive_pool}, {"adaptive_avg_pool1d", adaptive_pool},
    {"adaptive_avg_pool2d", adaptive_pool}, {"adaptive_max_pool1d", adaptive_pool}, {"adaptive_max_pool2d", adaptive_pool},
    {"adaptive_max_pool3d", adaptive_pool}, {"take", take}, {"embedding", embedding}, {"index_select", index_select}, {"gather", gather}, {"index", index_tensor},
  };
  return rules;
}

} // namespace kevolve::synthesis
