#include "actors/synthesis/lower.hpp"

#include <algorithm>
#include <cctype>
#include <set>

namespace kevolve::synthesis {

std::string base_name(const std::string& op) {
  auto name = op.substr(op.rfind("aten.", 0) == 0 ? 5 : op.rfind("kevolve.", 0) == 0 ? 8 : 0);
  name = name.substr(0, name.find('.'));
  if (name.size() > 1 && name.back() == '_' && name[name.size() - 2] != '_')
    name.pop_back(); // in-place form
  return name;
}

std::string identifier(const std::string& text) {
  static const std::set<std::string> reserved{"int", "float", "double", "char", "bool", "void", "new", "delete", "and", "or", "not", "xor", "if", "else", "for",
                                              "while", "do", "return", "switch", "case", "default", "class", "struct", "union", "enum", "this", "operator",
                                              "template", "auto", "const", "static", "long", "short", "signed", "unsigned", "inputs", "outputs", "axes",
                                              "workspace", "stream", "load", "store", "exp", "log", "sqrt", "tanh", "erf", "abs", "floor", "pow", "i64", "main",
                                              "threads", "thread", "maximum", "minimum", "modulo", "total", "transpose", "sign", "dense", "room", "exp_fast", "stream_store", "l", "t", "i", "j", "c", "r", "row", "rows", "row_end", "row_block", "column", "columns", "column_end", "depth", "depth_block", "step", "steps", "panel", "block", "block_end", "to", "i_end", "j_end", "splat", "lanes", "real", "wide", "linux", "unix", "sin", "cos", "log1p", "expm1", "rsqrt",
                                              "ceil", "round", "trunc", "fabs", "fmin", "fmax", "gamma", "y0", "y1", "j0", "j1", "yn", "jn", "exit", "abort", "index",
                                              "register", "volatile", "public", "private", "protected", "export", "goto", "try", "catch", "throw", "using",
                                              "namespace", "typename", "sizeof", "inline", "extern", "friend", "virtual", "explicit", "mutable", "concept", "requires"};
  std::string out;
  for (const char c : text)
    out += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  if (out.empty() || std::isdigit(static_cast<unsigned char>(out[0])))
    out = "v" + out;
  if (out.rfind("__", 0) == 0)
    out = "v" + out;
  return reserved.contains(out) ? out + "_" : out;
}

void lowering::fail(const std::string& why) {
  if (problem_.empty())
    problem_ = why;
}

const argument* lowering::find(const std::string& argument_name) const {
  for (const auto& [n, a] : node_->arguments)
    if (n == argument_name)
      return &a;
  return nullptr;
}

bool lowering::has(const std::string& argument_name) const {
  const auto* a = find(argument_name);
  return a != nullptr && a->kind != argument_kind::none;
}

const tensor_ref& lowering::tensor(const std::string& argument_name) {
  const auto* a = find(argument_name);
  if (a == nullptr || a->kind != argument_kind::value)
    fail("argument \"" + argument_name + "\" is not a tensor");
  return named(a == nullptr ? "" : a->text);
}

const tensor_ref& lowering::named(const std::string& value_name) {
  static const tensor_ref nothing{0, {}, {}, dtype::float32};
  const auto found = env_.find(value_name);
  if (found != env_.end())
    return found->second;
  fail("an argument names no earlier value: \"" + value_name + "\"");
  return nothing;
}

std::optional<double> lowering::real(const std::string& argument_name) const {
  const auto* a = find(argument_name);
  if (a == nullptr)
    return std::nullopt;
  if (a->kind == argument_kind::real)
    return a->real;
  if (a->kind == argument_kind::boolean)
    return a->boolean ? 1.0 : 0.0;
  if (a->kind == argument_kind::expression)
    if (auto e = parse_index(a->text, names_); e && e->constant())
      return static_cast<double>(*e->constant());
  return std::nullopt;
}

index lowering::extent(const argument& a) {
  if (a.kind == argument_kind::real)
    return index(static_cast<std::int64_t>(a.real));
  auto e = parse_index(a.text, names_);
  if (!e) {
    fail(e.error().message);
    return index(1);
  }
  return *e;
}

std::int64_t lowering::integer(const std::string& argument_name, std::int64_t otherwise) {
  const auto x = real(argument_name);
  if (!x && has(argument_name))
    fail("argument \"" + argument_name + "\" must be a constant");
  return x ? static_cast<std::int64_t>(*x) : otherwise;
}

bool lowering::flag(const std::string& argument_name, bool otherwise) const {
  const auto x = real(argument_name);
  return x ? *x != 0 : otherwise;
}

std::string lowering::text(const std::string& argument_name, const std::string& otherwise) const {
  const auto* a = find(argument_name);
  return a != nullptr && a->kind == argument_kind::text ? a->text : otherwise;
}

std::vector<std::int64_t> lowering::integers(const std::string& argument_name) {
  std::vector<std::int64_t> out;
  const auto* a = find(argument_name);
  if (a == nullptr || a->kind == argument_kind::none)
    return out;
  if (a->kind != argument_kind::list)
    return {integer(argument_name, 0)};
  for (const auto& item : a->items) {
    if (item.kind == argument_kind::boolean) {
      out.push_back(item.boolean ? 1 : 0);
      continue;
    }
    const auto c = extent(item).constant();
    if (!c)
      fail("argument \"" + argument_name + "\" must hold constants, found \"" + item.text + "\"");
    out.push_back(c.value_or(0));
  }
  return out;
}

std::size_t lowering::wrap(std::int64_t dim, std::size_t rank) {
  const auto r = static_cast<std::int64_t>(std::max<std::size_t>(rank, 1));
  if (dim < -r || dim >= r) {
    fail("dimension " + std::to_string(dim) + " is outside rank " + std::to_string(rank));
    return 0;
  }
  return static_cast<std::size_t>(dim < 0 ? dim + r : dim);
}

std::vector<std::size_t> lowering::dims(const std::string& argument_name, std::size_t rank) {
  std::vector<std::size_t> out;
  for (const auto d : integers(argument_name))
    out.push_back(wrap(d, rank));
  if (out.empty())
    for (std::size_t d = 0; d < rank; ++d)
      out.push_back(d);
  if (rank == 0)
    out.clear();
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<index> lowering::output_shape(std::size_t which) {
  std::vector<index> out;
  if (which >= node_->outputs.size()) {
    fail("has no output " + std::to_string(which));
    return out;
  }
  if (which == 0) // where nobody reads the first output it has no shape; those rules that ask have outputs of one shape
    while (which + 1 < node_->outputs.size() && node_->outputs[which].name.empty())
      ++which;
  for (const auto& s : node_->outputs[which].shape) {
    argument a;
    a.kind = argument_kind::expression;
    a.text = s;
    out.push_back(extent(a));
  }
  return out;
}

std::string lowering::name(const std::string& suffix, std::size_t which) const {
  std::string base = which < node_->outputs.size() ? node_->outputs[which].name : "";
  if (base.empty())
    base = (node_->outputs.empty() || node_->outputs[0].name.empty() ? base_name(node_->op) : node_->outputs[0].name) + (which ? "_" + std::to_string(which) : "");
  return suffix.empty() ? base : base + "." + suffix;
}

std::vector<index> lowering::formals(const std::vector<index>& shape) {
  std::vector<index> out;
  for (std::size_t d = 0; d < shape.size(); ++d)
    out.push_back(shape[d].is(1) ? index(0) : index::loop("$" + std::to_string(d), shape[d]));
  return out;
}

expr_ref lowering::read(const tensor_ref& t, const std::vector<index>& at, const std::vector<index>& guards) {
  std::map<std::string, index> values;
  for (std::size_t d = 0; d < at.size(); ++d)
    values["$" + std::to_string(d)] = at[d];
  std::vector<index> where;
  for (const auto& i : t.at)
    where.push_back(i.substitute(values));
  auto e = *load(t.value, std::move(where));
  e.guards = guards;
  return std::make_shared<const expr>(std::move(e));
}

expr_ref lowering::read_broadcast(const tensor_ref& t, const std::vector<index>& at) {
  if (t.shape.size() > at.size()) {
    fail("cannot broadcast rank " + std::to_string(t.shape.size()) + " to rank " + std::to_string(at.size()));
    return number(0);
  }
  std::vector<index> mine;
  for (std::size_t d = 0; d < t.shape.size(); ++d)
    mine.push_back(t.shape[d].is(1) ? index(0) : at[at.size() - t.shape.size() + d]);
  return read(t, mine);
}

expr_ref lowering::gather(const tensor_ref& t, std::vector<index> at, std::size_t dim, const expr_ref& which) {
  return gather(t, std::move(at), {{dim, which}});
}

expr_ref lowering::gather(const tensor_ref& t, std::vector<index> at, const std::vector<std::pair<std::size_t, expr_ref>>& which) {
  std::vector<expr_ref> found;
  for (const auto& [dim, i] : which) {
    const index extent = t.shape[dim];
    at[dim] = index::loop("@" + std::to_string(found.size()), extent);
    const auto negative = make(op::less, {i, make(op::to_integer, {number(0)})});
    found.push_back(make(op::select, {negative, make(op::add, {i, position(extent)}), i}));
  }
  auto e = *read(t, at);
  e.looked_up = std::move(found);
  return std::make_shared<const expr>(std::move(e));
}

lowering::element lowering::operand(const std::string& argument_name) {
  const auto* a = find(argument_name);
  if (a != nullptr && a->kind == argument_kind::value) {
    const tensor_ref t = tensor(argument_name);
    return [this, t](const std::vector<index>& at) { return read_broadcast(t, at); };
  }
  if (const auto x = real(argument_name))
    return [x](const std::vector<index>&) { return number(*x); };
  if (a != nullptr && a->kind == argument_kind::expression) {
    const index i = extent(*a);
    return [i](const std::vector<index>&) { return make(op::to_real, {position(i)}); };
  }
  fail("argument \"" + argument_name + "\" is missing");
  return [](const std::vector<index>&) { return number(0); };
}

std::string lowering::dimension_name(const index& extent, std::size_t position) const {
  if (auto n = extent.single_name(); !n.empty())
    return n;
  if (extent.constant())
    for (const auto& a : op_.axes)
      if (a.kind == axis_kind::constant && a.value == *extent.constant())
        return a.name;
  return "d" + std::to_string(position);
}

dimension lowering::new_dimension(const index& extent, std::size_t position) {
  const auto name = "%" + std::to_string(next_loop_++);
  return {index::loop(name, extent), extent, dimension_name(extent, position)};
}

int lowering::append(value v) {
  v.name = identifier(v.name);
  if (const int n = used_names_[v.name]++; n > 0)
    v.name += "_" + std::to_string(n);
  if (steps_of_ >= 0)
    v.recurrence = steps_of_;
  out_.values.push_back(std::move(v));
  return static_cast<int>(out_.values.size()) - 1;
}

tensor_ref lowering::map(const std::string& name, dtype type, const std::vector<index>& shape, const element& body) {
  value v;
  v.name = name;
  v.type = type;
  tensor_ref out{-1, {}, shape, type};
  std::vector<index> at;
  const auto formal = formals(shape);
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d].is(1)) {
      at.emplace_back(0);
      continue;
    }
    v.dims.push_back(new_dimension(shape[d], d));
    at.push_back(v.dims.back().var);
    out.at.push_back(formal[d]);
  }
  v.body = body(at);
  out.value = append(std::move(v));
  return out;
}

