// Maximum and average pooling over windows, adaptive forms included. Output sizes are the declared ones (ceil_mode is in them).
#include "node-agent/oracle/spatial.hpp"

#include <algorithm>
#include <cmath>

namespace kevolve::agent::oracle {
namespace {

using integer = std::int64_t;

struct geometry {
  tensor x; // dense [planes, spatial…]
  integer planes = 1;
  triple in{}, out{};
};

/// Of values and indices, which have the same shape; one that nobody reads has no shape.
extents declared_shape(const call& c) {
  auto shape = c.result_shape();
  return shape.empty() && c.results() > 1 ? c.result_shape(1) : shape;
}

geometry geometry_of(const call& c, std::size_t rank) {
  geometry g{contiguous(as_reals(c.value("self"))), 1, {}, {}};
  auto shape = g.x.shape;
  if (shape.size() < rank)
    refuse("pooling over " + std::to_string(rank) + " dimensions of " + to_text(shape));
  g.in = triple_of(shape, rank, 1);
  auto wanted = declared_shape(c);
  g.out = triple_of(wanted, rank, 1);
  for (std::size_t d = 0; d + rank < shape.size(); ++d)
    g.planes *= shape[d];
  if (g.planes * volume(g.out) != product(wanted))
    refuse("pooling of " + to_text(shape) + " to " + to_text(wanted));
  return g;
}

/// Calls f(plane's data, z, y, x, place in the output) for every output element.
template <class F>
void for_outputs(const geometry& g, F f) {
  const double* data_of_plane = data<double>(g.x);
  for (integer p = 0, at = 0; p < g.planes; ++p, data_of_plane += volume(g.in))
    for (integer z = 0; z < g.out[0]; ++z)
      for (integer y = 0; y < g.out[1]; ++y)
        for (integer x = 0; x < g.out[2]; ++x, ++at)
          f(data_of_plane, triple{z, y, x}, at);
}

/// The largest of a box (with steps), and its place in the plane; NaN wins.
struct best {
  double value;
  integer place;
};
best largest_in(const double* plane, const triple& in, const triple& from, const triple& to, const triple& step) {
  best b{-HUGE_VAL, (from[0] * in[1] + from[1]) * in[2] + from[2]};
  for (integer z = from[0]; z < to[0]; z += step[0])
    for (integer y = from[1]; y < to[1]; y += step[1])
      for (integer x = from[2]; x < to[2]; x += step[2]) {
        integer place = (z * in[1] + y) * in[2] + x;
        double v = plane[place];
        if (v > b.value || v != v)
          b = {v, place};
      }
  return b;
}

double sum_in(const double* plane, const triple& in, const triple& from, const triple& to) {
  double sum = 0;
  for (integer z = from[0]; z < to[0]; ++z)
    for (integer y = from[1]; y < to[1]; ++y)
      for (integer x = from[2]; x < to[2]; ++x)
        sum += plane[(z * in[1] + y) * in[2] + x];
  return sum;
}

template <std::size_t Rank>
results max_pool(const call& c) {
  auto g = geometry_of(c, Rank);
  auto kernel = triple_of(c.integers("kernel_size"), Rank, 1), padding = triple_of(c.integers("padding"), Rank, 0);
  auto stride = c.integers("stride").empty() ? kernel : triple_of(c.integers("stride"), Rank, 1);
  auto dilation = triple_of(c.integers("dilation"), Rank, 1);
  tensor out = make<double>(dtype::float64, declared_shape(c));
  tensor where = make<integer>(dtype::int64, declared_shape(c));
  for_outputs(g, [&](const double* plane, const triple& o, integer at) {
    triple from, to;
    for (std::size_t d = 0; d < 3; ++d) {
      from[d] = o[d] * stride[d] - padding[d];
      to[d] = std::min(from[d] + (kernel[d] - 1) * dilation[d] + 1, g.in[d]);
      while (from[d] < 0)
        from[d] += dilation[d];
    }
    auto b = largest_in(plane, g.in, from, to, dilation);
    mutable_data<double>(out)[at] = b.value;
    mutable_data<integer>(where)[at] = b.place;
  });
  return {out, where};
}

template <std::size_t Rank>
results average_pool(const call& c) {
  auto g = geometry_of(c, Rank);
  auto kernel = triple_of(c.integers("kernel_size"), Rank, 1), padding = triple_of(c.integers("padding"), Rank, 0);
  auto stride = c.integers("stride").empty() ? kernel : triple_of(c.integers("stride"), Rank, 1);
  bool padded = c.flag("count_include_pad", true);
  double divisor = c.has("divisor_override") ? c.real("divisor_override") : 0;
  tensor out = make<double>(dtype::float64, declared_shape(c));
  for_outputs(g, [&](const double* plane, const triple& o, integer at) {
    triple from, to;
    integer whole = 1, inside = 1;
    for (std::size_t d = 0; d < 3; ++d) {
      from[d] = o[d] * stride[d] - padding[d];
      to[d] = std::min(from[d] + kernel[d], g.in[d] + padding[d]);
      whole *= to[d] - from[d];
      from[d] = std::max<integer>(from[d], 0);
      to[d] = std::min(to[d], g.in[d]);
      inside *= std::max<integer>(0, to[d] - from[d]);
    }
    double by = divisor != 0 ? divisor : static_cast<double>(padded ? whole : inside);
    mutable_data<double>(out)[at] = inside ? sum_in(plane, g.in, from, to) / by : 0;
  });
  return {out};
}

triple adaptive_start(const triple& o, const triple& in, const triple& out) {
  triple from;
  for (std::size_t d = 0; d < 3; ++d)
    from[d] = o[d] * in[d] / out[d];
  return from;
}
triple adaptive_end(const triple& o, const triple& in, const triple& out) {
  triple to;
  for (std::size_t d = 0; d < 3; ++d)
    to[d] = ((o[d] + 1) * in[d] + out[d] - 1) / out[d];
  return to;
}

template <std::size_t Rank>
results adaptive_average(const call& c) {
  auto g = geometry_of(c, Rank);
  tensor out = make<double>(dtype::float64, declared_shape(c));
  for_outputs(g, [&](const double* plane, const triple& o, integer at) {
    auto from = adaptive_start(o, g.in, g.out), to = adaptive_end(o, g.in, g.out);
    auto count = (to[0] - from[0]) * (to[1] - from[1]) * (to[2] - from[2]);
    mutable_data<double>(out)[at] = sum_in(plane, g.in, from, to) / static_cast<double>(count);
  });
  return {out};
}

template <std::size_t Rank>
results adaptive_maximum(const call& c) {
  auto g = geometry_of(c, Rank);
  tensor out = make<double>(dtype::float64, declared_shape(c));
  tensor where = make<integer>(dtype::int64, declared_shape(c));
  for_outputs(g, [&](const double* plane, const triple& o, integer at) {
    auto b = largest_in(plane, g.in, adaptive_start(o, g.in, g.out), adaptive_end(o, g.in, g.out), {1, 1, 1});
    mutable_data<double>(out)[at] = b.value;
    mutable_data<integer>(where)[at] = b.place;
  });
  return {out, where};
}

const entry table[] = {
    {"max_pool1d", max_pool<1>},
    {"max_pool2d", max_pool<2>},
    {"max_pool3d", max_pool<3>},
    {"max_pool1d_with_indices", max_pool<1>},
    {"max_pool2d_with_indices", max_pool<2>},
    {"max_pool3d_with_indices", max_pool<3>},
    {"avg_pool1d", average_pool<1>},
    {"avg_pool2d", average_pool<2>},
    {"avg_pool3d", average_pool<3>},
    {"adaptive_avg_pool1d", adaptive_average<1>},
    {"adaptive_avg_pool2d", adaptive_average<2>},
    {"_adaptive_avg_pool2d", adaptive_average<2>},
    {"adaptive_avg_pool3d", adaptive_average<3>},
    {"_adaptive_avg_pool3d", adaptive_average<3>},
    {"adaptive_max_pool1d", adaptive_maximum<1>},
    {"adaptive_max_pool2d", adaptive_maximum<2>},
    {"adaptive_max_pool3d", adaptive_maximum<3>},
};

} // namespace

family pooling_operations() { return table; }

} // namespace kevolve::agent::oracle
