#include "node-agent/expectation.hpp"

#include "node-agent/oracle/run.hpp"
#include "node-agent/oracle/work.hpp"
#include "node-agent/storage.hpp"
#include "protocol/rng.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace kevolve::agent {
namespace {

/// Operations whose results are some of their inputs' numbers, or comparisons of them.
constexpr std::array<std::string_view, 62> exact_operations{
    "view", "_unsafe_view", "reshape", "_reshape_alias", "transpose", "t", "permute", "expand", "squeeze", "unsqueeze", "select",
    "slice", "narrow", "split", "split_with_sizes", "unsafe_split", "chunk", "unbind", "cat", "stack", "constant_pad_nd", "flip",
    "roll", "unfold", "as_strided", "diagonal", "repeat", "clone", "detach", "alias", "lift_fresh", "copy", "index", "index_select",
    "gather", "embedding", "tril", "triu", "where", "masked_fill", "maximum", "minimum", "max", "min", "amax", "amin", "argmax",
    "argmin", "relu", "abs", "neg", "eq", "ne", "lt", "le", "gt", "ge", "sort", "topk", "clamp", "max_pool2d_with_indices", "sign"};

constexpr double shadow_margin = 6; // a kernel's error over the root mean square of the shadows'

/// How many shadows a case has. Where inputs are large or cancel, single rows can be ill-conditioned (the two greatest of a softmax all but equal):
/// there one shadow may happen to lie close to the exact result, and honest kernels would be turned away.
std::size_t shadows_for(case_kind kind) { return kind == case_kind::large || kind == case_kind::cancelling ? 4 : 1; }

/// The precision that sums are made in: float32 for it and everything narrower.
double accumulation_epsilon(dtype type) { return type == dtype::float64 ? 0x1p-52 : 0x1p-23; }

bool all_exact_values(case_kind kind) {
  return kind == case_kind::zeros || kind == case_kind::constant_rows || kind == case_kind::ties || kind == case_kind::indexed;
}

std::vector<oracle_tensor> decode_all(const std::vector<tensor_layout>& layout, const std::vector<std::vector<std::byte>>& bytes) {
  std::vector<oracle_tensor> out;
  for (std::size_t i = 0; i < layout.size(); ++i)
    out.push_back(to_oracle(layout[i].type, layout[i].shape, bytes[i]));
  return out;
}

/// Every element of the floating inputs moved by a relative error of either sign.
void perturb(std::vector<oracle_tensor>& inputs, double terms, std::uint64_t seed) {
  rng draw(seed, 0, "perturbation");
  for (auto& t : inputs) {
    if (!is_floating(t.type))
      continue;
    double size = 2 * accumulation_epsilon(t.type) * std::sqrt(terms);
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < t.reals.size(); ++i, bits >>= 1) {
      if (i % 64 == 0)
        bits = draw();
      t.reals[i] *= bits & 1 ? 1 + size : 1 - size;
    }
  }
}

/// Root mean square of the finite values f(i), without overflow.
template <class F>
double root_mean_square(std::int64_t from, std::int64_t to, F f) {
  double most = 0;
  for (auto i = from; i < to; ++i)
    if (double v = std::abs(f(i)); std::isfinite(v) && v > most)
      most = v;
  if (most == 0)
    return 0;
  double sum = 0, count = 0;
  for (auto i = from; i < to; ++i)
    if (double v = f(i) / most; std::isfinite(v)) {
      sum += v * v;
      ++count;
    }
  return most * std::sqrt(sum / count);
}

/// Rows share their slack; short rows are taken together.
std::int64_t slack_width_of(const oracle_tensor& t) {
  auto width = t.shape.empty() ? 1 : t.shape.back();
  return width >= 16 ? width : std::max<std::int64_t>(1, static_cast<std::int64_t>(t.reals.size()));
}

void set_slack(expected_output& out, double terms, const std::vector<const oracle_tensor*>& shadows) {
  if (!is_floating(out.exact.type) || (terms <= 1 && shadows.empty()))
    return;
  const auto& exact = out.exact.reals;
  auto count = static_cast<std::int64_t>(exact.size());
  out.slack_width = slack_width_of(out.exact);
  double share = terms > 1 ? 8 * accumulation_epsilon(out.exact.type) * std::sqrt(terms) : 0;
  for (std::int64_t at = 0; at < count; at += out.slack_width) {
    auto end = std::min(count, at + out.slack_width);
    auto value = [&](std::int64_t i) { return exact[static_cast<std::size_t>(i)]; };
    double slack = share > 0 ? share * root_mean_square(at, end, value) : 0;
    double squares = 0;
    for (const auto* shadow : shadows) {
      const double distance = root_mean_square(at, end, [&](std::int64_t i) { return shadow->reals[static_cast<std::size_t>(i)] - value(i); });
      squares += distance * distance;
    }
    if (!shadows.empty())
      slack += shadow_margin * std::sqrt(squares / static_cast<double>(shadows.size()));
    out.slack.push_back(slack);
  }
}