tensor_ref lowering::reduce(const std::string& name, dtype type, const std::vector<index>& shape, const std::vector<std::size_t>& over, bool keepdim,
                            combiner c, const element& body, const element& chosen, bool last_nan) {
  value v;
  v.name = name;
  v.type = type;
  v.kind = value::kind_t::reduce;
  v.combine = c;
  v.last_nan = last_nan;
  tensor_ref out;
  out.type = type;
  std::vector<index> at;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const bool reduced = std::find(over.begin(), over.end(), d) != over.end();
    if (!reduced || keepdim)
      out.shape.push_back(reduced ? index(1) : shape[d]);
    if (shape[d].is(1)) {
      at.emplace_back(0);
      continue;
    }
    auto& into = reduced ? v.over : v.dims;
    into.push_back(new_dimension(shape[d], d));
    at.push_back(into.back().var);
  }
  for (const auto& f : formals(out.shape))
    if (!f.is(0))
      out.at.push_back(f);
  v.body = body(at);
  if (chosen)
    v.body = make(op::select, {v.body, chosen(at)}); // argmax and argmin: what is compared, what is remembered
  out.value = append(std::move(v));
  return out;
}

tensor_ref lowering::literal(const std::string& name, dtype type, const std::vector<index>& shape, std::vector<double> values) {
  value v;
  v.name = name;
  v.type = type;
  v.kind = value::kind_t::input;
  tensor_ref out{-1, {}, shape, type};
  const auto formal = formals(shape);
  for (std::size_t d = 0; d < shape.size(); ++d)
    if (!shape[d].is(1)) {
      v.dims.push_back(new_dimension(shape[d], d));
      out.at.push_back(formal[d]);
    }
  if (!(product(shape) == index(static_cast<std::int64_t>(values.size()))))
    fail("expected as many values as the shape has elements, found " + std::to_string(values.size()));
  v.written = std::make_shared<const std::vector<double>>(std::move(values));
  out.value = append(std::move(v));
  return out;
}

