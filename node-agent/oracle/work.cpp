#include "node-agent/oracle/work.hpp"

#include "protocol/operator.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace kevolve::agent::oracle {
namespace {

/// Per element of the result (or of the input, for reductions): arithmetic operations, and how many of them are transcendental.
struct per_element {
  double operations;
  double transcendentals;
};

const std::unordered_map<std::string_view, per_element> elementwise{
    {"exp", {1, 1}}, {"exp2", {1, 1}}, {"expm1", {1, 1}}, {"log", {1, 1}}, {"log2", {1, 1}}, {"log10", {1, 1}}, {"log1p", {1, 1}},
    {"sin", {1, 1}}, {"cos", {1, 1}}, {"tan", {1, 1}}, {"asin", {1, 1}}, {"acos", {1, 1}}, {"atan", {1, 1}}, {"atan2", {1, 1}},
    {"sinh", {1, 1}}, {"cosh", {1, 1}}, {"tanh", {1, 1}}, {"asinh", {1, 1}}, {"acosh", {1, 1}}, {"atanh", {1, 1}}, {"erf", {1, 1}},
    {"erfc", {1, 1}}, {"erfinv", {1, 1}}, {"lgamma", {1, 1}}, {"xlogy", {2, 1}}, {"logaddexp", {4, 2}}, {"sigmoid", {4, 1}},
    {"silu", {4, 1}}, {"gelu", {5, 1}}, {"mish", {4, 3}}, {"elu", {3, 1}}, {"celu", {3, 1}}, {"selu", {3, 1}}, {"softplus", {4, 2}},
    {"log_sigmoid", {4, 2}}, {"log_sigmoid_forward", {4, 2}}, {"glu", {5, 1}}, {"hardsigmoid", {4, 0}}, {"hardswish", {5, 0}},
    {"rsqrt", {2, 0}}, {"leaky_relu", {2, 0}}, {"prelu", {2, 0}}, {"_prelu_kernel", {2, 0}}, {"hardtanh", {2, 0}}, {"lerp", {3, 0}},
    {"addcmul", {3, 0}}, {"addcdiv", {3, 0}}, {"gelu_backward", {12, 2}}, {"silu_backward", {8, 1}}, {"tanh_backward", {3, 0}},
    {"sigmoid_backward", {3, 0}}, {"native_batch_norm", {4, 0}}, {"_native_batch_norm_legit", {8, 0}},
    {"_native_batch_norm_legit_no_training", {4, 0}}, {"upsample_bilinear2d", {8, 0}}, {"upsample_bicubic2d", {46, 0}}, {"grid_sampler_2d", {30, 0}}, {"linalg_cross", {3, 0}}, {"smooth_l1_loss", {5, 0}}, {"huber_loss", {5, 0}},
    {"mse_loss", {3, 0}}, {"binary_cross_entropy", {7, 2}}, {"pow", {1, 0}},
};

const std::unordered_map<std::string_view, per_element> reducing{
    {"sum", {1, 0}}, {"nansum", {1, 0}}, {"mean", {1, 0}}, {"prod", {1, 0}}, {"max", {1, 0}}, {"amax", {1, 0}}, {"min", {1, 0}},
    {"amin", {1, 0}}, {"aminmax", {2, 0}}, {"argmax", {1, 0}}, {"argmin", {1, 0}}, {"any", {1, 0}}, {"all", {1, 0}}, {"var", {4, 0}},
    {"std", {4, 0}}, {"var_mean", {4, 0}}, {"std_mean", {4, 0}}, {"norm", {2, 0}}, {"linalg_vector_norm", {2, 0}},
    {"logsumexp", {4, 1}}, {"count_nonzero", {1, 0}}, {"median", {1, 0}}, {"trace", {1, 0}},
};

/// Operations that move data, or only say how to read it.
const char* const moving[] = {
    "view", "_unsafe_view", "reshape", "_reshape_alias", "transpose", "t", "permute", "expand", "squeeze", "unsqueeze", "select", "slice",
    "narrow", "split", "split_with_sizes", "unsafe_split", "chunk", "unbind", "cat", "stack", "constant_pad_nd", "flip", "roll", "unfold",
    "as_strided", "diagonal", "diag_embed", "repeat", "clone", "detach", "alias", "lift_fresh", "_to_copy", "to", "copy", "empty", "zeros", "ones", "full",
    "zeros_like", "ones_like", "full_like", "empty_like", "arange", "scalar_tensor", "index", "index_select", "gather", "embedding", "tril",
    "triu", "dropout", "native_dropout", "movedim", "contiguous", "flatten", "new_zeros", "new_ones", "new_full", "new_empty",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "slice_scatter", "select_scatter", "scatter", "pixel_shuffle",
    "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d", "replication_pad2d", "replication_pad3d",
};

std::string_view base_name(std::string_view op) {
  if (op.starts_with("aten."))
    op.remove_prefix(5);
  return op.substr(0, op.find('.'));
}

double count_of(const extents& shape) {
  double n = 1;
  for (auto s : shape)
    n *= static_cast<double>(s);
  return n;
}

struct reader {
  const graph_node& node;
  const shapes_of_values& shapes;
  const axis_binding& axes;

