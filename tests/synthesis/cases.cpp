#include "tests/synthesis/cases.hpp"

#include <algorithm>
#include <limits>

namespace kevolve::cases {

argument tensor(const std::string& name) {
  argument a;
  a.kind = argument_kind::value;
  a.text = name;
  return a;
}
argument real(double x) {
  argument a;
  a.kind = argument_kind::real;
  a.real = x;
  return a;
}
argument integer(std::int64_t x) {
  argument a;
  a.kind = argument_kind::expression;
  a.text = std::to_string(x);
  return a;
}
argument boolean(bool x) {
  argument a;
  a.kind = argument_kind::boolean;
  a.boolean = x;
  return a;
}
argument text(const std::string& x) {
  argument a;
  a.kind = argument_kind::text;
  a.text = x;
  return a;
}
argument none() { return {}; }
argument integers(std::initializer_list<std::int64_t> all) {
  argument a;
  a.kind = argument_kind::list;
  for (const auto x : all)
    a.items.push_back(integer(x));
  return a;
}
argument tensors(std::initializer_list<std::string> all) {
  argument a;
  a.kind = argument_kind::list;
  for (const auto& x : all)
    a.items.push_back(tensor(x));
  return a;
}

builder::builder(std::string name, std::initializer_list<std::pair<std::string, std::int64_t>> constants) {
  op_.name = std::move(name);
  op_.op_type = "test";
  for (const char* v : {"A", "B"})
    op_.axes.push_back({v, axis_kind::variable, 0, "", ""});
  for (const auto& [n, v] : constants)
    op_.axes.push_back({n, axis_kind::constant, v, "", ""});
}

std::string builder::input(const std::string& name, std::vector<std::string> shape, dtype type) {
  op_.inputs.push_back({name, false, shape, type, ""});
  graph_.inputs.push_back({name, type, shape});
  known_.emplace_back(name, graph_.inputs.back());
  return name;
}

builder& builder::uniform(const std::string& input, double low, double high) {
  op_.distributions.push_back({input, distribution_kind::uniform, low, high});
  return *this;
}

std::vector<std::string> builder::ops(const std::string& name, named_arguments arguments, std::vector<graph_value> outputs) {
  std::vector<std::string> names;
  for (auto& o : outputs) {
    if (o.name.empty())
      o.name = "v" + std::to_string(next_++);
    names.push_back(o.name);
    known_.emplace_back(o.name, o);
  }
  graph_.nodes.push_back({name, std::move(arguments), std::move(outputs)});
  return names;
}

std::string builder::op(const std::string& name, named_arguments arguments, std::vector<std::string> shape, dtype type) {
  return ops(name, std::move(arguments), {{"", type, std::move(shape)}})[0];
}

void builder::output(const std::string& value) {
  graph_.outputs.push_back(value);
  for (const auto& [n, v] : known_)
    if (n == value)
      op_.outputs.push_back({"out" + std::to_string(op_.outputs.size()), false, v.shape, v.type, ""});
}

operator_definition builder::done() {
  op_.traced = graph_;
  return op_;
}

namespace {

const std::vector<std::string> ab{"A", "B"};

operator_definition unary(const std::string& name, named_arguments more = {}, double low = -4, double high = 4) {
  builder b("unary_" + name);
  b.input("x", ab);
  b.uniform("x", low, high);
  named_arguments a{{"self", tensor("x")}};
  a.insert(a.end(), more.begin(), more.end());
  b.output(b.op("aten." + name + ".default", a, ab));
  return b.done();
}

operator_definition binary(const std::string& name, std::vector<std::string> other, dtype type = dtype::float32, named_arguments more = {}) {
  builder b("binary_" + name + std::to_string(other.size()));
  b.input("x", ab);
  b.input("y", other);
  b.uniform("y", 0.5, 3);
  named_arguments a{{"self", tensor("x")}, {"other", tensor("y")}};
  a.insert(a.end(), more.begin(), more.end());
  b.output(b.op("aten." + name + ".Tensor", a, ab, type));
  return b.done();
}

operator_definition reduction(const std::string& name, std::int64_t dim, bool keepdim, named_arguments more = {}) {
  builder b("reduce_" + name + (dim == 0 ? "_0" : "_1"));
  b.input("x", ab);
  named_arguments a{{"self", tensor("x")}, {"dim", integers({dim})}, {"keepdim", boolean(keepdim)}};
  a.insert(a.end(), more.begin(), more.end());
  std::vector<std::string> shape = keepdim ? std::vector<std::string>{dim == 0 ? "1" : "A", dim == 0 ? "B" : "1"} : std::vector<std::string>{dim == 0 ? "B" : "A"};
  b.output(b.op("aten." + name + ".dim", a, shape));
  return b.done();
}

void pointwise(std::vector<operator_definition>& out) {
  for (const char* n : {"neg", "exp", "sqrt", "rsqrt", "log", "log1p", "abs", "reciprocal"})
    out.push_back(unary(n, {}, 0.01, 4));
  for (const char* n : {"relu", "sigmoid", "tanh", "erf", "silu", "mish", "hardswish", "hardsigmoid", "expm1", "floor", "sign", "selu"})
    out.push_back(unary(n));
  out.push_back(unary("gelu", {{"approximate", text("none")}}));
  out.push_back(unary("gelu", {{"approximate", text("tanh")}}));
  out.back().name = "unary_gelu_tanh";
  out.push_back(unary("elu", {{"alpha", real(1.5)}, {"scale", real(1)}, {"input_scale", real(1)}}));
  out.push_back(unary("leaky_relu", {{"negative_slope", real(0.1)}}));
  out.push_back(unary("softplus", {{"beta", real(1)}, {"threshold", real(2)}}));
  out.push_back(unary("hardtanh", {{"min_val", real(-1)}, {"max_val", real(2)}}));
  out.push_back(unary("clamp", {{"min", real(-0.5)}, {"max", none()}}));
  out.push_back(unary("pow", {{"exponent", real(3)}}));
  out.push_back(unary("pow", {{"exponent", real(1.7)}}, 0.1, 3));
  out.back().name = "unary_pow_real";
  for (const char* n : {"add", "sub", "mul", "div", "maximum", "minimum"}) {
    out.push_back(binary(n, ab));
    out.push_back(binary(n, {"B"}));
    out.push_back(binary(n, {"A", "1"}));
  }
  out.push_back(binary("add", ab, dtype::float32, {{"alpha", real(2)}}));
  for (const char* n : {"lt", "ge", "eq"})
    out.push_back(binary(n, {"B"}, dtype::boolean));
  builder w("where_masked", {});
  w.input("x", ab), w.input("y", {"B"}), w.input("m", ab, dtype::boolean);
  const auto c = w.op("aten.where.self", {{"condition", tensor("m")}, {"self", tensor("x")}, {"other", tensor("y")}}, ab);
  w.output(w.op("aten.masked_fill.Scalar", {{"self", tensor(c)}, {"mask", tensor("m")}, {"value", real(-std::numeric_limits<double>::infinity())}}, ab));
  w.output(c);
  out.push_back(w.done());
  builder t("tril_triu");
  t.input("x", ab);
  t.output(t.op("aten.tril.default", {{"self", tensor("x")}, {"diagonal", integer(-1)}}, ab));
  t.output(t.op("aten.triu.default", {{"self", tensor("x")}, {"diagonal", integer(2)}}, ab));
  out.push_back(t.done());
}

void reductions(std::vector<operator_definition>& out) {
  for (const std::int64_t dim : {0, 1}) {
    for (const char* n : {"sum", "amax", "amin", "mean"})
      out.push_back(reduction(n, dim, dim == 0));
    builder p("reduce_prod" + std::to_string(dim)); // near 1, so that long products stay finite
    p.input("x", ab);
    p.uniform("x", 0.9, 1.1);
    p.output(p.op("aten.prod.dim_int", {{"self", tensor("x")}, {"dim", integer(dim)}, {"keepdim", boolean(false)}}, {dim == 0 ? "B" : "A"}));
    out.push_back(p.done());
    out.push_back(reduction("logsumexp", dim, false));
    out.push_back(reduction("norm", dim, false, {{"p", real(2)}}));
    builder b("argmax_max" + std::to_string(dim));
    b.input("x", ab);
    const std::string left = dim == 0 ? "B" : "A";
    b.output(b.op("aten.argmax.default", {{"self", tensor("x")}, {"dim", integer(dim)}, {"keepdim", boolean(false)}}, {left}, dtype::int64));
    const auto m = b.ops("aten.min.dim", {{"self", tensor("x")}, {"dim", integer(dim)}, {"keepdim", boolean(false)}}, {{"", dtype::float32, {left}}, {"", dtype::int64, {left}}});
    b.output(m[0]), b.output(m[1]);
    out.push_back(b.done());
    builder s("softmax" + std::to_string(dim));
    s.input("x", ab);
    s.output(s.op("aten._softmax.default", {{"self", tensor("x")}, {"dim", integer(dim)}, {"half_to_float", boolean(false)}}, ab));
    s.output(s.op("aten._log_softmax.default", {{"self", tensor("x")}, {"dim", integer(dim)}, {"half_to_float", boolean(false)}}, ab));
    out.push_back(s.done());
    builder c("cumsum" + std::to_string(dim));
    c.input("x", ab);
    c.output(c.op("aten.cumsum.default", {{"self", tensor("x")}, {"dim", integer(dim)}}, ab));
    out.push_back(c.done());
    builder cp("cumprod" + std::to_string(dim));
    cp.input("x", ab);
    const auto factors = cp.op("aten.sigmoid.default", {{"self", tensor("x")}}, ab); // no infinity times a zero that double would not have
    cp.output(cp.op("aten.cumprod.default", {{"self", tensor(factors)}, {"dim", integer(dim)}}, ab));
    cp.output(cp.op("aten.cumsum.default", {{"self", tensor("x")}, {"dim", integer(dim)}}, ab));
    out.push_back(cp.done());
    builder v("softmax_3d_" + std::to_string(dim));
    v.input("x", {"A", "B", "5"});
    v.output(v.op("aten._softmax.default", {{"self", tensor("x")}, {"dim", integer(dim)}, {"half_to_float", boolean(false)}}, {"A", "B", "5"}));
    out.push_back(v.done());
  }
  builder all("sum_all");
  all.input("x", ab);
  all.output(all.op("aten.sum.default", {{"self", tensor("x")}}, {}));
  all.output(all.op("aten.mean.default", {{"self", tensor("x")}}, {}));
  out.push_back(all.done());
}

std::string rms(builder& b, const std::string& x, const std::string& w) {
  const auto p = b.op("aten.pow.Tensor_Scalar", {{"self", tensor(x)}, {"exponent", integer(2)}}, ab);
  const auto m = b.op("aten.mean.dim", {{"self", tensor(p)}, {"dim", integers({-1})}, {"keepdim", boolean(true)}}, {"A", "1"});
  const auto e = b.op("aten.add.Tensor", {{"self", tensor(m)}, {"other", real(1e-6)}, {"alpha", integer(1)}}, {"A", "1"});
  const auto r = b.op("aten.rsqrt.default", {{"self", tensor(e)}}, {"A", "1"});
  const auto n = b.op("aten.mul.Tensor", {{"self", tensor(x)}, {"other", tensor(r)}}, ab);
  return b.op("aten.mul.Tensor", {{"self", tensor(n)}, {"other", tensor(w)}}, ab);
}

void norms(std::vector<operator_definition>& out) {
  builder r("rms_norm");
  r.input("x", ab), r.input("weight", {"B"});
  r.output(rms(r, "x", "weight"));
  out.push_back(r.done());
  builder f("add_rms_norm");
  f.input("x", ab), f.input("residual", ab), f.input("weight", {"B"});
  const auto sum = f.op("aten.add.Tensor", {{"self", tensor("x")}, {"other", tensor("residual")}, {"alpha", integer(1)}}, ab);
  f.output(rms(f, sum, "weight"));
  f.output(sum);
  out.push_back(f.done());
  builder l("layer_norm");
  l.input("x", ab), l.input("w", {"B"}), l.input("b", {"B"});
  argument shape;
  shape.kind = argument_kind::list;
  shape.items.resize(1);
  shape.items[0].kind = argument_kind::expression;
  shape.items[0].text = "B";
  const auto n = l.ops("aten.native_layer_norm.default", {{"input", tensor("x")}, {"normalized_shape", shape}, {"weight", tensor("w")}, {"bias", tensor("b")}, {"eps", real(1e-5)}},
                       {{"", dtype::float32, ab}, {"", dtype::float32, {"A", "1"}}, {"", dtype::float32, {"A", "1"}}});
  l.output(n[0]), l.output(n[1]);
  out.push_back(l.done());
  builder g("group_norm");
  g.input("x", {"A", "6", "B"}), g.input("w", {"6"}), g.input("b", {"6"});
  g.output(g.ops("aten.native_group_norm.default",
                 {{"input", tensor("x")}, {"weight", tensor("w")}, {"bias", tensor("b")}, {"N", integer(0)}, {"C", integer(6)}, {"HxW", integer(0)}, {"group", integer(3)}, {"eps", real(1e-5)}},
                 {{"", dtype::float32, {"A", "6", "B"}}, {"", dtype::float32, {"A", "3"}}, {"", dtype::float32, {"A", "3"}}})[0]);
  out.push_back(g.done());
  for (const bool training : {false, true}) {
    builder b(std::string("batch_norm_relu") + (training ? "_train" : ""));
    b.input("x", {"A", "5", "B"}), b.input("w", {"5"}), b.input("b", {"5"}), b.input("mean", {"5"}), b.input("var", {"5"});
    b.uniform("var", 0.5, 2);
    const auto y = b.ops("aten.native_batch_norm.default",
                         {{"input", tensor("x")}, {"weight", tensor("w")}, {"bias", tensor("b")}, {"running_mean", tensor("mean")}, {"running_var", tensor("var")}, {"training", boolean(training)},
                          {"momentum", real(0.1)}, {"eps", real(1e-5)}},
                         {{"", dtype::float32, {"A", "5", "B"}}, {"", dtype::float32, {training ? "5" : "0"}}, {"", dtype::float32, {training ? "5" : "0"}}});
    b.output(b.op("aten.relu.default", {{"self", tensor(y[0])}}, {"A", "5", "B"}));
    out.push_back(b.done());
  }
}

void products(std::vector<operator_definition>& out) {
  builder m("linear_gelu", {{"K", 37}});
  m.input("x", {"A", "K"}), m.input("w", {"B", "K"}), m.input("bias", {"B"});
  const auto t = m.op("aten.t.default", {{"self", tensor("w")}}, {"K", "B"});
  const auto p = m.op("aten.addmm.default", {{"self", tensor("bias")}, {"mat1", tensor("x")}, {"mat2", tensor(t)}, {"beta", integer(1)}, {"alpha", integer(1)}}, ab);
  m.output(m.op("aten.gelu.default", {{"self", tensor(p)}, {"approximate", text("none")}}, ab));
  out.push_back(m.done());
  builder named("mm_awkward_names", {{"C", 21}, {"I", 4}}); // loops, temporaries and values that are called like the printer's own
  named.input("c", {"A", "C"}), named.input("t0", {"C", "B"}), named.input("float", {"B"}), named.input("exp", {"I", "B"});
  const auto mm = named.ops("aten.mm.default", {{"self", tensor("c")}, {"mat2", tensor("t0")}}, {{"t1", dtype::float32, ab}})[0];
  const auto plus = named.ops("aten.add.Tensor", {{"self", tensor(mm)}, {"other", tensor("float")}, {"alpha", integer(1)}}, {{"step", dtype::float32, ab}})[0];
  named.output(named.ops("aten.mul.Tensor", {{"self", tensor(plus)}, {"other", tensor(plus)}}, {{"panel", dtype::float32, ab}})[0]);
  named.output(named.op("aten.exp.default", {{"self", tensor("exp")}}, {"I", "B"}));
  out.push_back(named.done());
  builder n("mm_softmax", {{"K", 19}});
  n.input("x", {"A", "K"}), n.input("w", {"K", "B"});
  const auto q = n.op("aten.mm.default", {{"self", tensor("x")}, {"mat2", tensor("w")}}, ab);
  n.output(n.op("aten._softmax.default", {{"self", tensor(q)}, {"dim", integer(-1)}, {"half_to_float", boolean(false)}}, ab));
  out.push_back(n.done());
  builder b("bmm_residual", {{"K", 8}});
  b.input("x", {"3", "A", "K"}), b.input("y", {"3", "B", "K"}), b.input("z", {"3", "A", "B"});
  const auto yt = b.op("aten.transpose.int", {{"self", tensor("y")}, {"dim0", integer(1)}, {"dim1", integer(2)}}, {"3", "K", "B"});
  const auto xs = b.op("aten.mul.Tensor", {{"self", tensor("x")}, {"other", real(0.35)}}, {"3", "A", "K"});
  const auto s = b.op("aten.bmm.default", {{"self", tensor(xs)}, {"mat2", tensor(yt)}}, {"3", "A", "B"});
  b.output(b.op("aten.add.Tensor", {{"self", tensor(s)}, {"other", tensor("z")}, {"alpha", integer(1)}}, {"3", "A", "B"}));
  out.push_back(b.done());
  builder a("attention", {{"D", 16}});
  a.input("q", {"2", "A", "D"}), a.input("k", {"2", "B", "D"}), a.input("v", {"2", "B", "D"});
  const auto kt = a.op("aten.transpose.int", {{"self", tensor("k")}, {"dim0", integer(1)}, {"dim1", integer(2)}}, {"2", "D", "B"});
  const auto sc = a.op("aten.bmm.default", {{"self", tensor("q")}, {"mat2", tensor(kt)}}, {"2", "A", "B"});
  const auto sm = a.op("aten._softmax.default", {{"self", tensor(sc)}, {"dim", integer(-1)}, {"half_to_float", boolean(false)}}, {"2", "A", "B"});
  a.output(a.op("aten.bmm.default", {{"self", tensor(sm)}, {"mat2", tensor("v")}}, {"2", "A", "D"}));
  out.push_back(a.done());
}

named_arguments convolution(const std::string& x, const std::string& w, bool bias, std::initializer_list<std::int64_t> stride, std::initializer_list<std::int64_t> padding,
                            std::initializer_list<std::int64_t> dilation, bool transposed, std::int64_t groups) {
  return {{"input", tensor(x)}, {"weight", tensor(w)}, {"bias", bias ? tensor("bias") : none()}, {"stride", integers(stride)}, {"padding", integers(padding)}, {"dilation", integers(dilation)},
          {"transposed", boolean(transposed)}, {"output_padding", integers({0, 0})}, {"groups", integer(groups)}};
}

void windows(std::vector<operator_definition>& out) {
  builder c("conv2d_relu");
  c.input("x", {"A", "3", "9", "11"}), c.input("w", {"18", "3", "3", "3"}), c.input("bias", {"18"});
  const auto y = c.op("aten.convolution.default", convolution("x", "w", true, {1, 1}, {1, 1}, {1, 1}, false, 1), {"A", "18", "9", "11"});
  c.output(c.op("aten.relu.default", {{"self", tensor(y)}}, {"A", "18", "9", "11"}));
  out.push_back(c.done());
  builder s("conv2d_strided_groups");
  s.input("x", {"A", "4", "B + 6", "10"}), s.input("w", {"6", "2", "3", "3"});
  s.output(s.op("aten.convolution.default", convolution("x", "w", false, {2, 1}, {0, 1}, {1, 2}, false, 2), {"A", "6", "(B + 6 - 3)//2 + 1", "8"}));
  out.push_back(s.done());
  builder d("conv_depthwise");
  d.input("x", {"A", "5", "8", "9"}), d.input("w", {"5", "1", "3", "3"}), d.input("bias", {"5"});
  d.output(d.op("aten.convolution.default", convolution("x", "w", true, {1, 1}, {1, 1}, {1, 1}, false, 5), {"A", "5", "8", "9"}));
  out.push_back(d.done());
  builder t("conv_transpose2d");
  t.input("x", {"A", "4", "5", "6"}), t.input("w", {"4", "3", "3", "3"});
  t.output(t.op("aten.convolution.default", convolution("x", "w", false, {2, 2}, {1, 1}, {1, 1}, true, 1), {"A", "3", "9", "11"}));
  out.push_back(t.done());
  builder td("conv_transpose2d_dilated");
  td.input("x", {"A", "4", "5", "6"}), td.input("w", {"4", "3", "3", "4"});
  td.output(td.op("aten.convolution.default", convolution("x", "w", false, {2, 2}, {1, 1}, {2, 1}, true, 1), {"A", "3", "11", "12"}));
  out.push_back(td.done());
  builder o("conv1d");
  o.input("x", {"A", "6", "B + 2"}), o.input("w", {"16", "6", "3"});
  o.output(o.op("aten.convolution.default", convolution("x", "w", false, {1}, {0}, {1}, false, 1), {"A", "16", "B"}));
  out.push_back(o.done());
  builder m("pools");
  m.input("x", {"A", "3", "9", "12"});
  const auto p = m.ops("aten.max_pool2d_with_indices.default",
                       {{"self", tensor("x")}, {"kernel_size", integers({3, 3})}, {"stride", integers({2, 2})}, {"padding", integers({1, 1})}, {"dilation", integers({1, 1})}, {"ceil_mode", boolean(false)}},
                       {{"", dtype::float32, {"A", "3", "5", "6"}}, {"", dtype::int64, {"A", "3", "5", "6"}}});
  m.output(p[0]), m.output(p[1]);
  m.output(m.op("aten.avg_pool2d.default", {{"self", tensor("x")}, {"kernel_size", integers({2, 3})}, {"stride", integers({2, 3})}, {"padding", integers({0, 1})}, {"ceil_mode", boolean(false)}, {"count_include_pad", boolean(true)}, {"divisor_override", none()}},
                {"A", "3", "4", "4"}));
  out.push_back(m.done());
}

void views(std::vector<operator_definition>& out) {
  builder v("views");
  v.input("x", {"A", "4", "B"});
  const auto p = v.op("aten.permute.default", {{"self", tensor("x")}, {"dims", integers({1, 0, 2})}}, {"4", "A", "B"});
  const auto e = v.op("aten.exp.default", {{"self", tensor(p)}}, {"4", "A", "B"});
  const auto r = v.op("aten.view.default", {{"self", tensor(e)}, {"size", none()}}, {"4*A", "B"});
  v.output(r);
  const auto s = v.op("aten.slice.Tensor", {{"self", tensor("x")}, {"dim", integer(1)}, {"start", integer(1)}, {"end", integer(4)}, {"step", integer(2)}}, {"A", "2", "B"});
  v.output(v.op("aten.relu.default", {{"self", tensor(s)}}, {"A", "2", "B"}));
  const auto k = v.op("aten.select.int", {{"self", tensor("x")}, {"dim", integer(1)}, {"index", integer(-1)}}, ab);
  const auto u = v.op("aten.unsqueeze.default", {{"self", tensor(k)}, {"dim", integer(1)}}, {"A", "1", "B"});
  v.output(v.op("aten.add.Tensor", {{"self", tensor("x")}, {"other", tensor(u)}, {"alpha", integer(1)}}, {"A", "4", "B"}));
  out.push_back(v.done());
  builder c("cat_pad_stack");
  c.input("x", ab), c.input("y", {"A", "3"});
  const auto cat = c.op("aten.cat.default", {{"tensors", tensors({"x", "y"})}, {"dim", integer(1)}}, {"A", "B + 3"});
  c.output(c.op("aten.sigmoid.default", {{"self", tensor(cat)}}, {"A", "B + 3"}));
  c.output(c.op("aten.constant_pad_nd.default", {{"self", tensor("x")}, {"pad", integers({2, 1})}, {"value", real(1.5)}}, {"A", "B + 3"}));
  c.output(c.op("aten.stack.default", {{"tensors", tensors({"x", "x"})}, {"dim", integer(1)}}, {"A", "2", "B"}));
  out.push_back(c.done());
  builder t("transpose_copy");
  t.input("x", ab);
  t.output(t.op("aten.t.default", {{"self", tensor("x")}}, {"B", "A"}));
  out.push_back(t.done());
  builder tt("transposes_together"); // two tensors that lie across, one that does not
  tt.input("x", {"3", "A", "B"}), tt.input("y", {"3", "A", "B"}), tt.input("z", {"3", "B", "A"});
  const std::vector<std::string> turned{"3", "B", "A"};
  const auto xt = tt.op("aten.transpose.int", {{"self", tensor("x")}, {"dim0", integer(1)}, {"dim1", integer(2)}}, turned);
  const auto yt = tt.op("aten.transpose.int", {{"self", tensor("y")}, {"dim0", integer(-1)}, {"dim1", integer(-2)}}, turned);
  const auto both = tt.op("aten.mul.Tensor", {{"self", tensor(yt)}, {"other", tensor("z")}}, turned);
  tt.output(tt.op("aten.add.Tensor", {{"self", tensor(xt)}, {"other", tensor(both)}, {"alpha", integer(1)}}, turned));
  out.push_back(tt.done());
  builder g("embedding");
  g.input("w", {"8", "B"}), g.input("i", {"A"}, dtype::int64);
  const auto e2 = g.op("aten.embedding.default", {{"weight", tensor("w")}, {"indices", tensor("i")}, {"padding_idx", integer(-1)}, {"scale_grad_by_freq", boolean(false)}, {"sparse", boolean(false)}}, ab);
  g.output(g.op("aten.tanh.default", {{"self", tensor(e2)}}, ab));
  out.push_back(g.done());
  builder d("silu_and_mul");
  d.input("x", {"A", "2*B"});
  argument middle;
  middle.kind = argument_kind::expression;
  middle.text = "B";
  const auto left = d.op("aten.slice.Tensor", {{"self", tensor("x")}, {"dim", integer(1)}, {"start", integer(0)}, {"end", middle}, {"step", integer(1)}}, ab);
  const auto right = d.op("aten.slice.Tensor", {{"self", tensor("x")}, {"dim", integer(1)}, {"start", middle}, {"end", none()}, {"step", integer(1)}}, ab);
  const auto a = d.op("aten.silu.default", {{"self", tensor(left)}}, ab);
  d.output(d.op("aten.mul.Tensor", {{"self", tensor(a)}, {"other", tensor(right)}}, ab));
  out.push_back(d.done());
  builder f("float64_and_bfloat16");
  f.input("x", ab, dtype::float64);
  f.output(f.op("aten.exp.default", {{"self", tensor("x")}}, ab, dtype::float64));
  out.push_back(f.done());
  // Sums of columns that can ride along with rows: what a row's own sum is needed for, plain ones, over two dimensions, of integers and of bfloat16.
  const auto column_sums = [&](builder& at, const std::string& of, std::initializer_list<std::int64_t> over, std::vector<std::string> shape, dtype type = dtype::float32) {
    at.output(at.op("aten.sum.dim_IntList", {{"self", tensor(of)}, {"dim", integers(over)}, {"keepdim", boolean(false)}, {"dtype", none()}}, std::move(shape), type));
  };
  builder gr("rows_with_column_sums");
  gr.input("x", ab), gr.input("y", ab);
  const auto row_mean = gr.op("aten.mean.dim", {{"self", tensor("x")}, {"dim", integers({-1})}, {"keepdim", boolean(true)}}, {"A", "1"});
  const auto centred = gr.op("aten.sub.Tensor", {{"self", tensor("x")}, {"other", tensor(row_mean)}, {"alpha", integer(1)}}, ab);
  const auto scaled = gr.op("aten.mul.Tensor", {{"self", tensor(centred)}, {"other", tensor("y")}}, ab);
  gr.output(gr.op("aten.tanh.default", {{"self", tensor(scaled)}}, ab));
  column_sums(gr, scaled, {0}, {"B"});
  column_sums(gr, "y", {0}, {"B"});
  out.push_back(gr.done());
  builder deep("deep_rows_with_column_sums", {{"C", 37}});
  deep.input("x", {"3", "A", "C"});
  deep.output(deep.op("aten.relu.default", {{"self", tensor("x")}}, {"3", "A", "C"}));
  column_sums(deep, "x", {0, 1}, {"C"});
  out.push_back(deep.done());
  builder whole("integer_rows_with_column_sums");
  whole.input("x", ab, dtype::int64), whole.input("h", ab, dtype::bfloat16);
  whole.output(whole.op("aten.abs.default", {{"self", tensor("x")}}, ab, dtype::int64));
  whole.output(whole.op("aten.relu.default", {{"self", tensor("h")}}, ab, dtype::bfloat16));
  column_sums(whole, "x", {0}, {"B"}, dtype::int64);
  column_sums(whole, "h", {0}, {"B"}, dtype::bfloat16);
  out.push_back(whole.done());
  // Sizes that fill vectors, tiles and chunks, with rests.
  builder wide("wide_rows", {{"C", 215}});
  wide.input("x", {"A", "C"});
  wide.output(wide.op("aten.argmax.default", {{"self", tensor("x")}, {"dim", integer(1)}, {"keepdim", boolean(false)}}, {"A"}, dtype::int64));
  wide.output(wide.op("aten.t.default", {{"self", tensor("x")}}, {"C", "A"}));
  wide.output(wide.op("aten.max_pool1d.default", {{"self", tensor("x")}, {"kernel_size", integers({3})}, {"stride", integers({2})}, {"padding", integers({1})}, {"dilation", integers({1})}, {"ceil_mode", boolean(false)}}, {"A", "108"}));
  const auto after = wide.op("aten.slice.Tensor", {{"self", tensor("x")}, {"dim", integer(1)}, {"start", integer(100)}, {"end", none()}, {"step", integer(1)}}, {"A", "115"});
  const auto before = wide.op("aten.slice.Tensor", {{"self", tensor("x")}, {"dim", integer(1)}, {"start", integer(0)}, {"end", integer(100)}, {"step", integer(1)}}, {"A", "100"});
  const auto negated = wide.op("aten.neg.default", {{"self", tensor(after)}}, {"A", "115"});
  wide.output(wide.op("aten.cat.default", {{"tensors", tensors({negated, before})}, {"dim", integer(1)}}, {"A", "C"}));
  out.push_back(wide.done());
  builder buckets("buckets", {{"N", 19}});
  buckets.input("x", ab), buckets.input("borders", {"N"});
  const auto sorted = buckets.op("aten.sort.default", {{"self", tensor("borders")}, {"dim", integer(0)}, {"descending", boolean(false)}}, {"N"});
  buckets.output(sorted);
  for (const bool right : {false, true})
    buckets.output(buckets.op("aten.bucketize.Tensor", {{"self", tensor("x")}, {"boundaries", tensor(sorted)}, {"out_int32", boolean(false)}, {"right", boolean(right)}}, ab, dtype::int64));
  out.push_back(buckets.done());
  builder chosen("chosen_log_softmax");
  chosen.input("w", {"8", "B"}), chosen.input("i", {"A"}, dtype::int64);
  const auto logs = chosen.op("aten._log_softmax.default", {{"self", tensor("w")}, {"dim", integer(1)}, {"half_to_float", boolean(false)}}, {"8", "B"});
  chosen.output(chosen.op("aten.embedding.default", {{"weight", tensor(logs)}, {"indices", tensor("i")}, {"padding_idx", integer(-1)}, {"scale_grad_by_freq", boolean(false)}, {"sparse", boolean(false)}}, ab));
  out.push_back(chosen.done());
  builder h("bfloat16");
  h.input("x", ab, dtype::bfloat16);
  h.output(h.op("aten.silu.default", {{"self", tensor("x")}}, ab, dtype::bfloat16));
  out.push_back(h.done());
}

} // namespace

std::vector<operator_definition> all() {
  std::vector<operator_definition> out;
  pointwise(out);
  reductions(out);
  norms(out);
  products(out);
  windows(out);
  views(out);
  recurrent_layers(out);
  return out;
}

} // namespace kevolve::cases