tensor_ref lowering::scan(const std::string& name, dtype type, const std::vector<index>& shape, std::size_t along, combiner c, const element& body) {
  auto out = map(name, type, shape, body);
  if (shape.empty() || shape[along].is(1))
    return out;
  auto& v = out_.values[static_cast<std::size_t>(out.value)];
  v.kind = value::kind_t::scan;
  v.combine = c;
  v.scanned = 0;
  for (std::size_t d = 0; d < along; ++d)
    v.scanned += shape[d].is(1) ? 0 : 1;
  return out;
}

tensor_ref lowering::state(const std::string& name, dtype type, const std::vector<index>& shape, const index& steps, bool history, const element& first) {
  auto out = map(name, type, shape, first);
  const index slots = history ? steps + 1 : index(2);
  auto& v = out_.values[static_cast<std::size_t>(out.value)];
  v.kind = value::kind_t::state;
  v.history = history;
  v.dims.insert(v.dims.begin(), new_dimension(slots, 0));
  out.shape.insert(out.shape.begin(), slots);
  out.at.clear();
  for (const auto& f : formals(out.shape))
    if (!f.is(0))
      out.at.push_back(f);
  return out;
}

tensor_ref lowering::at_step(const tensor_ref& state, const index& step) {
  const index slot = slot_of(out_.values[static_cast<std::size_t>(state.value)].history, step);
  return view(state, {state.shape.begin() + 1, state.shape.end()}, [&](std::vector<index> at) {
    at.insert(at.begin(), slot);
    return at;
  });
}