  [[nodiscard]] const argument* find(std::string_view name) const {
    for (const auto& [key, a] : node.arguments)
      if (key == name && a.kind != argument_kind::none)
        return &a;
    return nullptr;
  }
  [[nodiscard]] extents shape(std::string_view name) const {
    const auto* a = find(name);
    if (!a || a->kind != argument_kind::value)
      return {};
    auto found = shapes.find(a->text);
    return found == shapes.end() ? extents{} : found->second;
  }
  [[nodiscard]] extents integers(std::string_view name) const {
    extents out;
    const auto* a = find(name);
    if (!a)
      return out;
    auto add = [&](const argument& x) {
      if (x.kind == argument_kind::expression)
        if (auto value = evaluate(x.text, axes))
          out.push_back(*value);
    };
    if (a->kind == argument_kind::list)
      for (const auto& x : a->items)
        add(x);
    else
      add(*a);
    return out;
  }
  [[nodiscard]] extents result() const {
    if (node.outputs.empty())
      return {};
    auto bound = bind_shape(node.outputs[0].shape, axes);
    return bound ? *bound : extents{};
  }
  /// The largest tensor argument: what a reduction reads.
  [[nodiscard]] double largest_input() const {
    double most = 0;
    for (const auto& [key, a] : node.arguments)
      if (a.kind == argument_kind::value)
        if (auto found = shapes.find(a.text); found != shapes.end())
          most = std::max(most, count_of(found->second));
    return most;
  }
};

double at_end(const extents& shape, std::size_t from_end) {
  return from_end <= shape.size() ? static_cast<double>(shape[shape.size() - from_end]) : 1;
}

/// Products: matrices, convolutions, attention. False where `name` is none of these.
bool product_work(std::string_view name, const reader& in, node_work& out) {
  double results = count_of(in.result());
  if (name == "mm" || name == "bmm" || name == "matmul" || name == "mv" || name == "dot" || name == "vdot") {
    out.terms = at_end(in.shape("self"), 1);
  } else if (name == "addmm" || name == "_addmm_activation") {
    out.terms = at_end(in.shape("mat1"), 1);
    out.operations = results;
  } else if (name == "addmv") {
    out.terms = at_end(in.shape("mat"), 1);
    out.operations = results;
  } else if (name == "baddbmm" || name == "addbmm") {
    auto a = in.shape("batch1");
    out.terms = at_end(a, 1) * (name == "addbmm" ? at_end(a, 3) : 1);
    out.operations = results;
  } else if (name == "linear") {
    out.terms = at_end(in.shape("input"), 1);
    out.operations = in.find("bias") ? results : 0;
  } else if (name == "convolution" || name == "conv1d" || name == "conv2d" || name == "conv3d" || name == "_convolution") {
    auto weight = in.shape("weight");
    const auto* transposed = in.find("transposed");
    double per_channel = weight.empty() ? 1 : count_of(weight) / static_cast<double>(std::max<std::int64_t>(1, weight[0]));
    out.operations = in.find("bias") ? results : 0;
    out.multiplies = true;
    out.terms = per_channel;
    out.operations += 2 * per_channel * (transposed && transposed->boolean ? count_of(in.shape("input")) : results);
    return true;
  } else if (name.find("scaled_dot_product") != std::string_view::npos) {
    auto q = in.shape("query"), k = in.shape("key");
    double scores = count_of(q) / at_end(q, 1) * at_end(k, 2);
    out.operations = 2 * scores * (at_end(q, 1) + at_end(in.shape("value"), 1)) + 5 * scores;
    out.transcendentals = scores;
    out.terms = std::max(at_end(q, 1), at_end(k, 2));
    out.multiplies = true;
    return true;
  } else {
    return false;
  }
  out.multiplies = true;
  out.operations += 2 * results * out.terms;
  return true;
}

/// Recurrent layers: every weight is multiplied once for each row and step.
bool recurrent_work(std::string_view name, const reader& in, node_work& out) {
  const bool lstm = name == "lstm", gru = name == "gru", tanh = name == "rnn_tanh";
  if (!lstm && !gru && !tanh && name != "rnn_relu")
    return false;
  const auto input = in.shape("input");
  const double rows = count_of(input) / at_end(input, 1);
  const auto* weights = in.find("params");
  for (const auto& w : weights ? weights->items : std::vector<argument>{}) {
    const auto found = in.shapes.find(w.text);
    if (found == in.shapes.end() || found->second.size() != 2)
      continue;
    const double gates = static_cast<double>(found->second[0]), terms = static_cast<double>(found->second[1]);
    out.operations += rows * gates * (2 * terms + 2);
    out.transcendentals += rows * gates * (lstm ? 5.0 / 8 : gru || tanh ? 0.5 : 0); // each layer has two of these matrices
    out.terms = std::max(out.terms, terms);
  }
  out.multiplies = true;
  return true;
}

/// Normalisations, softmax, pooling, scans. False where `name` is none of these.
bool row_work(std::string_view name, const reader& in, node_work& out) {
  auto shape = in.result();
  double results = count_of(shape);
  auto dimension = [&] {
    auto dim = in.integers("dim");
    auto rank = static_cast<std::int64_t>(shape.size());
    if (dim.empty() || rank == 0)
      return 1.0;
    return static_cast<double>(shape[static_cast<std::size_t>(((dim[0] % rank) + rank) % rank)]);
  };
  auto extent_of = [&](std::string_view list) { return count_of(in.integers(list)); };
  if (name == "_softmax" || name == "softmax" || name == "_safe_softmax" || name == "_log_softmax" || name == "log_softmax") {
    out = {5 * results, results, dimension(), false, false};
  } else if (name == "_softmax_backward_data" || name == "_log_softmax_backward_data") {
    out = {4 * results, 0, dimension(), true, false};
  } else if (name == "cumsum" || name == "cumprod" || name == "logcumsumexp") {
    out = {results, 0, dimension(), false, false};
  } else if (name.find("layer_norm") != std::string_view::npos || name.find("rms_norm") != std::string_view::npos) {
    out = {8 * results, 0, extent_of("normalized_shape"), false, true};
  } else if (name.find("group_norm") != std::string_view::npos) {
    auto groups = in.integers("group");
    auto per = results / std::max(1.0, shape.empty() ? 1.0 : static_cast<double>(shape[0]) * (groups.empty() ? 1.0 : double(groups[0])));
    out = {8 * results, 0, per, false, true};
  } else if (name.find("batch_norm") != std::string_view::npos || name == "instance_norm") {
    out = {(name.find("no_training") != std::string_view::npos ? 4 : 8) * results, 0,
           shape.size() > 1 ? results / static_cast<double>(shape[1]) : 1, false, true};
  } else if (name.find("adaptive") != std::string_view::npos && name.find("pool") != std::string_view::npos) {
    out = {in.largest_input(), 0, std::max(1.0, in.largest_input() / std::max(1.0, results)), false, false};
  } else if (name == "_euclidean_dist" || name == "_cdist_forward") {
    const double width = at_end(in.shape("x1"), 1);
    out = {3 * results * width, results, width, false, false};
  } else if (name == "col2im") {
    out = {results * extent_of("kernel_size"), 0, extent_of("kernel_size"), false, false};
  } else if (name.find("pool") != std::string_view::npos) {
    out = {results * extent_of("kernel_size"), 0, extent_of("kernel_size"), false, false};
  } else if (name == "sort" || name == "topk" || name == "argsort") {
    double width = std::max(2.0, at_end(in.shape("self"), 1));
    out = {in.largest_input() * std::log2(width), 0, 1, false, false};
  } else {
    return false;
  }
  return true;
}

/// Sums whose parts the data say: segments, bags, scattered additions. Shapes tell how long a part is on average; the longest of so many, where they
/// are cut at random, is longer by about the logarithm of their number.
bool grouped_work(std::string_view name, const reader& in, node_work& out) {
  double added = 0;
  if (name == "segment_reduce")
    added = count_of(in.shape("data"));
  else if (name.find("embedding_bag") != std::string_view::npos)
    added = count_of(in.shape("indices")) * at_end(in.shape("weight"), 1);
  else if (name == "scatter_add" || name == "scatter_reduce")
    added = count_of(in.shape("src"));
  else if (name == "index_add" || name == "index_reduce")
    added = count_of(in.shape("source"));
  else
    return false;
  const auto shape = in.result();
  const double parts = shape.empty() ? 1 : std::max<double>(1, static_cast<double>(shape[0])), results = std::max(1.0, count_of(shape));
  out = {added, 0, std::min(std::max(1.0, added / results * parts), std::max(1.0, added / results) * (1 + std::log(parts))), false, false};
  return true;
}

} // namespace

