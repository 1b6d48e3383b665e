#include "actors/synthesis/print_phase.hpp"

#include <algorithm>
#include <limits>

namespace kevolve::synthesis {

std::string accumulator_type(const kernel_state& k, const value& v, bool wide) {
  if (v.combine == combiner::any || v.combine == combiner::all)
    return "bool";
  if (v.combine == combiner::argmax || v.combine == combiner::argmin || is_floating(v.type))
    return wide ? "double" : k.real;
  return "i64";
}

std::string initial(const kernel_state& k, const value& v) {
  const bool floating = is_floating(v.type) || v.combine == combiner::argmax || v.combine == combiner::argmin;
  switch (v.combine) {
    case combiner::product: case combiner::all: return "1";
    case combiner::maximum: case combiner::argmax: return floating ? literal(-std::numeric_limits<double>::infinity(), k.real) : "(-9223372036854775807LL - 1)";
    case combiner::minimum: case combiner::argmin: return floating ? literal(std::numeric_limits<double>::infinity(), k.real) : "9223372036854775807LL";
    default: return "0";
  }
}

std::string combined(kernel_state& k, const value& v, const std::string& acc, const std::string& x, int width) {
  switch (v.combine) {
    case combiner::sum: return acc + " += " + x + ";";
    case combiner::product: return acc + " *= " + x + ";";
    case combiner::any: return acc + " |= " + x + ";";
    case combiner::all: return acc + " &= " + x + ";";
    default: break;
  }
  const std::string name = v.combine == combiner::maximum ? "maximum" : "minimum";
  width > 0 ? k.used.vector(name, width) : k.used.scalar(name);
  return acc + " = " + name + "(" + x + ", " + acc + ");";
}

void move_loop(statement& st, const index& var, const index& by) {
  const std::map<std::string, index> names{{var.single_name(), var + by}};
  st.body = substitute(st.body, names);
  st.target = st.target.substitute(names);
}

statement phase_printer::jammed(const statement& st, int copy) const {
  statement one = st;
  if (copy > 0)
    move_loop(one, n_.rows.back().var, index(static_cast<std::int64_t>(copy) * n_.width));
  return one;
}

std::string phase_printer::accumulator_of(const pass& s, const value& v, int copy) { return v.name + "_acc" + (s.jam > 1 ? "_" + std::to_string(copy) : ""); }

std::string phase_printer::phase_text(const phase& ph, const std::string& row, int row_width, std::set<int>& vector_scalars, bool ranged, int jam) {
  std::vector<std::string> names;
  for (const auto& l : ph.loops)
    names.push_back(l.var.single_name());
  emitter e(k_, names);
  e.vector_scalars = vector_scalars;
  e.prefetch = n_.prefetch;
  if (n_.prefetch_rows > 0 && !row_vector) {
    const auto& last = n_.rows.back();
    e.ahead = {{last.var.single_name(), last.var + index(n_.prefetch_rows)}};
    e.asked_for = read_last_in(ph);
  }
  if (row_width > 0)
    e.vectorize(row, row_width);
  if (in_tile)
    for (const auto& c : crossings)
      e.define(e.load_key(c.value, c.offset), {c.tile + "[i]", text_type::real, true}, 0);
  pass s;
  s.ph = &ph;
  s.e = &e;
  s.statements = ph.statements;
  s.row_width = row_width;
  s.ranged = ranged;
  s.jam = jam;
  if (row_width == 0 && n_.width > 0 && !row_vector)
    for (std::size_t l = 0; l < ph.loops.size(); ++l)
      if ((ph.loops[l].var.single_name() == n_.vector_loop || same_kind(ph.loops[l])) && can_vectorize(k_.subject, k_.how, ph, ph.loops[l].var.single_name()) &&
          vector_position_fits(ph, l))
        s.vector_at = l;
  if (row_width == 0 && n_.width > 0 && !row_vector && s.vector_at == static_cast<std::size_t>(-1) && !ph.loops.empty() && neighbours_only(ph))
    s.vector_at = ph.loops.size() - 1; // its own loop, named differently
  s.accumulators = std::max(1, n_.accumulators);
  s.wide = s.vector_at == static_cast<std::size_t>(-1) && row_width == 0 && n_.width == 0 && k_.real == "float";
  s.simd = s.wide && plain_simd(ph);
  s.wide = s.wide && !s.simd;
  const auto inner = level(s, 0);
  std::string code;
  for (const auto& l : e.lifted[0])
    code += l + "\n";
  code += inner;
  for (const auto& st : ph.statements)
    if (row_width > 0 && is_local(st))
      vector_scalars.insert(st.value);
  return code;
}

std::set<int> phase_printer::read_last_in(const phase& ph) const {
  const auto reads = [](const phase& some) {
    std::set<int> all;
    for (const auto& st : some.statements)
      for (const int v : loads_of(st.body))
        all.insert(v);
    return all;
  };
  std::set<int> out = reads(ph);
  const auto self = std::find_if(n_.phases.begin(), n_.phases.end(), [&](const phase& other) { return other.statements[0].value == ph.statements[0].value; });
  for (auto later = self == n_.phases.end() ? self : self + 1; later != n_.phases.end(); ++later)
    for (const int v : reads(*later))
      out.erase(v);
  return out;
}

bool phase_printer::same_kind(const dimension& d) const {
  for (const auto& ph : n_.phases)
    for (const auto& l : ph.loops)
      if (l.var.single_name() == n_.vector_loop)
        return l.name == d.name && l.extent == d.extent;
  return false;
}

bool phase_printer::vector_position_fits(const phase& ph, std::size_t l) {
  for (const auto& st : ph.statements)
    if (!(l + 1 == ph.loops.size() || l < st.spatial))
      return false;
  return true;
}

bool phase_printer::neighbours_only(const phase& ph) const {
  const auto last = ph.loops.back().var.single_name();
  bool ok = can_vectorize(k_.subject, k_.how, ph, last) && vector_position_fits(ph, ph.loops.size() - 1);
  for (const auto& st : ph.statements)
    walk(st.body, [&](const expr& x) {
      for (const auto& i : x.at) {
        const auto c = i.coefficient(last);
        ok = ok && c && (c->is(0) || c->is(1)) && x.guards.empty();
      }
    });
  return ok;
}

bool phase_printer::plain_simd(const phase& ph) const {
  if (ph.statements.size() != 1 || ph.loops.empty())
    return false;
  const auto& st = ph.statements[0];
  const auto& v = value_of(st);
  const auto last = ph.loops.back().var.single_name();
  if (v.combine != combiner::sum || v.type != dtype::float32 || st.spatial + 1 != ph.loops.size() || !can_vectorize(k_.subject, k_.how, ph, last))
    return false;
  bool ok = true;
  walk(st.body, [&](const expr& x) {
    for (const auto& i : x.at) {
      const auto c = i.coefficient(last);
      ok = ok && c && (c->is(0) || c->is(1)) && x.guards.empty();
    }
  });
  return ok;
}

std::string phase_printer::level(pass& s, std::size_t d) {
  std::string open;
  std::string close;
  for (const auto& st : s.statements)
    if (reduces(value_of(st)) && !st.carried && st.spatial == d) {
      open += declared(s, st);
      close += finished(s, st);
    }
  std::string inner = d == s.ph->loops.size() ? innermost(s) : loop_text(s, d);
  return open + inner + close;
}

bool phase_printer::carried_in_lanes(const pass& s) const {
  return s.row_width == 0 && s.vector_at != static_cast<std::size_t>(-1) && s.ph->loops[s.vector_at].var.single_name() == s.ph->scanned;
}

bool phase_printer::vector_reduced(const pass& s, const statement& st) const { return s.vector_at != static_cast<std::size_t>(-1) && st.spatial <= s.vector_at; }

std::string phase_printer::declared(const pass& s, const statement& st) {
  const auto& v = value_of(st);
  const auto acc = v.name + "_acc";
  if (s.row_width > 0 || (s.width > 0 && !vector_reduced(s, st))) {
    const int w = s.row_width > 0 ? s.row_width : s.width;
    k_.used.vector("splat", w);
    std::string code;
    for (int c = 0; c < s.jam; ++c)
      code += "f32x" + std::to_string(w) + " " + accumulator_of(s, v, c) + " = splat" + std::to_string(w) + "(" + initial(k_, v) + ");\n";
    return code;
  }
  std::string code = accumulator_type(k_, v, s.wide && v.combine == combiner::sum) + " " + acc + " = " + initial(k_, v) + ";\n";
  if (v.combine == combiner::argmax || v.combine == combiner::argmin)
    code += "i64 " + v.name + "_at = -1;\n";
  if (vector_reduced(s, st)) {
    k_.used.vector("splat", n_.width);
    for (int a = 0; a < s.accumulators; ++a)
      code += "f32x" + std::to_string(n_.width) + " " + acc + std::to_string(a) + " = splat" + std::to_string(n_.width) + "(" + initial(k_, v) + ");\n";
  }
  return code;
}

std::string phase_printer::joined(const pass& s, const statement& st) {
  const auto& v = value_of(st);
  const auto acc = v.name + "_acc";
  std::string code;
  for (int a = 1; a < s.accumulators; ++a)
    code += combined(k_, v, acc + "0", acc + std::to_string(a), n_.width) + "\n";
  if (v.combine == combiner::sum) {
    k_.used.vector("total", n_.width);
    return code + acc + " += total(" + acc + "0);\n";
  }
  return code + "for (int l = 0; l < " + std::to_string(n_.width) + "; ++l)\n  " + combined(k_, v, acc, acc + "0[l]", 0) + "\n";
}

std::string phase_printer::finished(pass& s, const statement& st) {
  const auto& v = value_of(st);
  if (s.jam > 1) {
    std::string code;
    for (int c = 0; c < s.jam; ++c)
      code += "{\n" + indented(kept(s, jammed(st, c), {accumulator_of(s, v, c), text_type::real, true}), 1) + "}\n";
    return code;
  }
  const auto acc = v.name + "_acc";
  const bool vector = s.row_width > 0 || (s.width > 0 && !vector_reduced(s, st));
  const bool arg = v.combine == combiner::argmax || v.combine == combiner::argmin;
  text t{arg ? v.name + "_at" : (s.wide && v.combine == combiner::sum && is_floating(v.type) ? "(" + k_.real + ")" + acc : acc),
         arg || !(is_floating(v.type) || v.type == dtype::boolean) ? text_type::integer : v.type == dtype::boolean ? text_type::boolean : text_type::real, vector};
  return (vector_reduced(s, st) ? joined(s, st) : "") + kept(s, st, t);
}

std::string phase_printer::kept(pass& s, const statement& st, const text& computed) {
  const auto& v = value_of(st);
  // What depends on no lane (a constant) is still stored to every one of them.
  const text t = !computed.vector && s.e->varies_by_lane(st.target) ? text{s.e->as_vector(computed), text_type::real, true} : computed;
  std::string code;
  if (is_local(st) && !s.ranged) {
    code += "const auto " + row_name(v) + " = " + (v.type == dtype::float32 && !t.vector ? "(float)" : "") + (t.vector ? s.e->as_vector(t) : t.code) + ";\n";
    if (k_.how.stored[static_cast<std::size_t>(st.value)] != storage::row_scalar)
      code += stored(s, st, text{row_name(v), t.vector ? text_type::real : t.type, t.vector});
    return code;
  }
  if (s.ranged) // a thread's share of a reduction
    return v.name + "_parts[16 * omp_get_thread_num()] = " + t.code + ";\n";
  return stored(s, st, t);
}

std::string phase_printer::stored(pass& s, const statement& st, const text& t) {
  const bool stream = k_.how.streamed.contains(st.value);
  streamed = streamed || (stream && t.vector);
  return s.e->store(st.value, st.target.text(), t, stream) + "\n";
}

std::string phase_printer::innermost(pass& s) {
  std::string code;
  std::vector<expr_ref> all;
  for (const auto& st : s.statements)
    for (int c = 0; c < s.jam; ++c)
      all.push_back(jammed(st, c).body);
  s.e->announce(all);
  const std::size_t depth = s.ph->loops.size();
  if (s.jam > 1)
    return jammed_sums(s, all, depth);
  for (const auto& st : s.statements) {
    const auto& v = value_of(st);
    const auto flush = [&] {
      for (const auto& l : s.e->lifted[depth])
        code += l + "\n";
      s.e->lifted[depth].clear();
    };
    if (v.combine == combiner::argmax || v.combine == combiner::argmin) {
      const auto candidate = s.e->emit(st.body->args[0], depth);
      const auto where = s.e->emit(st.body->args[1], depth);
      flush();
      const std::string sign = v.combine == combiner::argmax ? " > " : " < ";
      const auto acc = v.name + "_acc";
      code += "if (" + v.name + "_at < 0 || " + candidate.code + sign + acc + " || (" + candidate.code + " != " + candidate.code + (v.last_nan ? std::string() : " && " + acc + " == " + acc) + ")) {\n  " + acc +
              " = " + candidate.code + ";\n  " + v.name + "_at = " + where.code + ";\n}\n";
      continue;
    }
    auto t = s.e->emit(st.body, depth);
    flush();
    if (st.carried) {
      code += added(s, st, t);
      continue;
    }
    if (v.kind == value::kind_t::map || v.kind == value::kind_t::state) {
      const bool read_again = s.statements.size() > 1;
      if (depth == 0) {
        code += kept(s, st, t);
        continue;
      }
      if (read_again) {
        const auto name = s.e->unique(v.name + "_");
        code += "const auto " + name + " = " + t.code + ";\n";
        t.code = name;
        s.e->define(s.e->load_key(st.value, st.target), t, depth);
      }
      code += stored(s, st, t);
      continue;
    }
    const bool vector = s.row_width > 0 || s.width > 0;
    const int w = s.row_width > 0 ? s.row_width : s.width;
    const std::string x = vector ? s.e->as_vector(t) : v.type == dtype::boolean ? t.code : is_floating(v.type) ? s.e->as_real(t) : t.code;
    std::string acc = v.name + "_acc";
    if (s.width > 0 && vector_reduced(s, st))
      acc += std::to_string(s.copy % s.accumulators);
    if (v.kind == value::kind_t::scan && s.width > 0 && carried_in_lanes(s)) {
      const bool sum = v.combine == combiner::sum;
      k_.used.vector(sum ? "running_sum" : "running_product", w);
      k_.used.vector("splat", w);
      const auto run = s.e->unique(v.name + "_run");
      code += "const auto " + run + " = " + (sum ? "running_sum(" : "running_product(") + x + ");\n";
      code += stored(s, st, text{"(splat" + std::to_string(w) + "((float)" + acc + ")" + (sum ? " + " : " * ") + run + ")", text_type::real, true});
      code += combined(k_, v, acc, run + "[" + std::to_string(w - 1) + "]", 0) + "\n";
      continue;
    }
    code += combined(k_, v, acc, x, vector ? w : 0) + "\n";
    if (v.kind == value::kind_t::scan)
      code += stored(s, st, text{(s.wide || carried_in_lanes(s)) && is_floating(v.type) ? "(" + k_.real + ")" + acc : acc, is_floating(v.type) ? text_type::real : text_type::integer, vector});
  }
  return code;
}

std::string phase_printer::added(pass& s, const statement& st, const text& t) {
  const auto& v = value_of(st);
  const auto sums = v.name + "_sums", at = st.target.text();
  if (s.width == 0)
    return sums + "[" + at + "] += " + (is_floating(v.type) ? s.e->as_real(t) : t.code) + ";\n";
  k_.used.vector("", s.width);
  return "store(" + sums + " + " + at + ", load" + std::to_string(s.width) + "(" + sums + " + " + at + ") + " + s.e->as_vector(t) + ");\n";
}

std::string phase_printer::jammed_sums(pass& s, const std::vector<expr_ref>& bodies, std::size_t depth) {
  std::string sums;
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    const auto& v = value_of(s.statements[i / static_cast<std::size_t>(s.jam)]);
    const auto t = s.e->emit(bodies[i], depth);
    sums += combined(k_, v, accumulator_of(s, v, static_cast<int>(i) % s.jam), s.e->as_vector(t), s.row_width) + "\n";
  }
  std::string code;
  for (const auto& l : s.e->lifted[depth])
    code += l + "\n";
  s.e->lifted[depth].clear();
  return code + sums;
}

std::string phase_printer::drained(pass& s, std::size_t depth) {
  std::string code;
  for (const auto& l : s.e->lifted[depth])
    code += l + "\n";
  s.e->forget(depth);
  return code;
}

} // namespace kevolve::synthesis