/// No name of the operator begins like it: the printer makes names of it.
std::string lowering::step_name() const {
  std::vector<std::string> taken;
  for (const auto& v : op_.traced->inputs)
    taken.push_back(identifier(v.name));
  for (const auto& n : op_.traced->nodes)
    for (const auto& o : n.outputs)
      taken.push_back(identifier(o.name));
  for (const auto& t : op_.inputs)
    taken.push_back(identifier(t.name));
  for (const auto& t : op_.outputs)
    taken.push_back(identifier(t.name));
  for (const auto& a : op_.axes)
    taken.push_back(identifier(a.name));
  for (const auto& r : out_.recurrences)
    taken.push_back(r.step.single_name());
  std::string name = "time";
  const auto is_taken = [&] { return std::any_of(taken.begin(), taken.end(), [&](const std::string& t) { return t.rfind(name, 0) == 0; }); };
  for (int n = 2; is_taken(); ++n)
    name = "time" + std::to_string(n);
  return name;
}

index lowering::begin_steps(const index& steps) {
  steps_of_ = static_cast<int>(out_.recurrences.size());
  out_.recurrences.push_back({index::loop(step_name(), steps), steps, false});
  return out_.recurrences.back().step;
}

tensor_ref lowering::next(const std::string& name, const tensor_ref& of, const std::vector<index>& shape, const element& body) {
  auto out = map(name, of.type, shape, body);
  out_.values[static_cast<std::size_t>(out.value)].next_of = of.value;
  out_.values[static_cast<std::size_t>(of.value)].recurrence = steps_of_;
  return out;
}

