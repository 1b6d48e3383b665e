// Reductions, scans and the normalisations made of them.
#include "actors/synthesis/algebra.hpp"
#include "actors/synthesis/lower.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kevolve::synthesis {
namespace {

index extent_of(const std::vector<index>& shape, const std::vector<std::size_t>& over) {
  index n(1);
  for (const auto d : over)
    n = n * shape[d];
  return n;
}

/// The same tensor with `over` collapsed: positions for reading a keepdim result from the full space.
std::vector<index> kept(std::vector<index> at, const std::vector<std::size_t>& over) {
  for (const auto d : over)
    at[d] = index(0);
  return at;
}

const char* dim_argument(lowering& l) { return l.find("dim") != nullptr ? "dim" : "dims"; }

template <combiner C>
void reduction(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto over = l.dims(dim_argument(l), x.shape.size());
  const auto type = l.node().outputs.at(0).type;
  const bool counts = C == combiner::sum && !is_floating(x.type);
  const bool truth = C == combiner::any || C == combiner::all;
  l.bind(0, l.reduce(l.name(), type, x.shape, over, l.flag("keepdim", false), C, [&](const std::vector<index>& at) {
    auto e = l.read(x, at);
    if (truth)
      return call(op::to_boolean, e);
    return counts ? call(is_floating(type) ? op::to_real : op::to_integer, e) : e;
  }));
}

/// A sum that leaves NaN out.
void sum_of_numbers(lowering& l) {
  const tensor_ref x = l.tensor("self");
  l.bind(0, l.reduce(l.name(), l.node().outputs.at(0).type, x.shape, l.dims("dim", x.shape.size()), l.flag("keepdim", false), combiner::sum, [&](const std::vector<index>& at) {
    const auto e = l.read(x, at);
    return choose(call(op::is_nan, e), number(0), e);
  }));
}

/// Sum of a matrix' diagonal.
void trace(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto rows = x.shape.at(0).constant(), columns = x.shape.at(1).constant();
  if (!(x.shape[0] == x.shape[1]) && (!rows || !columns))
    return l.fail("a matrix that is not square needs constant sizes");
  const index n = x.shape[0] == x.shape[1] ? x.shape[0] : index(std::min(*rows, *columns));
  l.bind(0, l.reduce(l.name(), l.node().outputs.at(0).type, {n}, {0}, false, combiner::sum, [&](const std::vector<index>& at) { return l.read(x, {at[0], at[0]}); }));
}

void mean(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto over = l.dims("dim", x.shape.size());
  const bool keepdim = l.flag("keepdim", false);
  const auto type = l.node().outputs.at(0).type;
  const auto sum = l.reduce(l.name("sum"), type, x.shape, over, keepdim, combiner::sum, [&](const std::vector<index>& at) { return l.read(x, at); });
  const auto n = extent_of(x.shape, over);
  l.bind(0, l.map(l.name(), type, sum.shape, [&](const std::vector<index>& at) { return l.read(sum, at) / as_number(n); }));
}

/// Mean with kept dimensions, and the sum of squared distances from it: two passes, as PyTorch's accuracy asks for.
struct moments {
  tensor_ref mean, squares;
  index count;
};
moments moments_of(lowering& l, const tensor_ref& x, const std::vector<std::size_t>& over) {
  moments m;
  m.count = extent_of(x.shape, over);
  const auto sum = l.reduce(l.name("sum"), x.type, x.shape, over, true, combiner::sum, [&](const std::vector<index>& at) { return l.read(x, at); });
  m.mean = l.map(l.name("mean"), x.type, sum.shape, [&](const std::vector<index>& at) { return l.read(sum, at) / as_number(m.count); });
  m.squares = l.reduce(l.name("squares"), x.type, x.shape, over, true, combiner::sum, [&](const std::vector<index>& at) {
    const auto d = l.read(x, at) - l.read(m.mean, kept(at, over));
    return d * d;
  });
  return m;
}

void variance(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto over = l.dims("dim", x.shape.size());
  const auto op_name = base_name(l.node().op);
  const double correction = l.has("correction") ? l.real("correction").value_or(1) : l.find("unbiased") != nullptr ? (l.flag("unbiased", true) ? 1 : 0) : 1;
  const auto m = moments_of(l, x, over);
  const auto shape = l.output_shape();
  const auto divisor = make(op::maximum, {as_number(m.count) - number(correction), number(0)});
  const bool root = op_name.rfind("std", 0) == 0;
  const auto out = l.map(l.name(), x.type, m.squares.shape, [&](const std::vector<index>& at) {
    const auto v = l.read(m.squares, at) / divisor;
    return root ? call(op::sqrt, v) : v;
  });
  l.bind(0, l.reshaped(out, shape));
  if (op_name == "var_mean" || op_name == "std_mean")
    l.bind(1, l.reshaped(m.mean, shape));
}

void norm(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto over = l.dims("dim", x.shape.size());
  const double p = (l.has("p") ? l.real("p") : l.real("ord")).value_or(2);
  const bool keepdim = l.flag("keepdim", false);
  const auto each = [&](const std::vector<index>& at) {
    const auto a = call(op::abs, l.read(x, at));
    if (std::isinf(p) || p == 1)
      return a;
    if (p == 2)
      return l.read(x, at) * l.read(x, at);
    return p == 0 ? call(op::to_real, make(op::not_equal, {a, number(0)})) : make(op::power, {a, number(p)});
  };
  const auto c = std::isinf(p) ? (p > 0 ? combiner::maximum : combiner::minimum) : combiner::sum;
  const bool plain = std::isinf(p) || p == 1 || p == 0;
  auto out = l.reduce(l.name(plain ? "" : "sum"), x.type, x.shape, over, keepdim, c, each);
  if (!plain)
    out = l.map(l.name(), x.type, out.shape, [&, sum = out](const std::vector<index>& at) {
      return p == 2 ? call(op::sqrt, l.read(sum, at)) : make(op::power, {l.read(sum, at), number(1 / p)});
    });
  l.bind(0, out);
}

/// The greatest element; an infinite one is replaced by 0 so that exp(x - max) has PyTorch's meaning in logsumexp.
void logsumexp(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto over = l.dims("dim", x.shape.size());
  const auto greatest = l.reduce(l.name("max"), x.type, x.shape, over, true, combiner::maximum, [&](const std::vector<index>& at) { return l.read(x, at); });
  const auto finite = l.map(l.name("shift"), x.type, greatest.shape, [&](const std::vector<index>& at) {
    const auto m = l.read(greatest, at);
    return make(op::select, {make(op::equal, {call(op::abs, m), number(std::numeric_limits<double>::infinity())}), number(0), m});
  });
  const auto sum = l.reduce(l.name("sum"), x.type, x.shape, over, true, combiner::sum, [&](const std::vector<index>& at) {
    return call(op::exp, l.read(x, at) - l.read(finite, kept(at, over)));
  });
  const auto out = l.map(l.name(), x.type, sum.shape, [&](const std::vector<index>& at) { return l.read(finite, at) + call(op::log, l.read(sum, at)); });
  l.bind(0, l.reshaped(out, l.output_shape()));
}

void softmax(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const std::vector<std::size_t> over{l.wrap(l.integer("dim", -1), x.shape.size())};
  const bool logarithm = base_name(l.node().op).find("log_softmax") != std::string::npos;
  if (x.shape.empty()) {
    l.bind(0, l.map(l.name(), x.type, x.shape, [&](const std::vector<index>&) { return (l.read(x, {}) - l.read(x, {})) + number(logarithm ? 0 : 1); }));
    return;
  }
  const auto greatest = l.reduce(l.name("max"), x.type, x.shape, over, true, combiner::maximum, [&](const std::vector<index>& at) { return l.read(x, at); });
  const auto exponential = l.map(l.name("exp"), x.type, x.shape, [&](const std::vector<index>& at) {
    return call(op::exp, l.read(x, at) - l.read(greatest, kept(at, over)));
  });
  const auto sum = l.reduce(l.name("sum"), x.type, x.shape, over, true, combiner::sum, [&](const std::vector<index>& at) { return l.read(exponential, at); });
  if (logarithm) {
    const auto log_sum = l.map(l.name("log_sum"), x.type, sum.shape, [&](const std::vector<index>& at) { return call(op::log, l.read(sum, at)); });
    l.bind(0, l.map(l.name(), x.type, x.shape, [&](const std::vector<index>& at) {
      return (l.read(x, at) - l.read(greatest, kept(at, over))) - l.read(log_sum, kept(at, over));
    }));
    return;
  }
  const auto inverse = l.map(l.name("scale"), x.type, sum.shape, [&](const std::vector<index>& at) { return number(1) / l.read(sum, at); });
  l.bind(0, l.map(l.name(), x.type, x.shape, [&](const std::vector<index>& at) { return l.read(exponential, at) * l.read(inverse, kept(at, over)); }));
}

/// Gradient of softmax and log_softmax from their outputs.
void softmax_backward(lowering& l) {
  const tensor_ref g = l.tensor("grad_output");
  const tensor_ref y = l.tensor("output");
  const std::vector<std::size_t> over{l.wrap(l.integer("dim", -1), y.shape.size())};
  const bool logarithm = base_name(l.node().op).find("log_softmax") != std::string::npos;
  const auto sum = l.reduce(l.name("sum"), y.type, y.shape, over, true, combiner::sum,
                            [&](const std::vector<index>& at) { return logarithm ? l.read(g, at) : l.read(g, at) * l.read(y, at); });
  l.bind(0, l.map(l.name(), y.type, y.shape, [&](const std::vector<index>& at) {
    const auto s = l.read(sum, kept(at, over));
    return logarithm ? l.read(g, at) - call(op::exp, l.read(y, at)) * s : l.read(y, at) * (l.read(g, at) - s);
  }));
}

tensor_ref reciprocal_deviation(lowering& l, const moments& m, double epsilon, const std::string& name) {
  return l.map(name, m.squares.type, m.squares.shape,
               [&](const std::vector<index>& at) { return call(op::rsqrt, l.read(m.squares, at) / as_number(m.count) + number(epsilon)); });
}

void layer_norm(lowering& l) {
  const tensor_ref x = l.tensor("input");
  const auto inner = l.find("normalized_shape")->items.size();
  std::vector<std::size_t> over;
  for (std::size_t d = x.shape.size() - std::min(inner, x.shape.size()); d < x.shape.size(); ++d)
    over.push_back(d);
  const auto m = moments_of(l, x, over);
  const auto scale = reciprocal_deviation(l, m, l.real("eps").value_or(1e-5), l.name("rstd"));
  const bool weighted = l.has("weight");
  const bool biased = l.has("bias");
  const auto w = weighted ? l.operand("weight") : lowering::element{};
  const auto b = biased ? l.operand("bias") : lowering::element{};
  l.bind(0, l.map(l.name(), x.type, x.shape, [&](const std::vector<index>& at) {
    auto y = (l.read(x, at) - l.read(m.mean, kept(at, over))) * l.read(scale, kept(at, over));
    if (weighted)
      y = y * w(at);
    return biased ? y + b(at) : y;
  }));
  l.bind(1, m.mean);
  l.bind(2, scale);
}

/// Gradients of layer_norm: of its input, its weight and its bias. With h = (x - mean) * rstd and v = gradient * weight:
/// rstd * (v - mean(v) - h * mean(v * h)), and over all rows the sums of gradient * h and of the gradient.
void layer_norm_backward(lowering& l) {
  const tensor_ref g = l.tensor("grad_out"), x = l.tensor("input"), mean = l.tensor("mean"), scale = l.tensor("rstd");
  const auto inner = l.find("normalized_shape")->items.size(), rank = x.shape.size(), outer = rank - std::min(inner, rank);
  std::vector<std::size_t> over, rows;
  for (std::size_t d = 0; d < rank; ++d)
    (d < outer ? rows : over).push_back(d);
  const bool weighted = l.has("weight");
  const auto w = weighted ? l.operand("weight") : lowering::element{};
  const auto normal = [&](const std::vector<index>& at) { return (l.read(x, at) - l.read_broadcast(mean, at)) * l.read_broadcast(scale, at); };
  const auto scaled = [&](const std::vector<index>& at) { return weighted ? l.read(g, at) * w(at) : l.read(g, at); };
  const auto count = as_number(extent_of(x.shape, over));
  const auto sum = l.reduce(l.name("sum"), x.type, x.shape, over, true, combiner::sum, [&](const std::vector<index>& at) { return scaled(at); });
  const auto projection = l.reduce(l.name("projection"), x.type, x.shape, over, true, combiner::sum, [&](const std::vector<index>& at) { return scaled(at) * normal(at); });
  l.bind(0, l.map(l.name(), x.type, x.shape, [&](const std::vector<index>& at) {
    const auto middle = kept(at, over);
    return l.read_broadcast(scale, at) * (scaled(at) - l.read(sum, middle) / count - normal(at) * (l.read(projection, middle) / count));
  }));
  if (l.node().outputs.size() > 1)
    l.bind(1, l.reduce(l.name("", 1), x.type, x.shape, rows, false, combiner::sum, [&](const std::vector<index>& at) { return l.read(g, at) * normal(at); }));
  if (l.node().outputs.size() > 2)
    l.bind(2, l.reduce(l.name("", 2), x.type, x.shape, rows, false, combiner::sum, [&](const std::vector<index>& at) { return l.read(g, at); }));
}

void group_norm(lowering& l) {
  const bool native = base_name(l.node().op) == "native_group_norm";
  const tensor_ref x = l.tensor("input");
  const index groups(l.integer(native ? "group" : "num_groups", 1));
  const index channels = floor_div(x.shape[1], groups);
  index rest(1);
  for (std::size_t d = 2; d < x.shape.size(); ++d)
    rest = rest * x.shape[d];
  const auto grouped = l.reshaped(x, {x.shape[0], groups, channels, rest});
  const std::vector<std::size_t> over{2, 3};
  const auto m = moments_of(l, grouped, over);
  const auto scale = reciprocal_deviation(l, m, l.real("eps").value_or(1e-5), l.name("rstd"));
  const auto channel_value = [&](const char* argument_name, const std::vector<index>& at) {
    return l.read(l.tensor(argument_name), {at[1] * channels + at[2]});
  };
  const auto y = l.map(l.name(), x.type, grouped.shape, [&](const std::vector<index>& at) {
    auto e = (l.read(grouped, at) - l.read(m.mean, kept(at, over))) * l.read(scale, kept(at, over));
    if (l.has("weight"))
      e = e * channel_value("weight", at);
    return l.has("bias") ? e + channel_value("bias", at) : e;
  });
  l.bind(0, l.reshaped(y, x.shape));
  if (native) {
    l.bind(1, l.reshaped(m.mean, l.output_shape(1)));
    l.bind(2, l.reshaped(scale, l.output_shape(2)));
  }
}

void batch_norm(lowering& l) {
  const tensor_ref x = l.tensor("input");
  const auto op_name = base_name(l.node().op);
  const bool training = op_name == "_native_batch_norm_legit_no_training" ? false : l.flag("training", false);
  const double epsilon = l.real("eps").value_or(1e-5);
  std::vector<std::size_t> over;
  for (std::size_t d = 0; d < x.shape.size(); ++d)
    if (d != 1)
      over.push_back(d);
  const std::vector<index> channels{x.shape[1]};
  tensor_ref mean;
  tensor_ref scale;
  const bool batch_statistics = training || !l.has("running_mean");
  if (batch_statistics) {
    const auto m = moments_of(l, x, over);
    mean = l.reshaped(m.mean, channels);
    scale = l.reshaped(reciprocal_deviation(l, m, epsilon, l.name("rstd")), channels);
  } else {
    mean = l.tensor("running_mean");
    const tensor_ref v = l.tensor("running_var");
    scale = l.map(l.name("rstd"), x.type, channels, [&](const std::vector<index>& at) { return call(op::rsqrt, l.read(v, at) + number(epsilon)); });
  }
  l.bind(0, l.map(l.name(), x.type, x.shape, [&](const std::vector<index>& at) {
    auto y = (l.read(x, at) - l.read(mean, {at[1]})) * l.read(scale, {at[1]});
    if (l.has("weight"))
      y = y * l.read(l.tensor("weight"), {at[1]});
    return l.has("bias") ? y + l.read(l.tensor("bias"), {at[1]}) : y;
  }));
  if (batch_statistics) {
    l.bind(1, mean);
    l.bind(2, scale);
  }
}

template <bool Greatest>
void extremum(lowering& l) {
  const tensor_ref x = l.tensor("self");
  if (l.has("other")) {
    const auto a = l.operand("self");
    const auto b = l.operand("other");
    l.bind(0, l.map(l.name(), x.type, l.output_shape(), [&](const std::vector<index>& at) {
      return make(Greatest ? op::maximum : op::minimum, {a(at), b(at)});
    }));
    return;
  }
  const auto over = l.has("dim") ? l.dims("dim", x.shape.size()) : l.dims("", x.shape.size());
  const bool keepdim = l.flag("keepdim", false);
  const auto read = [&](const std::vector<index>& at) { return l.read(x, at); };
  l.bind(0, l.reduce(l.name(), x.type, x.shape, over, keepdim, Greatest ? combiner::maximum : combiner::minimum, read));
  if (l.node().outputs.size() > 1)
    l.bind(1, l.reduce(l.name("", 1), dtype::int64, x.shape, over, keepdim, Greatest ? combiner::argmax : combiner::argmin, read,
                       [&](const std::vector<index>& at) { return position(at.empty() ? index(0) : at[over[0]]); }));
}

template <bool Greatest>
void arg_extremum(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const bool flat = !l.has("dim");
  const auto over = l.dims("dim", x.shape.size());
  l.bind(0, l.reduce(l.name(), dtype::int64, x.shape, over, l.flag("keepdim", false), Greatest ? combiner::argmax : combiner::argmin,
                     [&](const std::vector<index>& at) { return l.read(x, at); },
                     [&](const std::vector<index>& at) {
                       if (at.empty())
                         return position(index(0));
                       if (!flat)
                         return position(at[over[0]]);
                       index linear;
                       for (std::size_t d = 0; d < at.size(); ++d)
                         linear = linear * x.shape[d] + at[d];
                       return position(linear);
                     }));
}

void count_nonzero(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto over = l.dims("dim", x.shape.size());
  l.bind(0, l.reduce(l.name(), dtype::int64, x.shape, over, false, combiner::sum, [&](const std::vector<index>& at) {
    return call(op::to_integer, call(op::to_boolean, l.read(x, at)));
  }));
}

void aminmax(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto over = l.dims("dim", x.shape.size());
  const auto read = [&](const std::vector<index>& at) { return l.read(x, at); };
  l.bind(0, l.reduce(l.name("", 0), x.type, x.shape, over, l.flag("keepdim", false), combiner::minimum, read));
  l.bind(1, l.reduce(l.name("", 1), x.type, x.shape, over, l.flag("keepdim", false), combiner::maximum, read));
}

template <combiner C>
void cumulative(lowering& l) {
  const tensor_ref x = l.tensor("self");
  const auto type = l.node().outputs.at(0).type;
  const auto cast = is_floating(type) ? op::to_real : op::to_integer;
  l.bind(0, l.scan(l.name(), type, x.shape, l.wrap(l.integer("dim", 0), x.shape.size()), C,
                   [&](const std::vector<index>& at) { return call(cast, l.read(x, at)); }));
}

} // namespace

