// Resizing (nearest, linear, cubic), one dimension after the other, and rearrangements between channels and space.
#include "node-agent/oracle/rows.hpp"

#include <algorithm>

namespace kevolve::agent::oracle {
namespace {

using integer = std::int64_t;

/// Scale factor for spatial dimension `d` of `rank`, where the call carries one; else 0.
double given_scale(const call& c, std::size_t d, std::size_t rank) {
  auto list = c.reals("scale_factors");
  if (d < list.size())
    return list[d];
  constexpr const char* names[] = {"scales_d", "scales_h", "scales_w"};
  if (rank == 1)
    return c.real("scales", 0);
  return c.real(names[3 - rank + d], 0);
}

struct tap {
  integer place;
  double weight;
};

/// Resizes dimension `dim`; taps(i) lists what output i reads.
template <class Taps>
tensor resized(const tensor& x, integer dim, integer size, Taps taps) {
  std::vector<std::vector<tap>> plan;
  for (integer i = 0; i < size; ++i)
    plan.push_back(taps(i));
  tensor rows = contiguous(move_last(x, dim));
  extents shape = rows.shape;
  auto width = shape.back();
  shape.back() = size;
  tensor out = make<double>(x.type, shape);
  const double* from = data<double>(rows);
  double* to = mutable_data<double>(out);
  for (integer r = 0, n = width ? rows.count() / width : 0; r < n; ++r, from += width)
    for (integer i = 0; i < size; ++i) {
      double sum = 0;
      const auto& list = plan[static_cast<std::size_t>(i)];
      for (const auto& t : list)
        sum = list.size() == 1 ? from[t.place] : sum + t.weight * from[t.place];
      *to++ = sum;
    }
  return move_back(out, dim);
}

template <class MakeTaps>
results resample(const call& c, std::size_t rank, MakeTaps make_taps) {
  tensor x = as_reals(c.value(c.has("input") ? "input" : "self"));
  auto wanted = c.result_shape();
  for (std::size_t d = 0; d < rank; ++d) {
    auto dim = wanted.size() - rank + d;
    auto in = x.shape.at(dim), out = wanted[dim];
    x = resized(x, static_cast<integer>(dim), out, make_taps(in, out, given_scale(c, d, rank)));
  }
  return {x};
}

/// PyTorch computes the nearest source in float32, whatever the tensor's type.
template <std::size_t Rank>
results nearest(const call& c) {
  return resample(c, Rank, [](integer in, integer out, double given) {
    float scale = given > 0 ? static_cast<float>(1 / given) : static_cast<float>(in) / static_cast<float>(out);
    return [=](integer i) {
      auto place = static_cast<integer>(std::floor(static_cast<float>(i) * scale));
      return std::vector<tap>{{std::min(place, in - 1), 1}};
    };
  });
}

double source_of(integer i, integer in, integer out, double given, bool corners, bool clamped) {
  if (corners)
    return out > 1 ? static_cast<double>(i) * static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0;
  double scale = given > 0 ? 1 / given : static_cast<double>(in) / static_cast<double>(out);
  double at = scale * (static_cast<double>(i) + 0.5) - 0.5;
  return clamped ? std::max(at, 0.0) : at;
}

template <std::size_t Rank>
results linear(const call& c) {
  bool corners = c.flag("align_corners");
  return resample(c, Rank, [=](integer in, integer out, double given) {
    return [=](integer i) {
      double at = source_of(i, in, out, given, corners, true);
      auto low = std::min(static_cast<integer>(at), in - 1);
      double share = std::min(at - static_cast<double>(low), 1.0);
      return std::vector<tap>{{low, 1 - share}, {std::min(low + 1, in - 1), share}};
    };
  });
}

results cubic(const call& c) { // Keys' kernel, a = -0.75
  bool corners = c.flag("align_corners");
  return resample(c, 2, [=](integer in, integer out, double given) {
    return [=](integer i) {
      double at = source_of(i, in, out, given, corners, false);
      double low = std::floor(at), t = at - low;
      constexpr double a = -0.75;
      auto near = [](double x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
      auto far = [](double x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
      auto place = [&](int k) { return std::clamp<integer>(static_cast<integer>(low) + k, 0, in - 1); };
      return std::vector<tap>{{place(-1), far(t + 1)}, {place(0), near(t)}, {place(1), near(1 - t)}, {place(2), far(2 - t)}};
    };
  });
}

results pixel_shuffle(const call& c) {
  tensor x = c.value("self");
  auto r = c.integer("upscale_factor");
  auto n = x.shape.size();
  extents lead(x.shape.begin(), x.shape.end() - 3);
  auto channels = x.shape.at(n - 3), h = x.shape.at(n - 2), w = x.shape.at(n - 1);
  tensor split = reshape(x, {product(lead), channels / (r * r), r, r, h, w});
  extents shape = lead;
  shape.insert(shape.end(), {channels / (r * r), h * r, w * r});
  return {reshape(permute(split, {0, 1, 4, 2, 5, 3}), shape)};
}

results pixel_unshuffle(const call& c) {
  tensor x = c.value("self");
  auto r = c.integer("downscale_factor");
  auto n = x.shape.size();
  extents lead(x.shape.begin(), x.shape.end() - 3);
  auto channels = x.shape.at(n - 3), h = x.shape.at(n - 2) / r, w = x.shape.at(n - 1) / r;
  tensor split = reshape(x, {product(lead), channels, h, r, w, r});
  extents shape = lead;
  shape.insert(shape.end(), {channels * r * r, h, w});
  return {reshape(permute(split, {0, 1, 3, 5, 2, 4}), shape)};
}

results channel_shuffle(const call& c) {
  tensor x = c.value("self");
  auto groups = c.integer("groups");
  extents split{x.shape.at(0), groups, x.shape.at(1) / groups, x.count() > 0 ? x.count() / (x.shape[0] * x.shape[1]) : 0};
  return {reshape(permute(reshape(x, split), {0, 2, 1, 3}), x.shape)};
}

/// Patches of an image as columns (torch.nn.Unfold).
results im2col(const call& c) {
  tensor x = as_reals(c.value("self"));
  auto kernel = c.integers("kernel_size"), dilation = c.integers("dilation"), padding = c.integers("padding"), stride = c.integers("stride");
  bool single = x.rank() == 3;
  if (single)
    x = unsqueeze(x, 0);
  auto batch = x.shape.at(0), channels = x.shape.at(1);
  tensor wide = make_filled<double>(x.type, {batch, channels, x.shape.at(2) + 2 * padding.at(0), x.shape.at(3) + 2 * padding.at(1)}, 0.0);
  write_window(wide, narrow(narrow(wide, 2, padding[0], x.shape[2]), 3, padding[1], x.shape[3]), x);
  auto steps = [&](std::size_t d) { return (wide.shape[2 + d] - dilation.at(d) * (kernel.at(d) - 1) - 1) / stride.at(d) + 1; };
  auto rows = steps(0), columns = steps(1);
  tensor view = wide; // [batch, channels, kernel, kernel, rows, columns]
  view.shape = {batch, channels, kernel[0], kernel[1], rows, columns};
  view.strides = {wide.strides[0], wide.strides[1], wide.strides[2] * dilation[0], wide.strides[3] * dilation[1],
                  wide.strides[2] * stride[0], wide.strides[3] * stride[1]};
  tensor out = reshape(view, {batch, channels * kernel[0] * kernel[1], rows * columns});
  return {single ? select(out, 0, 0) : out};
}

/// The reverse (torch.nn.Fold): each element of the image is the sum of its copies in the columns.
results col2im(const call& c) {
  tensor x = as_reals(c.value("self"));
  auto kernel = c.integers("kernel_size"), dilation = c.integers("dilation"), padding = c.integers("padding"), stride = c.integers("stride");
  auto size = c.integers("output_size");
  bool single = x.rank() == 2;
  if (single)
    x = unsqueeze(x, 0);
  auto taps = kernel.at(0) * kernel.at(1), channels = x.shape.at(1) / taps, batch = x.shape[0];
  auto steps = [&](std::size_t d) { return (size.at(d) + 2 * padding.at(d) - dilation.at(d) * (kernel.at(d) - 1) - 1) / stride.at(d) + 1; };
  tensor columns = contiguous(reshape(x, {batch * channels, kernel[0], kernel[1], steps(0), steps(1)}));
  tensor out = make_filled<double>(x.type, {batch * channels, size.at(0), size.at(1)}, 0.0);
  const double* from = data<double>(columns);
  double* to = mutable_data<double>(out);
  for (integer image = 0; image < batch * channels; ++image)
    for (integer i = 0; i < kernel[0]; ++i)
      for (integer j = 0; j < kernel[1]; ++j)
        for (integer r = 0; r < steps(0); ++r)
          for (integer s = 0; s < steps(1); ++s, ++from) {
            auto row = r * stride[0] + i * dilation[0] - padding[0], column = s * stride[1] + j * dilation[1] - padding[1];
            if (row >= 0 && row < size[0] && column >= 0 && column < size[1])
              to[(image * size[0] + row) * size[1] + column] += *from;
          }
  return {reshape(out, c.result_shape())};
}

/// Bilinear samples of an image where a grid of (x, y) from -1 to 1 says; outside it is 0 (padding_mode 0), or the nearest border (1).
results grid_sample(const call& c) {
  if (c.integer("interpolation_mode", 0) != 0 || c.integer("padding_mode", 0) > 1)
    refuse("grid_sample other than mode 'bilinear' with padding 'zeros' or 'border'");
  tensor x = contiguous(as_reals(c.value("input"))), grid = contiguous(as_reals(c.value("grid")));
  const bool border = c.integer("padding_mode", 0) == 1, corners = c.flag("align_corners");
  auto batch = x.shape.at(0), channels = x.shape.at(1), height = x.shape.at(2), width = x.shape.at(3), places = grid.shape.at(1) * grid.shape.at(2);
  tensor out = make<double>(c.result_type(), c.result_shape());
  auto position = [&](double at, integer size) {
    double place = corners ? (at + 1) / 2 * static_cast<double>(size - 1) : ((at + 1) * static_cast<double>(size) - 1) / 2;
    return border ? std::clamp(place, 0.0, static_cast<double>(size - 1)) : place;
  };
  for (integer n = 0; n < batch; ++n)
    for (integer p = 0; p < places; ++p) {
      const double* at = data<double>(grid) + (n * places + p) * 2;
      double column = position(at[0], width), row = position(at[1], height);
      for (integer channel = 0; channel < channels; ++channel) {
        const double* image = data<double>(x) + (n * channels + channel) * height * width;
        double sum = 0;
        for (double down : {0.0, 1.0})
          for (double right : {0.0, 1.0}) {
            double r = std::floor(row) + down, s = std::floor(column) + right;
            if (r >= 0 && r <= static_cast<double>(height - 1) && s >= 0 && s <= static_cast<double>(width - 1)) // NaN is nowhere inside
              sum += (1 - std::abs(row - r)) * (1 - std::abs(column - s)) * image[static_cast<integer>(r) * width + static_cast<integer>(s)];
          }
        mutable_data<double>(out)[(n * channels + channel) * places + p] = sum;
      }
    }
  return {out};
}

const entry table[] = {
    {"upsample_nearest1d", nearest<1>},
    {"upsample_nearest2d", nearest<2>},
    {"upsample_nearest3d", nearest<3>},
    {"upsample_linear1d", linear<1>},
    {"upsample_bilinear2d", linear<2>},
    {"upsample_trilinear3d", linear<3>},
    {"upsample_bicubic2d", cubic},
    {"pixel_shuffle", pixel_shuffle},
    {"pixel_unshuffle", pixel_unshuffle},
    {"channel_shuffle", channel_shuffle},
    {"native_channel_shuffle", channel_shuffle},
    {"im2col", im2col},
    {"col2im", col2im},
    {"grid_sampler_2d", grid_sample},
    {"grid_sampler", grid_sample},
};

} // namespace

family resampling_operations() { return table; }

} // namespace kevolve::agent::oracle