bool lowering::never_mixes(int loop) const {
  std::optional<index> extent;
  for (const auto& v : out_.values) {
    if (computed_in(v) != loop)
      continue;
    if (v.dims.empty() || (extent && !(v.dims[0].extent == *extent)))
      return false;
    extent = v.dims[0].extent;
    bool own = true;
    walk(v.body, [&](const expr& e) {
      if (e.value < 0)
        return;
      const auto& read = out_.values[static_cast<std::size_t>(e.value)];
      const std::size_t place = read.kind == value::kind_t::state ? 1 : 0;
      if (read.recurrence == loop)
        own = own && e.code == op::load && e.looked_up.empty() && e.at.size() > place && e.at[place].single_name() == v.dims[0].var.single_name();
    });
    if (!own)
      return false;
  }
  return extent.has_value();
}

void lowering::end_steps() {
  out_.recurrences[static_cast<std::size_t>(steps_of_)].apart = never_mixes(steps_of_);
  steps_of_ = -1;
}

index lowering::product(const std::vector<index>& shape) const {
  index out(1);
  for (const auto& s : shape)
    out = out * s;
  return out;
}

tensor_ref lowering::view(const tensor_ref& t, const std::vector<index>& shape, const std::function<std::vector<index>(const std::vector<index>&)>& to) {
  const auto inner = to(formals(shape));
  std::map<std::string, index> values;
  for (std::size_t d = 0; d < inner.size(); ++d)
    values["$" + std::to_string(d)] = inner[d];
  tensor_ref out{t.value, {}, shape, t.type};
  for (const auto& i : t.at)
    out.at.push_back(i.substitute(values));
  return out;
}

/// Matches runs of dimensions with equal products, so that only what is really merged or split is divided.
tensor_ref lowering::reshaped(const tensor_ref& t, const std::vector<index>& shape) {
  return view(t, shape, [&](const std::vector<index>& at) {
    std::vector<index> inner(t.shape.size(), index(0));
    std::size_t i = 0;
    std::size_t o = 0;
    while (i < t.shape.size() || o < shape.size()) {
      const std::size_t first_in = i;
      const std::size_t first_out = o;
      index in_product(1);
      index out_product(1);
      if (i < t.shape.size())
        in_product = t.shape[i++];
      if (o < shape.size())
        out_product = shape[o++];
      while (!(in_product == out_product) && (i < t.shape.size() || o < shape.size())) {
        const auto ci = in_product.constant();
        const auto co = out_product.constant();
        const bool grow_in = o == shape.size() || (i < t.shape.size() && ((ci && co) ? *ci < *co : ci.has_value() || (!co && i - first_in <= o - first_out)));
        if (grow_in)
          in_product = in_product * t.shape[i++];
        else
          out_product = out_product * shape[o++];
      }
      index linear;
      for (std::size_t d = first_out; d < o; ++d)
        linear = linear * shape[d] + at[d];
      index stride(1);
      for (std::size_t d = i; d-- > first_in;) {
        const bool leading = d == first_in;
        inner[d] = leading ? floor_div(linear, stride) : modulo(floor_div(linear, stride), t.shape[d]);
        if (t.shape[d].is(1))
          inner[d] = index(0);
        stride = stride * t.shape[d];
      }
    }
    return inner;
  });
}

void lowering::bind(std::size_t which, tensor_ref t) {
  if (which < node_->outputs.size() && !node_->outputs[which].name.empty())
    env_[node_->outputs[which].name] = std::move(t);
}