namespace {

/// Parts of the first dimension that offsets divide: a sum over all of it of what is zero outside of the part (the plan bounds the loop).
void segment_reduce(lowering& l) {
  const tensor_ref x = l.tensor("data");
  const auto kind = l.text("reduce", "");
  if (!l.has("offsets"))
    return l.fail("parts by lengths are not supported, by offsets they are");
  if (l.integer("axis", 0) != 0 || x.shape.empty())
    return l.fail("only parts of dimension 0 are supported");
  if (kind != "sum" && kind != "mean" && kind != "max" && kind != "min")
    return l.fail("\"" + kind + "\" of parts is not supported");
  const tensor_ref offsets = l.tensor("offsets");
  const bool sums = kind == "sum" || kind == "mean";
  const double infinity = std::numeric_limits<double>::infinity();
  const double none = sums ? 0 : kind == "max" ? -infinity : infinity;
  auto space = x.shape;
  space[0] = offsets.shape.at(0) - 1;
  const auto shape = space;
  space.push_back(x.shape[0]);
  const auto combined = l.reduce(l.name("parts"), x.type, space, {shape.size()}, false, sums ? combiner::sum : kind == "max" ? combiner::maximum : combiner::minimum,
                                 [&](const std::vector<index>& at) {
    const auto i = position(at.back());
    auto from = std::vector<index>(at.begin(), at.end() - 1);
    from[0] = at.back();
    const auto inside = call(op::logical_and, call(op::less_equal, l.read(offsets, {at[0]}), i), less(i, l.read(offsets, {at[0] + 1})));
    return choose(inside, l.read(x, from), number(none));
  });
  const auto initial = l.real("initial");
  l.bind(0, l.map(l.name(), x.type, shape, [&](const std::vector<index>& at) {
    auto value = l.read(combined, at);
    if (initial)
      value = sums ? value + number(*initial) : call(kind == "max" ? op::maximum : op::minimum, value, number(*initial));
    if (kind != "mean")
      return value;
    const auto n = call(op::to_real, l.read(offsets, {at[0] + 1}) - l.read(offsets, {at[0]}));
    return initial ? choose(less(number(0), n), value / n, number(*initial)) : value / n;
  }));
}

} // namespace

