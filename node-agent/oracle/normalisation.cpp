// Batch, layer, group and root-mean-square normalisation, forward and the layer norm's backward form.
#include "node-agent/oracle/rows.hpp"

namespace kevolve::agent::oracle {
namespace {

using integer = std::int64_t;

extents channel_shape(const tensor& x) {
  extents shape(x.shape.size(), 1);
  shape.at(1) = x.shape.at(1);
  return shape;
}

/// (x - mean) * rstd [* weight] [+ bias], everything broadcast.
tensor normalised(dtype type, const tensor& x, const tensor& mean, const tensor& rstd, const std::optional<tensor>& weight,
                  const std::optional<tensor>& bias) {
  tensor out = map<double, double>(type, x, mean, [](double v, double m) { return v - m; });
  out = map<double, double>(type, out, rstd, [](double v, double r) { return v * r; });
  if (weight)
    out = map<double, double>(type, out, *weight, [](double v, double w) { return v * w; });
  if (bias)
    out = map<double, double>(type, out, *bias, [](double v, double b) { return v + b; });
  return out;
}

std::optional<tensor> shaped(const std::optional<tensor>& t, const extents& shape) {
  return t ? std::optional(reshape(*t, shape)) : std::nullopt;
}

tensor reciprocal_root(const tensor& variance, double eps) {
  return map<double, double>(variance.type, variance, [=](double v) { return 1 / std::sqrt(v + eps); });
}

struct statistics {
  tensor mean, rstd;
};
statistics statistics_of(const row_form& form, double eps) {
  auto width = static_cast<double>(form.width);
  tensor mean = reduce<double, double>(dtype::float64, form, [](const double* v, integer n) { return moments_of(v, n).mean; });
  tensor variance = reduce<double, double>(dtype::float64, form, [=](const double* v, integer n) { return moments_of(v, n).squares / width; });
  return {mean, reciprocal_root(variance, eps)};
}

results batch_norm(const call& c) {
  tensor x = c.value("input");
  auto shape = channel_shape(x);
  double eps = c.real("eps");
  bool training = c.flag("training", !c.has("running_mean"));
  statistics s;
  if (training) {
    extents dims{0};
    for (integer d = 2; d < x.rank(); ++d)
      dims.push_back(d);
    s = statistics_of(rows_along(x, dims, false), eps);
  } else {
    s = {c.value("running_mean"), reciprocal_root(c.value("running_var"), eps)};
  }
  tensor out = normalised(x.type, x, reshape(s.mean, shape), reshape(s.rstd, shape), shaped(c.maybe("weight"), shape),
                          shaped(c.maybe("bias"), shape));
  if (!training)
    s.mean = s.rstd = make<double>(x.type, {0});
  return {out, s.mean, s.rstd};
}

extents last_dimensions(const tensor& x, std::size_t count) {
  extents dims;
  for (std::size_t d = 0; d < count; ++d)
    dims.push_back(x.rank() - static_cast<integer>(count) + static_cast<integer>(d));
  return dims;
}

results layer_norm(const call& c) {
  tensor x = c.value("input");
  auto over = c.integers("normalized_shape");
  auto s = statistics_of(rows_along(x, last_dimensions(x, over.size()), true), c.real("eps", 1e-5));
  return {normalised(x.type, x, s.mean, s.rstd, c.maybe("weight"), c.maybe("bias")), s.mean, s.rstd};
}

results group_norm(const call& c) {
  tensor x = c.value("input");
  auto groups = c.integer(c.has("group") ? "group" : "num_groups");
  auto batch = x.shape.at(0), channels = x.shape.at(1);
  if (groups <= 0 || channels % groups)
    refuse(std::to_string(channels) + " channels in " + std::to_string(groups) + " groups");
  tensor grouped = reshape(x, {batch, groups, batch > 0 ? x.count() / (batch * groups) : 0});
  auto s = statistics_of(rows_along(grouped, {2}, true), c.real("eps", 1e-5));
  tensor plain = reshape(normalised(x.type, grouped, s.mean, s.rstd, {}, {}), x.shape);
  auto shape = channel_shape(x);
  tensor zero = scalar(0), one = scalar(1);
  tensor out = normalised(x.type, plain, zero, one, shaped(c.maybe("weight"), shape), shaped(c.maybe("bias"), shape));
  return {out, reshape(s.mean, {batch, groups}), reshape(s.rstd, {batch, groups})};
}

results rms_norm(const call& c) {
  tensor x = c.value("input");
  double eps = c.real("eps", x.type == dtype::float64 ? 0x1p-52 : x.type == dtype::float16 ? 0x1p-10 : x.type == dtype::bfloat16 ? 0x1p-7 : 0x1p-23);
  auto form = rows_along(x, last_dimensions(x, c.integers("normalized_shape").size()), true);
  auto width = static_cast<double>(form.width);
  tensor squares = reduce<double, double>(dtype::float64, form,
                                          [=](const double* v, integer n) { return sum_of(v, n, [](double e) { return e * e; }) / width; });
  tensor rstd = reciprocal_root(squares, eps);
  return {normalised(x.type, x, scalar(0), rstd, c.maybe("weight"), {}), rstd};
}

tensor product_of(const tensor& a, const tensor& b) {
  return map<double, double>(a.type, a, b, [](double x, double y) { return x * y; });
}
tensor mean_over(const tensor& t, const extents& dims) {
  return reduce<double, double>(t.type, rows_along(t, dims, true),
                                [](const double* v, integer n) { return sum_of(v, n) / static_cast<double>(n); });
}
tensor sum_over(const tensor& t, const extents& dims) {
  return reduce<double, double>(t.type, rows_along(t, dims, false), [](const double* v, integer n) { return sum_of(v, n); });
}

/// dx = rstd * (h - mean(h) - y * mean(h * y)) with h = grad * weight and y = (x - mean) * rstd.
results layer_norm_backward(const call& c) {
  tensor grad = c.value("grad_out"), x = c.value("input"), mean = c.value("mean"), rstd = c.value("rstd");
  auto count = c.integers("normalized_shape").size();
  auto dims = last_dimensions(x, count);
  tensor y = normalised(x.type, x, mean, rstd, {}, {});
  auto weight = c.maybe("weight");
  tensor h = weight ? product_of(grad, *weight) : grad;
  tensor inner = map<double, double>(x.type, h, mean_over(h, dims), [](double a, double b) { return a - b; });
  tensor along_y = product_of(y, mean_over(product_of(h, y), dims));
  tensor dx = product_of(map<double, double>(x.type, inner, along_y, [](double a, double b) { return a - b; }), rstd);
  extents outer;
  for (integer d = 0; d < x.rank() - static_cast<integer>(count); ++d)
    outer.push_back(d);
  auto summed = [&](const tensor& t) { return outer.empty() ? t : sum_over(t, outer); };
  return {dx, summed(product_of(grad, y)), summed(grad)};
}

const entry table[] = {
    {"native_batch_norm", batch_norm},
    {"_native_batch_norm_legit", batch_norm},
    {"_native_batch_norm_legit_no_training", [](const call& c) { return batch_norm(c); }},
    {"native_layer_norm", layer_norm},
    {"layer_norm", layer_norm},
    {"native_group_norm", group_norm},
    {"group_norm", group_norm},
    {"rms_norm", rms_norm},
    {"_fused_rms_norm", rms_norm},
    {"native_layer_norm_backward", layer_norm_backward},
};

} // namespace

family normalisation_operations() { return table; }

} // namespace kevolve::agent::oracle