result<void> lowering::declare_axes() {
  for (const auto& a : op_.axes) {
    index meaning = index::axis(identifier(a.name));
    if (a.kind == axis_kind::constant)
      meaning = index(a.value);
    if (a.kind == axis_kind::expression) {
      KEVOLVE_TRY(parsed, parse_index(a.expression, names_));
      meaning = parsed;
    }
    names_[a.name] = meaning;
    out_.axis_values.emplace_back(identifier(a.name), meaning);
  }
  return {};
}

result<void> lowering::declare_inputs() {
  const auto shape_of = [&](const tensor_spec& s) -> result<std::vector<index>> {
    std::vector<index> shape;
    for (const auto& e : s.shape) {
      KEVOLVE_TRY(parsed, parse_index(e, names_));
      shape.push_back(parsed);
    }
    return shape;
  };
  for (const auto& o : op_.outputs) {
    KEVOLVE_TRY(shape, shape_of(o));
    out_.output_shapes.push_back(shape);
    out_.output_types.push_back(o.type);
    out_.output_names.push_back(identifier(o.name));
  }
  if (op_.traced->inputs.size() != op_.inputs.size())
    return error{errc::specification, "the graph has " + std::to_string(op_.traced->inputs.size()) + " inputs, the operator " + std::to_string(op_.inputs.size())};
  for (std::size_t i = 0; i < op_.inputs.size(); ++i) {
    KEVOLVE_TRY(shape, shape_of(op_.inputs[i]));
    value v;
    v.name = op_.inputs[i].name;
    v.kind = value::kind_t::input;
    v.type = op_.inputs[i].type;
    v.input = static_cast<int>(i);
    tensor_ref ref{static_cast<int>(i), {}, shape, v.type};
    const auto formal = formals(shape);
    for (std::size_t d = 0; d < shape.size(); ++d)
      if (!shape[d].is(1)) {
        v.dims.push_back(new_dimension(shape[d], d));
        ref.at.push_back(formal[d]);
      }
    out_.input_shapes.push_back(shape);
    out_.input_types.push_back(v.type);
    append(std::move(v));
    out_.input_names.push_back(out_.values.back().name);
    env_[op_.traced->inputs[i].name] = ref;
  }
  return {};
}

result<void> lowering::lower_nodes() {
  std::set<std::string> unknown;
  const auto rule_of = [](const std::string& op) -> lower_rule {
    const auto name = base_name(op);
    for (const auto* table : {&pointwise_rules(), &activation_rules(), &view_rules(), &reduction_rules(), &contraction_rules(), &window_rules(), &search_rules(), &loss_rules(),
                              &resampling_rules(), &update_rules(), &recurrent_rules(), &scan_rules()})
      if (const auto found = table->find(name); found != table->end())
        return found->second;
    return nullptr;
  };
  for (const auto& n : op_.traced->nodes)
    if (rule_of(n.op) == nullptr)
      unknown.insert(n.op);
  if (!unknown.empty()) {
    std::string all;
    for (const auto& u : unknown)
      all += (all.empty() ? "" : ", ") + u;
    return error{errc::synthesizer, "operator \"" + op_.name + "\": the generator does not know " + all};
  }
  for (const auto& n : op_.traced->nodes) {
    node_ = &n;
    rule_of(n.op)(*this);
    if (!problem_.empty())
      return error{errc::synthesizer, "operator \"" + op_.name + "\": " + n.op + " (" + name() + "): " + problem_};
  }
  return {};
}

bool lowering::is_whole_input(const tensor_ref& t) const {
  const auto& v = out_.values[static_cast<std::size_t>(t.value)];
  std::vector<index> formal = formals(t.shape);
  std::erase_if(formal, [](const index& f) { return f.is(0); });
  return v.kind == value::kind_t::input && t.at == formal;
}

