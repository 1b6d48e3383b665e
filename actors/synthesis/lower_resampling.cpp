// Resizing (nearest, linear and cubic), one dimension after the other, and rearrangements between channels and space.
#include "actors/synthesis/algebra.hpp"
#include "actors/synthesis/lower.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::synthesis {
namespace {

std::size_t spatial_rank(const std::string& op) { return op.find("3d") != std::string::npos ? 3 : op.find("1d") != std::string::npos ? 1 : 2; }

/// Scale factor of spatial dimension d where the call carries one, else 0.
double given_scale(lowering& l, std::size_t d, std::size_t rank) {
  static constexpr const char* names[] = {"scales_d", "scales_h", "scales_w"};
  if (const argument* all = l.find("scale_factors"); all && d < all->items.size()) // the form that PyTorch 1.13 traces to
    return all->items[d].kind == argument_kind::real ? all->items[d].real : 0;
  return l.real(rank == 1 ? "scales" : names[3 - rank + d]).value_or(0);
}

/// Sizes of one dimension before and after; nothing where they are no constants.
struct resizing {
  std::int64_t from = 0, to = 0;
};
std::optional<resizing> resizing_of(lowering& l, const index& from, const index& to) {
  if (!from.constant() || !to.constant()) {
    l.fail("resizing needs constant sizes");
    return std::nullopt;
  }
  return resizing{*from.constant(), *to.constant()};
}

tensor_ref table(lowering& l, const std::string& suffix, dtype type, std::vector<double> values) {
  const index n(static_cast<std::int64_t>(values.size()));
  return l.literal(l.name(suffix), type, {n}, std::move(values));
}

/// PyTorch computes the nearest source in float32, whatever the tensor's type.
tensor_ref nearest_along(lowering& l, const tensor_ref& x, std::size_t dim, const index& size, double given, const std::string& name) {
  const auto n = resizing_of(l, x.shape[dim], size);
  if (!n)
    return x;
  const float scale = given > 0 ? static_cast<float>(1 / given) : static_cast<float>(n->from) / static_cast<float>(n->to);
  std::vector<double> places;
  bool even = n->to % n->from == 0;
  for (std::int64_t i = 0; i < n->to; ++i) {
    const auto place = std::min(static_cast<std::int64_t>(std::floor(static_cast<float>(i) * scale)), n->from - 1);
    places.push_back(static_cast<double>(place));
    even = even && place == i / (n->to / n->from);
  }
  auto shape = x.shape;
  shape[dim] = size;
  if (even)
    return l.view(x, shape, [&](std::vector<index> at) {
      at[dim] = floor_div(at[dim], index(n->to / n->from));
      return at;
    });
  const auto from = table(l, name + "places", dtype::int64, places);
  return l.map(l.name(name), x.type, shape, [&](const std::vector<index>& at) { return l.gather(x, at, dim, l.read(from, {at[dim]})); });
}

tensor_ref linear_along(lowering& l, const tensor_ref& x, std::size_t dim, const index& size, double given, const std::string& name) {
  const auto n = resizing_of(l, x.shape[dim], size);
  if (!n)
    return x;
  const bool corners = l.flag("align_corners", false);
  const double scale = given > 0 ? 1 / given : static_cast<double>(n->from) / static_cast<double>(n->to);
  std::vector<double> low, high, share;
  for (std::int64_t i = 0; i < n->to; ++i) {
    const double at = corners ? (n->to > 1 ? static_cast<double>(i * (n->from - 1)) / static_cast<double>(n->to - 1) : 0)
                              : std::max(scale * (static_cast<double>(i) + 0.5) - 0.5, 0.0);
    const auto below = std::min(static_cast<std::int64_t>(at), n->from - 1);
    low.push_back(static_cast<double>(below));
    high.push_back(static_cast<double>(std::min(below + 1, n->from - 1)));
    share.push_back(std::min(at - static_cast<double>(below), 1.0));
  }
  const auto below = table(l, name + "below", dtype::int64, low);
  const auto above = table(l, name + "above", dtype::int64, high);
  const auto weight = table(l, name + "weight", x.type, share);
  auto shape = x.shape;
  shape[dim] = size;
  return l.map(l.name(name), x.type, shape, [&](const std::vector<index>& at) {
    const auto w = l.read(weight, {at[dim]});
    return (number(1) - w) * l.gather(x, at, dim, l.read(below, {at[dim]})) + w * l.gather(x, at, dim, l.read(above, {at[dim]}));
  });
}

/// Four neighbours, those beyond the ends taken for the last ones; PyTorch's coefficient.
tensor_ref cubic_along(lowering& l, const tensor_ref& x, std::size_t dim, const index& size, double given, const std::string& name) {
  const auto n = resizing_of(l, x.shape[dim], size);
  if (!n)
    return x;
  constexpr double a = -0.75;
  constexpr int taps = 4;
  const auto near = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  const auto far = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  const bool corners = l.flag("align_corners", false);
  const double scale = given > 0 ? 1 / given : static_cast<double>(n->from) / static_cast<double>(n->to);
  std::vector<double> places[taps], shares[taps];
  for (std::int64_t i = 0; i < n->to; ++i) {
    const double at = corners ? (n->to > 1 ? static_cast<double>(i * (n->from - 1)) / static_cast<double>(n->to - 1) : 0)
                              : scale * (static_cast<double>(i) + 0.5) - 0.5;
    const double below = std::floor(at), t = at - below;
    const double weights[taps] = {far(t + 1), near(t), near(1 - t), far(2 - t)};
    for (int k = 0; k < taps; ++k) {
      places[k].push_back(static_cast<double>(std::clamp<std::int64_t>(static_cast<std::int64_t>(below) + k - 1, 0, n->from - 1)));
      shares[k].push_back(weights[k]);
    }
  }
  std::vector<tensor_ref> from, weight;
  for (int k = 0; k < taps; ++k) {
    from.push_back(table(l, name + "place" + std::to_string(k), dtype::int64, places[k]));
    weight.push_back(table(l, name + "weight" + std::to_string(k), x.type, shares[k]));
  }
  auto shape = x.shape;
  shape[dim] = size;
  return l.map(l.name(name), x.type, shape, [&](const std::vector<index>& at) {
    expr_ref sum;
    for (std::size_t k = 0; k < taps; ++k) {
      const auto term = l.read(weight[k], {at[dim]}) * l.gather(x, at, dim, l.read(from[k], {at[dim]}));
      sum = sum ? sum + term : term;
    }
    return sum;
  });
}

using along = tensor_ref (*)(lowering&, const tensor_ref&, std::size_t, const index&, double, const std::string&);

template <along F>
void resize(lowering& l) {
  tensor_ref x = l.tensor(l.find("self") != nullptr ? "self" : "input");
  const auto shape = l.output_shape();
  const auto spatial = spatial_rank(l.node().op);
  for (std::size_t d = 0; d < spatial; ++d) {
    const std::size_t dim = shape.size() - spatial + d;
    if (!(x.shape[dim] == shape[dim]))
      x = F(l, x, dim, shape[dim], given_scale(l, d, spatial), d + 1 == spatial ? "" : "along_" + std::to_string(dim) + "_");
  }
  l.bind(0, x);
}

/// Reflection: at < 0 reads -at, beyond the end 2 (n - 1) - at. Replication: the nearest element.
template <bool Reflect>
void pad(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto amounts = l.integers("padding");
  tensor_ref out = x;
  const auto shape = l.output_shape();
  for (std::size_t p = 0; 2 * p + 1 < amounts.size(); ++p) {
    const std::size_t d = shape.size() - 1 - p;
    const auto n = resizing_of(l, x.shape[d], shape[d]);
    if (!n || n->from == n->to)
      continue;
    std::vector<double> places;
    for (std::int64_t i = -amounts[2 * p]; i < n->to - amounts[2 * p]; ++i)
      places.push_back(static_cast<double>(Reflect ? (i < 0 ? -i : i >= n->from ? 2 * (n->from - 1) - i : i) : std::clamp<std::int64_t>(i, 0, n->from - 1)));
    const auto from = table(l, "places_" + std::to_string(d), dtype::int64, places);
    auto padded = out.shape;
    padded[d] = shape[d];
    out = l.map(l.name("along_" + std::to_string(d)), x.type, padded, [&, source = out](const std::vector<index>& at) {
      return l.gather(source, at, d, l.read(from, {at[d]}));
    });
  }
  l.bind(0, out);
}

/// [.., C, H, W] with the last three dimensions split in two, put in another order and merged again.
void shuffle(lowering& l, const tensor_ref& x, const std::vector<index>& split, const std::vector<std::size_t>& order) {
  const auto whole = l.reshaped(x, split);
  std::vector<index> shape;
  for (const auto d : order)
    shape.push_back(split[d]);
  const auto moved = l.view(whole, shape, [&](const std::vector<index>& at) {
    std::vector<index> inner(at.size());
    for (std::size_t d = 0; d < order.size(); ++d)
      inner[order[d]] = at[d];
    return inner;
  });
  l.bind(0, l.reshaped(moved, l.output_shape()));
}

/// Everything before channels, rows and columns, taken together.
index images_of(lowering& l, const tensor_ref& x) { return l.product({x.shape.begin(), x.shape.end() - 3}); }

void pixel_shuffle(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const index r(l.integer("upscale_factor", 1));
  const auto n = x.shape.size();
  shuffle(l, x, {images_of(l, x), floor_div(x.shape[n - 3], r * r), r, r, x.shape[n - 2], x.shape[n - 1]}, {0, 1, 4, 2, 5, 3});
}

void pixel_unshuffle(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const index r(l.integer("downscale_factor", 1));
  const auto n = x.shape.size();
  shuffle(l, x, {images_of(l, x), x.shape[n - 3], floor_div(x.shape[n - 2], r), r, floor_div(x.shape[n - 1], r), r}, {0, 1, 3, 5, 2, 4});
}

void channel_shuffle(lowering& l) {
  const tensor_ref x = l.tensor(l.find("self") != nullptr ? "self" : "input");
  const index groups(l.integer("groups", 1));
  index rest(1);
  for (std::size_t d = 2; d < x.shape.size(); ++d)
    rest = rest * x.shape[d];
  shuffle(l, x, {x.shape[0], groups, floor_div(x.shape[1], groups), rest}, {0, 2, 1, 3});
}

/// Patches of an image as columns: [N, C, H, W] -> [N, C * kh * kw, rows * columns].
void image_to_columns(lowering& l) {
  tensor_ref x = l.tensor("self");
  if (x.shape.size() == 3) {
    auto shape = x.shape;
    shape.insert(shape.begin(), index(1));
    x = l.reshaped(x, shape);
  }
  const auto kernel = l.integers("kernel_size");
  const auto dilation = l.integers("dilation");
  const auto padding = l.integers("padding");
  const auto stride = l.integers("stride");
  const auto steps = [&](std::size_t d) {
    return floor_div(x.shape[2 + d] + index(2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1), index(stride[d])) + 1;
  };
  const std::vector<index> space{x.shape[0], x.shape[1], kernel[0], kernel[1], steps(0), steps(1)};
  const auto out = l.map(l.name(), x.type, space, [&](const std::vector<index>& at) {
    std::vector<index> from{at[0], at[1]};
    std::vector<index> guards;
    for (std::size_t d = 0; d < 2; ++d) {
      const index i = at[4 + d] * index(stride[d]) + at[2 + d] * index(dilation[d]) - padding[d];
      from.push_back(i);
      if (padding[d] != 0)
        guards.insert(guards.end(), {i, x.shape[2 + d] - 1 - i});
    }
    return l.read(x, from, guards);
  });
  l.bind(0, l.reshaped(out, l.output_shape()));
}

/// The reverse: each element of the image is the sum of its copies in the columns. [N, C * kh * kw, rows * columns] -> [N, C, H, W].
void columns_to_image(lowering& l) {
  tensor_ref x = l.tensor("self");
  auto shape = l.output_shape();
  if (x.shape.size() == 2) {
    x = l.reshaped(x, {index(1), x.shape[0], x.shape[1]});
    shape.insert(shape.begin(), index(1));
  }
  const auto kernel = l.integers("kernel_size");
  const auto dilation = l.integers("dilation");
  const auto padding = l.integers("padding");
  const auto stride = l.integers("stride");
  const auto steps = [&](std::size_t d) { return floor_div(shape[2 + d] + index(2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1), index(stride[d])) + 1; };
  const auto columns = l.reshaped(x, {shape[0], shape[1], index(kernel[0]), index(kernel[1]), steps(0), steps(1)});
  const std::vector<index> space{shape[0], shape[1], shape[2], shape[3], index(kernel[0]), index(kernel[1])};
  const auto sum = l.reduce(l.name(), x.type, space, {4, 5}, false, combiner::sum, [&](const std::vector<index>& at) {
    std::vector<index> from{at[0], at[1], at[4], at[5]}, guards;
    for (std::size_t d = 0; d < 2; ++d) {
      const index s(stride[d]), reach = at[2 + d] + padding[d] - at[4 + d] * index(dilation[d]);
      from.push_back(floor_div(reach, s));
      if (!s.is(1))
        guards.push_back(index(0) - modulo(reach, s)); // divides exactly
      guards.insert(guards.end(), {reach, steps(d) - 1 - from.back()});
    }
    std::erase_if(guards, [](const index& g) {
      const auto r = g.range();
      return r && r->first >= 0;
    });
    return l.read(columns, from, guards);
  });
  l.bind(0, l.reshaped(sum, l.output_shape()));
}

/// One coordinate of a sampling grid, from -1 to 1, as a position among `size` elements.
expr_ref unnormalised(const expr_ref& coordinate, const index& size, bool corners, bool border) {
  const auto n = as_number(size);
  const auto at = corners ? (coordinate + number(1)) * number(0.5) * (n - number(1)) : ((coordinate + number(1)) * n - number(1)) * number(0.5);
  return border ? call(op::minimum, call(op::maximum, at, number(0)), n - number(1)) : at;
}

/// Bilinear samples of an image [N, C, H, W] where a grid [N, h, w, (x, y)] says; outside it is 0, or the nearest border.
void sampled_by_grid(lowering& l) {
  const tensor_ref x = l.tensor("input"), grid = l.tensor("grid");
  const auto mode = l.integer("interpolation_mode", 0), padding = l.integer("padding_mode", 0);
  if (mode != 0 || padding > 1)
    return l.fail("grid_sample is supported with mode 'bilinear' and padding 'zeros' or 'border'");
  const bool corners = l.flag("align_corners", false);
  const std::vector<index> places{grid.shape[0], grid.shape[1], grid.shape[2]};
  const auto along = [&](std::int64_t which, const index& size, const char* suffix) {
    return l.map(l.name(suffix), x.type, places, [&](const std::vector<index>& at) {
      return unnormalised(l.read(grid, {at[0], at[1], at[2], index(which)}), size, corners, padding == 1);
    });
  };
  const auto column = along(0, x.shape[3], "column"), row = along(1, x.shape[2], "row");
  l.bind(0, l.map(l.name(), x.type, l.output_shape(), [&](const std::vector<index>& at) {
    const std::vector<index> place{at[0], at[2], at[3]};
    expr_ref sum;
    for (const int down : {0, 1})
      for (const int right : {0, 1}) {
        struct tap {
          expr_ref inside, index, weight;
        };
        const auto tap_of = [&](const tensor_ref& where, int step, const index& size) {
          const auto exact = l.read(where, place), below = call(op::floor, exact);
          const auto at_tap = step ? below + number(1) : below;
          const auto inside = call(op::logical_and, call(op::less_equal, number(0), at_tap), call(op::less_equal, at_tap, as_number(size) - number(1)));
          const auto share = exact - below;
          return tap{inside, call(op::to_integer, choose(inside, at_tap, number(0))), step ? share : number(1) - share}; // NaN is nowhere inside
        };
        const tap r = tap_of(row, down, x.shape[2]), c = tap_of(column, right, x.shape[3]);
        const auto value = l.gather(x, {at[0], at[1], index(0), index(0)}, {{2, r.index}, {3, c.index}});
        const auto term = choose(call(op::logical_and, r.inside, c.inside), r.weight * c.weight * value, number(0));
        sum = sum ? sum + term : term;
      }
    return sum;
  }));
}

/// Product of vectors of three along a dimension.
void cross_product(lowering& l) {
  const tensor_ref a = l.tensor("self"), b = l.tensor("other");
  const auto shape = l.output_shape();
  const auto dim = l.wrap(l.integer("dim", -1), shape.size());
  const auto turned = [&](const tensor_ref& t, std::vector<index> at, int by) {
    at[dim] = modulo(at[dim] + by, index(3));
    return l.read_broadcast(t, at);
  };
  l.bind(0, l.map(l.name(), l.node().outputs.at(0).type, shape, [&](const std::vector<index>& at) {
    return turned(a, at, 1) * turned(b, at, 2) - turned(a, at, 2) * turned(b, at, 1);
  }));
}

} // namespace

const lower_table& resampling_rules() {
  static const lower_table rules{
    {"upsample_nearest1d", resize<nearest_along>}, {"upsample_nearest2d", resize<nearest_along>}, {"upsample_nearest3d", resize<nearest_along>},
    {"upsample_linear1d", resize<linear_along>}, {"upsample_bilinear2d", resize<linear_along>}, {"upsample_trilinear3d", resize<linear_along>},
    {"reflection_pad1d", pad<true>}, {"reflection_pad2d", pad<true>}, {"reflection_pad3d", pad<true>}, {"replication_pad1d", pad<false>},
    {"replication_pad2d", pad<false>}, {"replication_pad3d", pad<false>}, {"pixel_shuffle", pixel_shuffle}, {"pixel_unshuffle", pixel_unshuffle},
    {"channel_shuffle", channel_shuffle}, {"native_channel_shuffle", channel_shuffle}, {"im2col", image_to_columns}, {"col2im", columns_to_image},
    {"upsample_bicubic2d", resize<cubic_along>}, {"grid_sampler_2d", sampled_by_grid}, {"grid_sampler", sampled_by_grid}, {"linalg_cross", cross_product},
  };
  return rules;
}

} // namespace kevolve::synthesis
