// Scaled dot-product attention as PyTorch defines it: softmax(scale * q k^T + mask) v, one head at a time.
#include "node-agent/oracle/gemm.hpp"
#include "node-agent/oracle/rows.hpp"

#include <vector>

namespace kevolve::agent::oracle {
namespace {

using integer = std::int64_t;

/// One row of scores to probabilities; gives the logarithm of their sum. A row that is masked out whole gives zeros.
double normalise_row(double* row, integer n) {
  double top = largest_of(row, n);
  if (top == -HUGE_VAL) {
    std::fill_n(row, n, 0.0);
    return -HUGE_VAL;
  }
  double sum = 0;
  for (integer i = 0; i < n; ++i)
    sum += row[i] = std::exp(row[i] - top);
  for (integer i = 0; i < n; ++i)
    row[i] /= sum;
  return top + std::log(sum);
}

results attention(const call& c) {
  tensor q = as_reals(c.value("query")), k = as_reals(c.value("key")), v = as_reals(c.value("value"));
  if (q.rank() < 2 || k.rank() != q.rank() || v.rank() != q.rank())
    refuse("attention of " + to_text(q.shape) + ", " + to_text(k.shape) + ", " + to_text(v.shape));
  if (c.real("dropout_p", 0) != 0)
    refuse("dropout draws at random: a reference must be deterministic");
  auto rank = q.shape.size();
  integer length = q.shape[rank - 2], keys = k.shape[rank - 2], width = q.shape[rank - 1], out_width = v.shape[rank - 1];
  extents batch(q.shape.begin(), q.shape.end() - 2);
  integer heads = product(batch), key_heads = product({k.shape.begin(), k.shape.end() - 2});
  if (key_heads == 0 || heads % key_heads || k.shape[rank - 1] != width || v.shape[rank - 2] != keys)
    refuse("attention of " + to_text(q.shape) + ", " + to_text(k.shape) + ", " + to_text(v.shape));
  double scale = c.real("scale", 1 / std::sqrt(static_cast<double>(width)));
  bool causal = c.flag("is_causal");
  extents score_shape = batch;
  score_shape.push_back(length);
  score_shape.push_back(keys);
  auto given = c.maybe(c.has("attn_mask") ? "attn_mask" : "attn_bias");
  tensor mask;
  if (given)
    mask = contiguous(expand(*given, score_shape));
  q = contiguous(q), k = contiguous(k), v = contiguous(v);
  extents shape = batch;
  shape.push_back(length);
  tensor log_sums = make<double>(dtype::float64, shape);
  shape.push_back(out_width);
  tensor out = make_filled<double>(c.result_type(), shape, 0.0);
  std::vector<double> scores(static_cast<std::size_t>(length * keys));
  for (integer h = 0; h < heads; ++h) {
    integer shared = h / (heads / key_heads); // grouped queries share keys
    std::fill(scores.begin(), scores.end(), 0.0);
    accumulate_product(length, keys, width, {data<double>(q) + h * length * width, width, 1},
                       {data<double>(k) + shared * keys * width, 1, width}, scores.data(), keys);
    for (integer i = 0; i < length; ++i) {
      double* row = scores.data() + i * keys;
      for (integer j = 0; j < keys; ++j) {
        row[j] *= scale;
        auto at = (h * length + i) * keys + j;
        if (given && mask.real())
          row[j] += data<double>(mask)[at];
        if ((given && !mask.real() && !data<integer>(mask)[at]) || (causal && j > i))
          row[j] = -HUGE_VAL;
      }
      mutable_data<double>(log_sums)[h * length + i] = normalise_row(row, keys);
    }
    accumulate_product(length, out_width, keys, {scores.data(), keys, 1}, {data<double>(v) + shared * keys * out_width, out_width, 1},
                       mutable_data<double>(out) + h * length * out_width, out_width);
  }
  return {out, log_sums};
}

const entry table[] = {
    {"scaled_dot_product_attention", attention},
    {"_scaled_dot_product_attention_math", attention},
    {"_scaled_dot_product_flash_attention", attention},
    {"_scaled_dot_product_flash_attention_for_cpu", attention},
    {"_scaled_dot_product_efficient_attention", attention},
};

} // namespace

family attention_operations() { return table; }

} // namespace kevolve::agent::oracle