/// Storage of the value in row-major order is exactly the tensor's row-major order.
bool lowering::same_layout(const tensor_ref& t) {
  const auto& v = out_.values[static_cast<std::size_t>(t.value)];
  if (v.kind == value::kind_t::input || v.type != t.type)
    return false;
  index linear;
  const auto formal = formals(t.shape);
  for (std::size_t d = 0; d < t.shape.size(); ++d)
    linear = linear * t.shape[d] + formal[d];
  index elements(1);
  for (const auto& d : v.dims)
    elements = elements * d.extent;
  return offset_of(v.dims, t.at) == linear && elements == product(t.shape);
}

result<void> lowering::bind_outputs() {
  if (op_.traced->outputs.size() != op_.outputs.size())
    return error{errc::specification, "the graph has " + std::to_string(op_.traced->outputs.size()) + " outputs, the operator " + std::to_string(op_.outputs.size())};
  for (std::size_t o = 0; o < op_.outputs.size(); ++o) {
    const auto found = env_.find(op_.traced->outputs[o]);
    if (found == env_.end())
      return error{errc::specification, "the graph's output \"" + op_.traced->outputs[o] + "\" is not computed"};
    auto t = found->second;
    if (!(product(t.shape) == product(out_.output_shapes[o])))
      return error{errc::specification, "output \"" + op_.outputs[o].name + "\" of the graph has another number of elements than the definition says"};
    const auto wanted = op_.outputs[o].type;
    const bool free = t.value >= 0 && out_.values[static_cast<std::size_t>(t.value)].outputs.empty();
    if (!same_layout(t) || t.type != wanted || !free)
      t = map(out_.output_names[o] + ".copy", wanted, t.shape, [&](const std::vector<index>& at) { return read(t, at); });
    out_.values[static_cast<std::size_t>(t.value)].outputs.push_back(static_cast<int>(o));
  }
  return {};
}

void lowering::drop_dead_values() {
  std::vector<bool> live(out_.values.size(), false);
  for (std::vector<bool> before; before != live;) { // a step's values need the state that they make
    before = live;
    for (std::size_t i = out_.values.size(); i-- > 0;) {
      auto& v = out_.values[i];
      live[i] = live[i] || !v.outputs.empty() || (v.kind == value::kind_t::input && !v.written) || (v.next_of >= 0 && live[static_cast<std::size_t>(v.next_of)]);
      if (live[i] && v.body)
        for (const int l : loads_of(v.body))
          live[static_cast<std::size_t>(l)] = true;
      if (live[i] && v.next_of >= 0)
        live[static_cast<std::size_t>(v.next_of)] = true;
    }
  }
  std::vector<int> renumbered(out_.values.size(), -1);
  std::vector<value> kept;
  const std::function<expr_ref(const expr_ref&)> renumber = [&](const expr_ref& e) -> expr_ref {
    expr x = *e;
    for (auto& a : x.args)
      a = renumber(a);
    for (auto& a : x.looked_up)
      a = renumber(a);
    if (x.value >= 0)
      x.value = renumbered[static_cast<std::size_t>(x.value)];
    return std::make_shared<const expr>(std::move(x));
  };
  for (std::size_t i = 0; i < out_.values.size(); ++i) {
    if (!live[i])
      continue;
    auto v = std::move(out_.values[i]);
    if (v.body)
      v.body = renumber(v.body);
    if (v.next_of >= 0)
      v.next_of = renumbered[static_cast<std::size_t>(v.next_of)];
    renumbered[i] = static_cast<int>(kept.size());
    kept.push_back(std::move(v));
  }
  out_.values = std::move(kept);
}

result<program> lowering::run() {
  if (!op_.traced)
    return error{errc::synthesizer, "operator \"" + op_.name + "\" has no traced graph (x_kevolve.graph)"};
  KEVOLVE_TRY_VOID(declare_axes());
  KEVOLVE_TRY_VOID(declare_inputs());
  KEVOLVE_TRY_VOID(lower_nodes());
  KEVOLVE_TRY_VOID(bind_outputs());
  drop_dead_values();
  return std::move(out_);
}

result<program> lower(const operator_definition& op) { return lowering(op).run(); }

} // namespace kevolve::synthesis
