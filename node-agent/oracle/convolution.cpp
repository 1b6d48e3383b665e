// Convolution in one to three dimensions, with stride, padding, dilation and groups, plain and transposed: patches laid out as a matrix, a
// block of output places at a time, and one matrix product.
#include "node-agent/oracle/gemm.hpp"
#include "node-agent/oracle/spatial.hpp"

#include <algorithm>
#include <vector>

namespace kevolve::agent::oracle {
namespace {

using integer = std::int64_t;

struct geometry {
  std::size_t rank;                 // spatial
  integer batch, groups;
  integer in_channels, out_channels; // per group
  triple in, out, kernel, stride, padding, dilation;
};

constexpr integer block_places = 2048; // columns of the patch matrix at a time

/// f(kernel place, image place) for each pair of a kernel tap and a place of the strided side that meet inside the image. `strided` is
/// the side that steps by `stride` (the output of a convolution, the input of a transposed one); `image` the other.
template <class F>
void for_taps(const geometry& g, const triple& strided, const triple& image, integer from, integer to, F f) {
  integer tap = 0;
  for (integer kz = 0; kz < g.kernel[0]; ++kz)
    for (integer ky = 0; ky < g.kernel[1]; ++ky)
      for (integer kx = 0; kx < g.kernel[2]; ++kx, ++tap)
        for (integer at = from; at < to;) {
          integer x = at % strided[2], y = at / strided[2] % strided[1], z = at / strided[2] / strided[1];
          integer end = std::min(to, at - x + strided[2]);
          integer iz = z * g.stride[0] - g.padding[0] + kz * g.dilation[0], iy = y * g.stride[1] - g.padding[1] + ky * g.dilation[1];
          if (iz >= 0 && iz < image[0] && iy >= 0 && iy < image[1]) {
            integer row = (iz * image[1] + iy) * image[2], ix = x * g.stride[2] - g.padding[2] + kx * g.dilation[2];
            for (; at < end; ++at, ix += g.stride[2])
              if (ix >= 0 && ix < image[2])
                f(tap, at - from, row + ix);
          }
          at = end;
        }
}

void convolve(const geometry& g, const double* image, const double* weight, double* out) {
  integer taps = volume(g.kernel), depth = g.in_channels * taps, places = volume(g.out), area = volume(g.in);
  std::vector<double> patches(static_cast<std::size_t>(depth * std::min(places, block_places)));
  for (integer from = 0; from < places; from += block_places) {
    integer count = std::min(block_places, places - from);
    std::fill(patches.begin(), patches.end(), 0.0);
    for (integer channel = 0; channel < g.in_channels; ++channel)
      for_taps(g, g.out, g.in, from, from + count, [&](integer tap, integer column, integer place) {
        patches[static_cast<std::size_t>((channel * taps + tap) * count + column)] = image[channel * area + place];
      });
    accumulate_product(g.out_channels, count, depth, {weight, depth, 1}, {patches.data(), count, 1}, out + from, places);
  }
}

/// weight is [in, out, taps]: each input place spreads a patch over the output.
void convolve_transposed(const geometry& g, const double* image, const double* weight, double* out) {
  integer taps = volume(g.kernel), depth = g.out_channels * taps, places = volume(g.in), area = volume(g.out);
  std::vector<double> patches(static_cast<std::size_t>(depth * std::min(places, block_places)));
  for (integer from = 0; from < places; from += block_places) {
    integer count = std::min(block_places, places - from);
    std::fill(patches.begin(), patches.end(), 0.0);
    accumulate_product(depth, count, g.in_channels, {weight, 1, depth}, {image + from, places, 1}, patches.data(), count);
    for (integer channel = 0; channel < g.out_channels; ++channel)
      for_taps(g, g.in, g.out, from, from + count, [&](integer tap, integer column, integer place) {
        out[channel * area + place] += patches[static_cast<std::size_t>((channel * taps + tap) * count + column)];
      });
  }
}

results convolution(const call& c) {
  tensor x = contiguous(as_reals(c.value("input"))), weight = contiguous(as_reals(c.value("weight")));
  if (x.rank() < 3 || x.rank() > 5 || weight.rank() != x.rank())
    refuse("convolution of " + to_text(x.shape) + " with " + to_text(weight.shape));
  auto shape = c.result_shape();
  bool transposed = c.flag("transposed");
  geometry g{};
  g.rank = x.shape.size() - 2;
  g.batch = x.shape[0];
  g.groups = c.integer("groups", 1);
  if (g.groups <= 0 || x.shape[1] % g.groups || shape.at(1) % g.groups)
    refuse("convolution of " + to_text(x.shape) + " in " + std::to_string(g.groups) + " groups");
  g.in_channels = x.shape[1] / g.groups;
  g.out_channels = shape[1] / g.groups;
  auto spatial = [&](const extents& full) { return triple_of({full.begin() + 2, full.end()}, g.rank, 1); };
  g.in = spatial(x.shape), g.out = spatial(shape), g.kernel = spatial(weight.shape);
  g.stride = triple_of(c.integers("stride"), g.rank, 1);
  g.padding = triple_of(c.integers("padding"), g.rank, 0);
  g.dilation = triple_of(c.integers("dilation"), g.rank, 1);
  extents expected = x.shape; // of the weight
  expected[0] = transposed ? x.shape[1] : shape[1];
  expected[1] = transposed ? g.out_channels : g.in_channels;
  std::copy(weight.shape.begin() + 2, weight.shape.end(), expected.begin() + 2);
  if (weight.shape != expected)
    refuse("weight of shape " + to_text(weight.shape) + ", expected " + to_text(expected));
  tensor out = make_filled<double>(c.result_type(), shape, 0.0);
  integer per_weight = g.in_channels * g.out_channels * volume(g.kernel);
  for (integer n = 0; n < g.batch; ++n)
    for (integer k = 0; k < g.groups; ++k) {
      const double* image = data<double>(x) + (n * g.groups + k) * g.in_channels * volume(g.in);
      double* to = mutable_data<double>(out) + (n * g.groups + k) * g.out_channels * volume(g.out);
      (transposed ? convolve_transposed : convolve)(g, image, data<double>(weight) + k * per_weight, to);
    }
  if (auto bias = c.maybe("bias")) {
    extents channels(shape.size(), 1);
    channels[1] = shape[1];
    out = map<double, double>(out.type, out, reshape(*bias, channels), [](double a, double b) { return a + b; });
  }
  return {out};
}

const entry table[] = {
    {"convolution", convolution}, {"_convolution", convolution}, {"conv1d", convolution}, {"conv2d", convolution}, {"conv3d", convolution},
    {"mkldnn_convolution", convolution},
};

} // namespace

family convolution_operations() { return table; }

} // namespace kevolve::agent::oracle
