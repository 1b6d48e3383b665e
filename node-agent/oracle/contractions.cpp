// Matrix products in all of ATen's spellings, on one blocked product in double. Integer matrices go through it too (exact below 2^53).
#include "node-agent/oracle/gemm.hpp"
#include "node-agent/oracle/rows.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kevolve::agent::oracle {
namespace {

matrix_view matrix(const tensor& t) {
  auto n = t.shape.size();
  return {data<double>(t), t.strides[n - 2], t.strides[n - 1]};
}

/// [b, m, k] x [b, k, n]; batch dimensions already equal.
tensor batched_product(const tensor& a, const tensor& b, dtype type) {
  if (a.rank() != 3 || b.rank() != 3 || a.shape[2] != b.shape[1] || a.shape[0] != b.shape[0])
    refuse("cannot multiply " + to_text(a.shape) + " and " + to_text(b.shape));
  tensor out = make_filled<double>(type, {a.shape[0], a.shape[1], b.shape[2]}, 0.0);
  for (std::int64_t i = 0; i < a.shape[0]; ++i) {
    auto left = matrix(a), right = matrix(b);
    left.data += i * a.strides[0];
    right.data += i * b.strides[0];
    accumulate_product(a.shape[1], b.shape[2], a.shape[2], left, right, mutable_data<double>(out) + i * out.strides[0], b.shape[2]);
  }
  return out;
}

tensor in_result_type(const call& c, tensor t) { return is_floating(c.result_type()) ? t : convert(t, c.result_type()); }

/// NumPy's matmul: vectors are promoted, batch dimensions broadcast.
tensor general_product(tensor a, tensor b, dtype type) {
  a = as_reals(a), b = as_reals(b);
  bool row = a.rank() == 1, column = b.rank() == 1;
  if (a.rank() == 0 || b.rank() == 0)
    refuse("cannot multiply " + to_text(a.shape) + " and " + to_text(b.shape));
  if (row)
    a = unsqueeze(a, 0);
  if (column)
    b = unsqueeze(b, 1);
  auto m = a.shape[a.shape.size() - 2], k = a.shape.back(), n = b.shape.back();
  tensor out;
  if (b.rank() == 2 && a.rank() > 2) { // one tall product
    out = batched_product(unsqueeze(reshape(a, {a.count() / std::max<std::int64_t>(k, 1), k}), 0), unsqueeze(b, 0), type);
    extents shape = a.shape;
    shape.back() = n;
    out = reshape(out, shape);
  } else {
    extents batch = broadcast({a.shape.begin(), a.shape.end() - 2}, {b.shape.begin(), b.shape.end() - 2});
    auto full = [&](const tensor& t) {
      extents shape = batch;
      shape.insert(shape.end(), t.shape.end() - 2, t.shape.end());
      tensor wide = expand(t, shape);
      return reshape(wide, {product(batch), t.shape[t.shape.size() - 2], t.shape.back()});
    };
    out = batched_product(full(a), full(b), type);
    extents shape = batch;
    shape.push_back(m);
    shape.push_back(n);
    out = reshape(out, shape);
  }
  if (column)
    out = squeeze(out, -1);
  if (row)
    out = squeeze(out, column ? -1 : -2);
  return out;
}

/// beta * self + alpha * product; self is not read where beta is 0.
tensor scaled_sum(const call& c, const tensor& self, const tensor& made) {
  double beta = c.real("beta", 1), alpha = c.real("alpha", 1);
  if (beta == 0)
    return map<double, double>(made.type, made, [=](double p) { return alpha * p; });
  return map<double, double>(made.type, as_reals(self), made, [=](double s, double p) { return beta * s + alpha * p; });
}

template <const char* A, const char* B>
results plain(const call& c) {
  return {in_result_type(c, general_product(c.value(A), c.value(B), c.result_type()))};
}
template <const char* A, const char* B>
results added(const call& c) {
  return {in_result_type(c, scaled_sum(c, c.value("self"), general_product(c.value(A), c.value(B), c.result_type())))};
}

constexpr char self[] = "self", other[] = "other", mat1[] = "mat1", mat2[] = "mat2", batch1[] = "batch1", batch2[] = "batch2",
               tensor_argument[] = "tensor", vec[] = "vec", mat[] = "mat";

results linear(const call& c) {
  tensor weight = c.value("weight");
  tensor turned = weight.rank() == 2 ? permute(weight, {1, 0}) : weight;
  tensor out = general_product(c.value("input"), turned, c.result_type());
  if (auto bias = c.maybe("bias"))
    out = map<double, double>(out.type, out, *bias, [](double a, double b) { return a + b; });
  return {out};
}

results add_batches(const call& c) { // sums over the batch
  tensor a = as_reals(c.value("batch1")), b = as_reals(c.value("batch2"));
  auto wide = reshape(permute(a, {1, 0, 2}), {a.shape[1], a.shape[0] * a.shape[2]});
  auto tall = reshape(b, {b.shape[0] * b.shape[1], b.shape[2]});
  return {scaled_sum(c, c.value("self"), general_product(wide, tall, c.result_type()))};
}

tensor outer(const tensor& a, const tensor& b, dtype type) {
  return map<double, double>(type, unsqueeze(as_reals(a), 1), unsqueeze(as_reals(b), 0), [](double x, double y) { return x * y; });
}

/// Euclid's distance of each row of x1 from each row of x2; batch dimensions broadcast.
results distances(const call& c) {
  if (c.real("p", 2) != 2)
    refuse("distances of order " + std::to_string(c.real("p", 2)));
  tensor d = map<double, double>(c.result_type(), unsqueeze(as_reals(c.value("x1")), -2), unsqueeze(as_reals(c.value("x2")), -3), [](double x, double y) { return (x - y) * (x - y); });
  const std::int64_t width = d.shape.back();
  tensor rows = contiguous(d), out = make<double>(c.result_type(), extents(d.shape.begin(), d.shape.end() - 1));
  for (std::int64_t r = 0; r < out.count(); ++r) {
    const double* row = data<double>(rows) + r * width;
    mutable_data<double>(out)[r] = std::sqrt(std::accumulate(row, row + width, 0.0));
  }
  return {out};
}

/// Product of vectors of three along a dimension.
results cross(const call& c) {
  tensor a = as_reals(c.value("self")), b = as_reals(c.value("other"));
  const auto shape = broadcast(a.shape, b.shape);
  a = expand(a, shape), b = expand(b, shape);
  const auto dim = wrap_dimension(c.integer("dim", -1), static_cast<std::int64_t>(shape.size()));
  const auto times = [](double x, double y) { return x * y; };
  tensor out = make<double>(c.result_type(), shape);
  for (std::int64_t i = 0; i < 3; ++i) {
    const auto product = [&](std::int64_t p, std::int64_t q) { return map<double, double>(c.result_type(), select(a, dim, p % 3), select(b, dim, q % 3), times); };
    write_window(out, select(out, dim, i), map<double, double>(c.result_type(), product(i + 1, i + 2), product(i + 2, i + 1), [](double x, double y) { return x - y; }));
  }
  return {in_result_type(c, out)};
}

results trace(const call& c) {
  tensor x = as_reals(c.value("self"));
  double sum = 0;
  for (std::int64_t i = 0; i < std::min(x.shape.at(0), x.shape.at(1)); ++i)
    sum += item(select(select(x, 0, i), 0, i));
  return {convert(scalar(sum), c.result_type())};
}

/// sum over `sumdim` of i1 * i2 * i3, each unsqueezed where its list says: what bilinear layers become.
results trilinear(const call& c) {
  auto widened = [&](const char* name, const char* dims) {
    tensor t = as_reals(c.value(name));
    auto list = c.integers(dims);
    std::sort(list.begin(), list.end());
    for (auto d : list)
      t = unsqueeze(t, d);
    return t;
  };
  auto times = [](double x, double y) { return x * y; };
  tensor all = map<double, double>(c.result_type(), widened("i1", "expand1"), widened("i2", "expand2"), times);
  all = map<double, double>(all.type, all, widened("i3", "expand3"), times);
  return {reduce<double, double>(all.type, rows_along(all, c.integers("sumdim"), false),
                                 [](const double* x, std::int64_t n) { return sum_of(x, n); })};
}

results addmm_activation(const call& c) {
  auto out = added<mat1, mat2>(c);
  bool gelu = c.flag("use_gelu");
  return {map<double, double>(out[0].type, out[0], [=](double x) {
    return gelu ? 0.5 * x * std::erfc(-x * 0.70710678118654752440) : x < 0 ? 0 : x;
  })};
}

const entry table[] = {
    {"mm", plain<self, mat2>},
    {"bmm", plain<self, mat2>},
    {"matmul", plain<self, other>},
    {"mv", plain<self, vec>},
    {"dot", plain<self, tensor_argument>},
    {"vdot", plain<self, other>},
    {"addmm", added<mat1, mat2>},
    {"_addmm_activation", addmm_activation},
    {"_trilinear", trilinear},
    {"addmv", added<mat, vec>},
    {"baddbmm", added<batch1, batch2>},
    {"addbmm", add_batches},
    {"linear", linear},
    {"_euclidean_dist", distances},
    {"_cdist_forward", distances},
    {"linalg_cross", cross},
    {"trace", trace},
    {"outer", [](const call& c) -> results { return {in_result_type(c, outer(c.value("self"), c.value("vec2"), c.result_type()))}; }},
    {"ger", [](const call& c) -> results { return {in_result_type(c, outer(c.value("self"), c.value("vec2"), c.result_type()))}; }},
    {"addr", [](const call& c) -> results {
       return {scaled_sum(c, c.value("self"), outer(c.value("vec1"), c.value("vec2"), c.result_type()))};
     }},
};

} // namespace

family contraction_operations() { return table; }

} // namespace kevolve::agent::oracle
