#include "actors/synthesis/emit.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>

namespace kevolve::synthesis {

std::string literal(double x, const std::string& real) {
  const std::string f = real == "float" ? "f" : "";
  if (std::isnan(x))
    return "__builtin_nan" + f + "(\"\")";
  if (std::isinf(x))
    return (x < 0 ? "-__builtin_inf" : "__builtin_inf") + f + "()";
  char out[64];
  std::snprintf(out, sizeof out, real == "float" ? "%.9g" : "%.17g", x);
  std::string s = out;
  if (s.find_first_of(".e") == std::string::npos)
    s += ".0";
  s += f;
  return x < 0 ? "(" + s + ")" : s;
}

namespace {

bool real_storage(dtype t) { return t == dtype::float32 || t == dtype::float64 || t == dtype::bfloat16 || t == dtype::float16; }

const char* function_name(op code) {
  switch (code) {
    case op::exp: return "exp";
    case op::log: return "log";
    case op::log1p: return "log1p";
    case op::expm1: return "expm1";
    case op::sqrt: return "sqrt";
    case op::rsqrt: return "rsqrt";
    case op::tanh: return "tanh";
    case op::erf: return "erf";
    case op::abs: return "abs";
    case op::floor: return "floor";
    case op::ceil: return "ceil";
    case op::round: return "round";
    case op::trunc: return "trunc";
    case op::sin: return "sin";
    case op::cos: return "cos";
    case op::sign: return "sign";
    case op::tan: return "tan";
    case op::asin: return "asin";
    case op::acos: return "acos";
    case op::atan: return "atan";
    case op::sinh: return "sinh";
    case op::cosh: return "cosh";
    case op::asinh: return "asinh";
    case op::acosh: return "acosh";
    case op::atanh: return "atanh";
    case op::erfc: return "erfc";
    case op::lgamma: return "lgamma";
    case op::atan2: return "atan2";
    case op::hypot: return "hypot";
    case op::copysign: return "copysign";
    case op::remainder: return "fmod";
    case op::power: return "pow";
    case op::maximum: return "maximum";
    case op::minimum: return "minimum";
    case op::modulo: return "modulo";
    default: return "";
  }
}

bool from_libm(op code) { return code == op::power || code == op::atan2 || code == op::hypot || code == op::copysign || code == op::remainder; }

const char* bit_sign(op code) {
  switch (code) {
    case op::bit_and: return " & ";
    case op::bit_or: return " | ";
    case op::bit_xor: return " ^ ";
    case op::shift_left: return " << ";
    case op::shift_right: return " >> ";
    default: return "";
  }
}

} // namespace

std::string row_name(const value& v) { return v.name + "_row"; }

const char* c_type(dtype t) {
  switch (t) {
    case dtype::float64: return "double";
    case dtype::float32: return "float";
    case dtype::float16: return "_Float16";
    case dtype::bfloat16: return "unsigned short";
    case dtype::int64: return "i64";
    case dtype::int32: return "int";
    case dtype::int16: return "short";
    case dtype::int8: return "signed char";
    default: return "unsigned char";
  }
}

std::string emitter::unique(const std::string& base) {
  for (;;) {
    const auto name = base + std::to_string(k_.counter++);
    bool taken = false;
    for (const auto& v : k_.subject.values)
      taken = taken || v.name == name;
    for (const auto& a : k_.subject.axis_values)
      taken = taken || a.first == name;
    if (!taken)
      return name;
  }
}

void emitter::announce(const std::vector<expr_ref>& all) {
  uses_.clear();
  const std::function<void(const expr_ref&)> count = [&](const expr_ref& x) {
    if (++uses_[key_of(x, keys_)] > 1)
      return; // its parts are computed once with it
    for (const auto& a : x->args)
      count(a);
    for (const auto& a : x->looked_up)
      count(a);
  };
  for (const auto& e : all) {
    alive_.push_back(e);
    count(e);
  }
}

std::size_t emitter::depth_of(const expr_ref& e) const {
  std::vector<std::string> names;
  walk(e, [&](const expr& x) {
    for (const auto& i : x.at)
      i.names(names);
    for (const auto& g : x.guards)
      g.names(names);
  });
  for (std::size_t d = loops_.size(); d > 0; --d)
    if (std::find(names.begin(), names.end(), loops_[d - 1]) != names.end())
      return d;
  return 0;
}

std::string emitter::load_key(int value, const index& offset) {
  const auto e = load(value, {offset});
  alive_.push_back(e);
  return key_of(e, keys_);
}

void emitter::forget(std::size_t depth) {
  for (std::size_t d = depth; d < scopes_.size(); ++d) {
    scopes_[d].clear();
    lifted[d].clear();
  }
}

std::string emitter::as_real(const text& t) {
  if (t.type == text_type::real)
    return t.code;
  if (t.vector)
    return "__builtin_convertvector(" + t.code + " & 1, f32x" + std::to_string(width_) + ")";
  return "(" + k_.real + ")" + "(" + t.code + ")";
}

std::string emitter::as_vector(const text& t) {
  if (t.vector)
    return t.type == text_type::boolean ? as_real(t) : t.code;
  k_.used.vector("splat", width_);
  return "splat" + std::to_string(width_) + "(" + as_real(t) + ")";
}

text emitter::emit(const expr_ref& e, std::size_t depth) {
  alive_.push_back(e);
  const auto key = key_of(e, keys_);
  for (std::size_t d = 0; d <= depth; ++d)
    if (const auto found = scopes_[d].find(key); found != scopes_[d].end())
      return found->second;
  if (e->code == op::number)
    return build(e, depth);
  const bool row_scalar = e->code == op::load && e->at.empty();
  const std::size_t own = depth_of(e);
  auto t = build(e, std::min(own, depth));
  const bool worth = !row_scalar && e->code != op::position && ((uses_[key] > 1) || (own < depth && e->code != op::in_range && e->code != op::to_real));
  if (!worth)
    return t;
  const std::size_t at = std::min(own, depth);
  const auto name = unique(e->code == op::load ? k_.subject.values[static_cast<std::size_t>(e->value)].name + "_" : "t");
  lifted[at].push_back("const auto " + name + " = " + t.code + ";");
  t.code = name;
  scopes_[at][key] = t;
  return t;
}

std::string emitter::condition(const std::vector<index>& all) const {
  std::string out;
  for (const auto& i : all)
    out += (out.empty() ? "" : " && ") + i.text() + " >= 0";
  return out;
}

std::optional<emitter::lane_reach> emitter::lanes_between(const std::vector<index>& all) {
  lane_reach out{"0", std::to_string(width_ - 1), ""};
  std::vector<index> fixed;
  for (const auto& i : all) {
    if (!i.depends_on(vector_loop_)) {
      fixed.push_back(i);
      continue;
    }
    const auto c = i.coefficient(vector_loop_);
    const auto step = c ? c->constant() : std::nullopt;
    if (!step || *step == 0)
      return std::nullopt;
    k_.used.scalar("bounds");
    const auto size = *step < 0 ? -*step : *step;
    const auto quotient = size == 1 ? "(" + i.text() + ")" : "floor_quotient(" + i.text() + ", " + std::to_string(size) + ")";
    if (*step > 0)
      out.low = "larger(-" + quotient + ", " + out.low + ")";
    else
      out.high = "smaller(" + quotient + ", " + out.high + ")";
  }
  out.always = condition(fixed);
  return out;
}

text emitter::build_load(const expr& e, std::size_t depth) {
  const auto& v = k_.subject.values[static_cast<std::size_t>(e.value)];
  if (e.at.empty())
    return {row_name(v), v.type == dtype::boolean ? text_type::boolean : is_floating(v.type) ? text_type::real : text_type::integer,
            vector_scalars.contains(e.value)};
  index offset = e.at[0];
  for (std::size_t n = 0; n < e.looked_up.size(); ++n) {
    const auto which = emit(e.looked_up[n], depth);
    const auto name = unique("at");
    lifted[depth].push_back("const i64 " + name + " = " + which.code + ";");
    offset = offset.substitute({{"@" + std::to_string(n), index::loop(name, index(1) + index::axis(name))}});
  }
  const std::string& held = holder_of(k_.subject, e.value).name;
  const auto element = [&](const index& at, const std::vector<index>& guards) {
    std::string code = held + "[" + at.text() + "]";
    if (v.type == dtype::bfloat16)
      code = "from_bfloat16(" + code + ")";
    if (v.type == dtype::float16)
      code = "(float)" + code;
    return guards.empty() ? code : "(" + condition(guards) + " ? " + code + " : 0)";
  };
  if (v.type == dtype::bfloat16)
    k_.used.scalar("bfloat16");
  const auto type = v.type == dtype::boolean ? text_type::boolean : real_storage(v.type) ? text_type::real : text_type::integer;
  bool varies = false;
  bool guard_varies = false;
  if (!vector_loop_.empty()) {
    varies = offset.depends_on(vector_loop_);
    for (const auto& g : e.guards)
      guard_varies = guard_varies || g.depends_on(vector_loop_);
  }
  if (!varies && !guard_varies) {
    auto code = element(offset, e.guards);
    if (type == text_type::boolean)
      code = "(" + code + " != 0)";
    if (type == text_type::integer)
      code = "(i64)" + code;
    return {code, type, false};
  }
  const auto width = std::to_string(width_);
  const auto stride = offset.coefficient(vector_loop_);
  if (stride && stride->is(1) && !guard_varies && (v.type == dtype::float32 || v.type == dtype::bfloat16)) {
    k_.used.vector("", width_);
    const auto address = held + " + " + offset.text();
    if (asked_for.contains(e.value))
      if (const auto next = offset.substitute(ahead); !(next == offset))
        lifted[depth].push_back("__builtin_prefetch(" + held + " + " + next.text() + ", 0, 2);"); // the second cache: the first holds this row
    if (prefetch > 0)
      lifted[depth].push_back("__builtin_prefetch((const char*)(" + address + ") + " + std::to_string(prefetch) + ");");
    if (v.type == dtype::bfloat16)
      k_.used.vector("bfloat16_lanes", width_);
    const auto code = (v.type == dtype::bfloat16 ? "load_bfloat16_" : "load") + width + "(" + address + ")";
    return {e.guards.empty() ? code : "(" + condition(e.guards) + " ? " + code + " : f32x" + width + "{})", type, true};
  }
  if (const auto reach = lanes_between(e.guards); stride && reach && v.type == dtype::float32 && (guard_varies || !stride->is(0))) {
    const bool dense = stride->is(1);
    const auto form = stride->is(0) ? "" : dense ? "load_between" : "load_strided";
    if (*form != 0) {
      k_.used.vector(form, width_);
      const auto code = form + width + "(" + held + " + " + offset.text() + (dense ? "" : ", " + stride->text()) + ", " + reach->low + ", " + reach->high + ")";
      return {reach->always.empty() ? code : "(" + reach->always + " ? " + code + " : f32x" + width + "{})", type, true};
    }
  }
  k_.used.vector("lanes", width_);
  const std::map<std::string, index> lane{{vector_loop_, index::loop(vector_loop_, index(1)) + index::loop(lane_variable, index(width_))}};
  std::vector<index> guards;
  for (const auto& g : e.guards)
    guards.push_back(g.substitute(lane));
  const auto code = "lanes" + width + "([&](int " + lane_variable + ") -> float { return " + element(offset.substitute(lane), guards) + "; })";
  return {type == text_type::boolean ? "(" + code + " != 0.0f)" : code, type, true};
}

text emitter::build_in_range(const expr& e) {
  bool varies = false;
  for (const auto& i : e.at)
    varies = varies || (!vector_loop_.empty() && i.depends_on(vector_loop_));
  if (!varies)
    return {"(" + condition(e.at) + ")", text_type::boolean, false};
  if (const auto reach = lanes_between(e.at)) {
    k_.used.vector("between", width_);
    const auto code = "between" + std::to_string(width_) + "(" + reach->low + ", " + reach->high + ")";
    return {reach->always.empty() ? code : "(" + reach->always + " ? " + code + " : i32x" + std::to_string(width_) + "{})", text_type::boolean, true};
  }
  k_.used.vector("lanes", width_);
  std::vector<index> lane;
  for (const auto& i : e.at)
    lane.push_back(i.substitute({{vector_loop_, index::loop(vector_loop_, index(1)) + index::loop(lane_variable, index(width_))}}));
  return {"(lanes" + std::to_string(width_) + "([&](int " + lane_variable + ") -> float { return " + condition(lane) + "; }) != 0.0f)", text_type::boolean, true};
}

text emitter::build_position(const expr& e) {
  if (vector_loop_.empty() || !e.at[0].depends_on(vector_loop_))
    return {"(i64)(" + e.at[0].text() + ")", text_type::integer, false};
  k_.used.vector("lanes", width_);
  const auto lane = e.at[0].substitute({{vector_loop_, index::loop(vector_loop_, index(1)) + index::loop(lane_variable, index(width_))}});
  return {"lanes" + std::to_string(width_) + "([&](int " + lane_variable + ") -> float { return (float)(" + lane.text() + "); })", text_type::real, true};
}

text emitter::build_binary(const expr_ref& e, std::size_t depth) {
  auto a = emit(e->args[0], depth);
  auto b = emit(e->args[1], depth);
  const bool vector = a.vector || b.vector;
  const bool logical = e->code == op::logical_and || e->code == op::logical_or;
  const bool comparison = e->code == op::less || e->code == op::less_equal || e->code == op::equal || e->code == op::not_equal;
  if (logical) {
    const char* sign = e->code == op::logical_and ? " & " : " | ";
    const auto truth = [&](const text& t) {
      if (t.type == text_type::boolean)
        return vector && !t.vector ? "(i32x" + std::to_string(width_) + "{} - (int)" + t.code + ")" : t.code;
      return "(" + t.code + " != 0)";
    };
    return {"(" + truth(a) + sign + truth(b) + ")", text_type::boolean, vector};
  }
  if (const std::string sign = bit_sign(e->code); !sign.empty()) {
    const auto whole = [](const expr_ref& x, const text& t) {
      return x->code == op::number ? "(i64)" + std::to_string(static_cast<std::int64_t>(x->constant)) : "(i64)" + t.code;
    };
    return {"(" + whole(e->args[0], a) + sign + whole(e->args[1], b) + ")", text_type::integer, false};
  }
  auto type = text_type::integer;
  const auto integral = [](const expr_ref& x, const text& t) { return t.type != text_type::real || (x->code == op::number && std::floor(x->constant) == x->constant && std::isfinite(x->constant)); };
  if (!(integral(e->args[0], a) && integral(e->args[1], b) && (a.type != text_type::real || b.type != text_type::real)))
    type = text_type::real;
  if (vector)
    type = text_type::real; // what is whole in a vector is a truth value: exact as a real number
  const auto operand = [&](const expr_ref& x, const text& t) {
    if (type == text_type::integer)
      return x->code == op::number ? "(i64)" + std::to_string(static_cast<std::int64_t>(x->constant)) : "(i64)" + t.code;
    return as_real(t);
  };
  std::string x = operand(e->args[0], a);
  std::string y = operand(e->args[1], b);
  if (e->code == op::maximum || e->code == op::minimum || e->code == op::modulo || from_libm(e->code)) {
    const std::string name = function_name(e->code);
    if (!vector) {
      if (e->code == op::remainder && type == text_type::integer)
        return {"(" + y + " ? " + x + " % " + y + " : 0)", type, false};
      if (from_libm(e->code))
        return {"__builtin_" + name + (k_.real == "float" ? "f" : "") + "(" + as_real(a) + ", " + as_real(b) + ")", text_type::real, false};
      k_.used.scalar(name);
      return {name + "(" + x + ", " + y + ")", type, false};
    }
    if (has_vector_form(name)) {
      k_.used.vector(name, width_);
      return {name + "(" + as_vector({x, text_type::real, a.vector}) + ", " + as_vector({y, text_type::real, b.vector}) + ")", text_type::real, true};
    }
    k_.used.vector("lanes", width_);
    const std::string scalar = from_libm(e->code) ? "__builtin_" + name + "f" : name;
    if (!from_libm(e->code))
      k_.used.scalar(name);
    const auto p = unique("p");
    const auto q = unique("q");
    lifted[depth].push_back("const auto " + p + " = " + as_vector(a) + ", " + q + " = " + as_vector(b) + ";");
    return {"lanes" + std::to_string(width_) + "([&](int " + lane_variable + ") -> float { return " + scalar + "(" + p + "[" + lane_variable + "], " + q + "[" + lane_variable + "]); })", text_type::real, true};
  }
  const char* sign = "";
  switch (e->code) {
    case op::add: sign = " + "; break;
    case op::sub: sign = " - "; break;
    case op::mul: sign = " * "; break;
    case op::div: sign = " / "; break;
    case op::less: sign = " < "; break;
    case op::less_equal: sign = " <= "; break;
    case op::equal: sign = " == "; break;
    default: sign = " != "; break;
  }
  return {"(" + x + sign + y + ")", comparison ? text_type::boolean : type, vector};
}

text emitter::build_call(const expr_ref& e, std::size_t depth) {
  const auto a = emit(e->args[0], depth);
  std::string name = function_name(e->code);
  if (a.type == text_type::integer && !a.vector && (e->code == op::abs || e->code == op::floor || e->code == op::ceil || e->code == op::round || e->code == op::trunc || e->code == op::sign)) {
    if (e->code == op::abs)
      return {"__builtin_llabs(" + a.code + ")", text_type::integer, false};
    if (e->code == op::sign)
      return {"(i64)((" + a.code + " > 0) - (" + a.code + " < 0))", text_type::integer, false};
    return a;
  }
  const std::string x = as_real(a);
  const std::string f = k_.real == "float" ? "f" : "";
  if (!a.vector) {
    if (e->code == op::rsqrt)
      return {"(1 / __builtin_sqrt" + f + "(" + x + "))", text_type::real, false};
    if (e->code == op::abs)
      return {"__builtin_fabs" + f + "(" + x + ")", text_type::real, false};
    if (e->code == op::sign) // NaN stays
      return {"(" + x + " > 0 ? (" + k_.real + ")1 : " + x + " < 0 ? (" + k_.real + ")-1 : " + x + ")", text_type::real, false};
    if (e->code == op::round)
      name = "nearbyint";
    return {"__builtin_" + name + f + "(" + x + ")", text_type::real, false};
  }
  if (has_vector_form(name)) {
    if (e->code == op::exp && (k_.how.approximate.contains("exp") || k_.how.approximate.contains("*")))
      name = "exp_fast";
    k_.used.vector(name, width_);
    return {name + "(" + x + ")", text_type::real, true};
  }
  k_.used.vector("lanes", width_);
  if (e->code == op::round)
    name = "nearbyint";
  const auto p = unique("p");
  lifted[depth].push_back("const auto " + p + " = " + x + ";");
  return {"lanes" + std::to_string(width_) + "([&](int " + lane_variable + ") -> float { return __builtin_" + name + "f(" + p + "[" + lane_variable + "]); })", text_type::real, true};
}

text emitter::build(const expr_ref& e, std::size_t depth) {
  switch (e->code) {
    case op::number: return {literal(e->constant, k_.real), text_type::real, false};
    case op::load: return build_load(*e, depth);
    case op::position: return build_position(*e);
    case op::in_range: return build_in_range(*e);
    case op::neg: {
      const auto a = emit(e->args[0], depth);
      return {"(-" + (a.type == text_type::boolean ? as_real(a) : a.code) + ")", a.type == text_type::boolean ? text_type::real : a.type, a.vector};
    }
    case op::lower_bound:
    case op::upper_bound: {
      const auto x = emit(e->args[0], depth);
      k_.used.scalar("bound_of");
      const auto& sorted = k_.subject.values[static_cast<std::size_t>(e->value)].name;
      return {"bound_of<" + std::string(e->code == op::upper_bound ? "true" : "false") + ">(" + sorted + ", (i64)(" + e->at[0].text() + "), " + x.code + ")", text_type::integer, false};
    }
    case op::logical_not: {
      const auto a = emit(e->args[0], depth);
      if (a.type == text_type::boolean)
        return {(a.vector ? "(~" : "(!") + a.code + ")", text_type::boolean, a.vector};
      return {"(" + a.code + " == 0)", text_type::boolean, a.vector};
    }
    case op::is_nan: {
      const auto a = emit(e->args[0], depth);
      return {"(" + as_real(a) + " != " + as_real(a) + ")", text_type::boolean, a.vector};
    }
    case op::to_real: {
      const auto a = emit(e->args[0], depth);
      return {as_real(a), text_type::real, a.vector};
    }
    case op::to_integer: {
      const auto a = emit(e->args[0], depth);
      if (e->args[0]->code == op::number)
        return {"(i64)" + std::to_string(static_cast<std::int64_t>(e->args[0]->constant)), text_type::integer, false};
      return {"(i64)(" + a.code + ")", text_type::integer, a.vector};
    }
    case op::to_boolean: {
      const auto a = emit(e->args[0], depth);
      return a.type == text_type::boolean ? a : text{"(" + a.code + " != 0)", text_type::boolean, a.vector};
    }
    case op::select: {
      const auto c = emit(e->args[0], depth);
      auto a = emit(e->args[1], depth);
      auto b = emit(e->args[2], depth);
      const bool vector = c.vector || a.vector || b.vector;
      if (a.type == b.type && a.type == text_type::boolean && !vector)
        return {"(" + c.code + " ? " + a.code + " : " + b.code + ")", text_type::boolean, false};
      if (a.type == text_type::integer && (b.type == text_type::integer || e->args[2]->code == op::number) && !vector)
        return {"(" + c.code + " ? " + a.code + " : (i64)" + b.code + ")", text_type::integer, false};
      if (b.type == text_type::integer && e->args[1]->code == op::number && !vector)
        return {"(" + c.code + " ? (i64)" + a.code + " : " + b.code + ")", text_type::integer, false};
      const auto x = vector ? as_vector(a) : as_real(a);
      const auto y = vector ? as_vector(b) : as_real(b);
      return {"(" + c.code + " ? " + x + " : " + y + ")", text_type::real, vector};
    }
    case op::add: case op::sub: case op::mul: case op::div: case op::maximum: case op::minimum: case op::power: case op::modulo: case op::less:
    case op::less_equal: case op::equal: case op::not_equal: case op::logical_and: case op::logical_or:
    case op::atan2: case op::hypot: case op::copysign: case op::remainder: case op::bit_and: case op::bit_or: case op::bit_xor: case op::shift_left:
    case op::shift_right: return build_binary(e, depth);
    default: return build_call(e, depth);
  }
}

std::string emitter::store(int value, const std::string& offset, const text& t, bool stream) {
  const auto& v = k_.subject.values[static_cast<std::size_t>(value)];
  const std::string& held = holder_of(k_.subject, value).name;
  if (t.vector) {
    if (stream && (v.type == dtype::float32 || v.type == dtype::bfloat16)) {
      k_.used.vector(v.type == dtype::bfloat16 ? "stream_bfloat16" : "stream_store", width_);
      return "stream_store(" + held + " + " + offset + ", " + as_vector(t) + ");";
    }
    k_.used.vector(v.type == dtype::bfloat16 ? "bfloat16_lanes" : "", width_);
    return "store(" + held + " + " + offset + ", " + as_vector(t) + ");";
  }
  std::string code = is_floating(v.type) ? as_real(t) : t.code;
  if (v.type == dtype::bfloat16) {
    k_.used.scalar("bfloat16");
    code = "to_bfloat16(" + code + ")";
  }
  if (v.type == dtype::boolean && t.type != text_type::boolean)
    code = "(" + code + " != 0)";
  return held + "[" + offset + "] = " + code + ";";
}

bool scans_by_vectors(const program& p, const phase& ph) {
  return !ph.scanned.empty() && !ph.loops.empty() && ph.loops.back().var.single_name() == ph.scanned &&
         std::all_of(ph.statements.begin(), ph.statements.end(), [&](const statement& st) {
           const auto& v = p.values[static_cast<std::size_t>(st.value)];
           return v.kind != value::kind_t::scan || (v.type == dtype::float32 && (v.combine == combiner::sum || v.combine == combiner::product));
         });
}

bool can_vectorize(const program& p, const plan& how, const phase& ph, const std::string& loop) {
  (void)how;
  if (ph.scanned == loop && !scans_by_vectors(p, ph))
    return false;
  for (const auto& [bounded, by] : ph.bounds) // all lanes of a vector run equally long
    if ((by.first && depends_on(by.first, loop)) || (by.last && depends_on(by.last, loop)))
      return false;
  for (const auto& st : ph.statements) {
    const auto& v = p.values[static_cast<std::size_t>(st.value)];
    if ((v.type != dtype::float32 && v.type != dtype::bfloat16) || v.combine == combiner::argmax || v.combine == combiner::argmin || v.combine == combiner::any || v.combine == combiner::all)
      return false;
    const auto k = st.target.coefficient(loop);
    if (!k || !(k->is(1) || (k->is(0) && !st.carried)))
      return false;
    bool ok = true;
    walk(st.body, [&](const expr& e) {
      if (e.code == op::load) {
        const auto& from = p.values[static_cast<std::size_t>(e.value)];
        const bool varies = !e.at.empty() && e.at[0].depends_on(loop);
        ok = ok && (!varies || from.type == dtype::float32 || from.type == dtype::bfloat16 || from.type == dtype::boolean);
        ok = ok && from.type != dtype::float64;
        for (const auto& l : e.looked_up)
          ok = ok && !depends_on(l, loop);
      }
      if (e.code == op::to_integer)
        for (const auto& a : e.args)
          ok = ok && !depends_on(a, loop);
      if (e.code == op::lower_bound || e.code == op::upper_bound)
        ok = ok && !depends_on(e.args[0], loop);
      if (e.code == op::modulo || e.code == op::position || *bit_sign(e.code) != 0)
        ok = ok && !depends_on(std::make_shared<const expr>(e), loop);
    });
    if (!ok)
      return false;
  }
  return true;
}

} // namespace kevolve::synthesis