void set_undetermined(expected_output& out, const oracle_tensor& shadow) {
  std::size_t open = 0;
  auto mark = [&](std::size_t count, auto differs) {
    std::vector<std::uint8_t> marks = out.undetermined.empty() ? std::vector<std::uint8_t>(count) : out.undetermined;
    for (std::size_t i = 0; i < count; ++i)
      open += marks[i] = marks[i] || differs(i);
    if (open) {
      out.undetermined = std::move(marks);
      out.undetermined_ratio = static_cast<double>(open) / static_cast<double>(count);
    }
  };
  if (is_floating(out.exact.type))
    mark(out.exact.reals.size(), [&](std::size_t i) {
      double a = round_to(out.exact.type, out.exact.reals[i]), b = round_to(out.exact.type, shadow.reals[i]);
      return std::isfinite(a) ? !std::isfinite(b) : !(a == b || (a != a && b != b));
    });
  else
    mark(out.exact.integers.size(), [&](std::size_t i) { return out.exact.integers[i] != shadow.integers[i]; });
}

/// The largest magnitude on the ladder that leaves a factor of 16 to overflow; 1 where none does.
result<double> bearable_magnitude(const operator_definition& op, const axis_binding& axes, const std::vector<tensor_layout>& layout,
                                  check_case what, const std::vector<workload_input>& given) {
  constexpr std::array<double, 6> ladder{1e15, 1e9, 1e5, 1e3, 100, 10};
  for (double magnitude : ladder) {
    what.magnitude = what.kind == case_kind::cancelling ? std::min(magnitude, 1e4) : magnitude;
    KEVOLVE_TRY(bytes, make_inputs(op, layout, what, given));
    double headroom = 0;
    KEVOLVE_TRY(outputs, oracle::run(*op.traced, axes, decode_all(layout, bytes), {.round_to_declared = false, .headroom = &headroom}));
    double input_room = HUGE_VAL;
    for (const auto& t : layout)
      if (is_floating(t.type))
        input_room = std::min(input_room, format_of(t.type).largest / (8 * what.magnitude));
    if (headroom >= 16 && input_room >= 1)
      return what.magnitude;
  }
  return 1.0;
}

} // namespace

bool moves_data_only(const graph& g) {
  return std::all_of(g.nodes.begin(), g.nodes.end(), [](const graph_node& node) {
    std::string_view op = node.op;
    if (op.starts_with("aten."))
      op.remove_prefix(5);
    return std::find(exact_operations.begin(), exact_operations.end(), op.substr(0, op.find('.'))) != exact_operations.end();
  });
}

double longest_reduction_of(const graph& g, const axis_binding& axes) {
  double longest = 1;
  try {
    auto shapes = oracle::shapes_of(g, axes);
    for (const auto& node : g.nodes)
      longest = std::max(longest, oracle::work_of(node, shapes, axes).terms);
  } catch (const oracle::refusal&) { // the interpreter will say what does not bind
  }
  return longest;
}

result<expectation> expect(const operator_definition& op, const check_case& what, const std::vector<workload_input>& given) {
  if (!op.traced)
    return error{errc::specification, "operator " + op.name + " has no traced graph (x_kevolve.graph)"};
  const graph& g = *op.traced;
  KEVOLVE_TRY(axes, bind_axes(op, what.variable_axes));
  KEVOLVE_TRY(layout, layouts(op.inputs, axes));
  expectation out;
  out.what = what;
  if (what.kind == case_kind::large || what.kind == case_kind::cancelling) {
    KEVOLVE_TRY(magnitude, bearable_magnitude(op, axes, layout, what, given));
    out.what.magnitude = magnitude;
  }
  KEVOLVE_TRY(bytes, make_inputs(op, layout, out.what, given));
  out.inputs = std::move(bytes);
  auto inputs = decode_all(layout, out.inputs);
  KEVOLVE_TRY(exact, interpret(g, axes, inputs));
  for (auto& t : exact)
    out.outputs.push_back({std::move(t), {}, 1, {}, 0});
  bool integer_outputs = std::any_of(op.outputs.begin(), op.outputs.end(), [](const tensor_spec& t) { return !is_floating(t.type); });
  bool exact_graph = moves_data_only(g);
  double terms = exact_graph ? 1 : longest_reduction_of(g, axes);
  std::vector<std::vector<oracle_tensor>> shadows;
  if (!exact_graph && (what.kind != case_kind::random || integer_outputs))
    for (std::size_t s = 0; s < shadows_for(what.kind); ++s) {
      auto moved = inputs;
      if (!(integer_outputs && all_exact_values(what.kind)))
        perturb(moved, terms, what.seed + s);
      KEVOLVE_TRY(made, oracle::run(g, axes, moved, {.round_to_declared = true, .headroom = nullptr}));
      shadows.push_back(std::move(made));
    }
  for (std::size_t i = 0; i < out.outputs.size(); ++i) {
    std::vector<const oracle_tensor*> floating;
    for (const auto& shadow : shadows) {
      set_undetermined(out.outputs[i], shadow[i]);
      if (is_floating(shadow[i].type))
        floating.push_back(&shadow[i]);
    }
    set_slack(out.outputs[i], terms, floating);
  }
  return out;
}

} // namespace kevolve::agent