const lower_table& reduction_rules() {
  static const lower_table rules{
    {"sum", reduction<combiner::sum>}, {"prod", reduction<combiner::product>}, {"amax", reduction<combiner::maximum>},
    {"amin", reduction<combiner::minimum>}, {"any", reduction<combiner::any>}, {"all", reduction<combiner::all>}, {"mean", mean}, {"var", variance},
    {"std", variance}, {"var_mean", variance}, {"std_mean", variance}, {"norm", norm}, {"linalg_vector_norm", norm}, {"logsumexp", logsumexp},
    {"_softmax", softmax}, {"_log_softmax", softmax}, {"softmax", softmax}, {"log_softmax", softmax}, {"_safe_softmax", softmax},
    {"_softmax_backward_data", softmax_backward}, {"_log_softmax_backward_data", softmax_backward}, {"native_layer_norm", layer_norm},
    {"layer_norm", layer_norm}, {"native_group_norm", group_norm}, {"group_norm", group_norm}, {"native_batch_norm", batch_norm},
    {"_native_batch_norm_legit", batch_norm}, {"_native_batch_norm_legit_no_training", batch_norm}, {"_native_batch_norm_legit_functional", batch_norm},
    {"cudnn_batch_norm", batch_norm}, {"batch_norm", batch_norm}, {"max", extremum<true>}, {"min", extremum<false>}, {"argmax", arg_extremum<true>},
    {"argmin", arg_extremum<false>}, {"count_nonzero", count_nonzero}, {"nansum", sum_of_numbers}, {"native_layer_norm_backward", layer_norm_backward}, {"trace", trace}, {"aminmax", aminmax}, {"segment_reduce", segment_reduce}, {"cumsum", cumulative<combiner::sum>}, {"cumprod", cumulative<combiner::product>},
  };
  return rules;
}

} // namespace kevolve::synthesis