shapes_of_values shapes_of(const graph& g, const axis_binding& axes) {
  shapes_of_values out;
  auto add = [&](const graph_value& v) {
    auto shape = bind_shape(v.shape, axes);
    if (!shape)
      refuse("value " + v.name + ": " + shape.error().message);
    if (!v.name.empty())
      out.insert_or_assign(v.name, *std::move(shape));
  };
  for (const auto& in : g.inputs)
    add(in);
  for (const auto& node : g.nodes)
    for (const auto& result : node.outputs)
      add(result);
  return out;
}

node_work work_of(const graph_node& node, const shapes_of_values& shapes, const axis_binding& axes) {
  node_work out;
  auto name = base_name(node.op);
  reader in{node, shapes, axes};
  if (std::find(std::begin(moving), std::end(moving), name) != std::end(moving))
    return out;
  if (product_work(name, in, out) || recurrent_work(name, in, out) || row_work(name, in, out) || grouped_work(name, in, out))
    return out;
  double results = count_of(in.result());
  bool pairwise = (name == "max" || name == "min") && in.find("other"); // max.other is element-wise
  if (auto found = reducing.find(name); found != reducing.end() && !pairwise) {
    double read = in.largest_input();
    out.operations = found->second.operations * read + (name == "mean" ? results : 0);
    out.transcendentals = found->second.transcendentals * read;
    out.terms = std::max(1.0, read / std::max(1.0, results));
    out.squares = name.find("var") != std::string_view::npos || name.find("std") != std::string_view::npos ||
                  name.find("norm") != std::string_view::npos;
    return out;
  }
  auto found = elementwise.find(name);
  auto each = found == elementwise.end() ? per_element{1, 0} : found->second;
  out.operations = each.operations * results;
  out.transcendentals = each.transcendentals * results;
  out.squares = name == "mse_loss";
  if (name.find("loss") != std::string_view::npos || name == "binary_cross_entropy")
    out = {each.operations * in.largest_input(), each.transcendentals * in.largest_input(),
           std::max(1.0, in.largest_input() / std::max(1.0, results)), false, out.squares};
  return out;
}

} // namespace kevolve::agent::oracle
