// A phase's own loops: plain ones, the vector loop with its copies and rests, scans, and the search for an extreme element.
#include "actors/synthesis/print_phase.hpp"

#include <algorithm>

namespace kevolve::synthesis {

std::string phase_printer::loop_text(pass& s, std::size_t d) {
  const auto& l = s.ph->loops[d];
  const auto v = l.var.single_name();
  std::string first = s.ranged && d == 0 ? v + "_first" : "0";
  std::string last = s.ranged && d == 0 ? v + "_last" : l.extent.text();
  std::string scan;
  if (const auto bounded = s.ph->bounds.find(v); bounded != s.ph->bounds.end()) {
    k_.used.scalar("bounds");
    const auto bound = [&](const expr_ref& e, std::string& border, const char* suffix, const char* function) {
      if (!e)
        return;
      const auto t = s.e->emit(e, d);
      const auto name = s.e->unique(v + suffix);
      scan += "const i64 " + name + " = " + function + "(" + border + ", " + t.code + ");\n";
      border = name;
    };
    bound(bounded->second.first, first, "_from", "larger");
    bound(bounded->second.last, last, "_to", "smaller");
  }
  if (s.ph->scanned == v)
    for (const auto& st : s.statements)
      if (value_of(st).kind == value::kind_t::scan) {
        if (s.row_width > 0)
          k_.used.vector("splat", s.row_width);
        scan += s.row_width > 0 ? "f32x" + std::to_string(s.row_width) + " " + value_of(st).name + "_acc = splat" + std::to_string(s.row_width) + "(" + initial(k_, value_of(st)) + ");\n"
                                : accumulator_type(k_, value_of(st), s.wide || carried_in_lanes(s)) + " " + value_of(st).name + "_acc = " + initial(k_, value_of(st)) + ";\n";
      }
  if (searched_by_vectors(s, d))
    return "i64 " + v + " = " + first + ";\n" + search_text(s, d, v, last);
  if (d != s.vector_at) {
    auto inner = level(s, d + 1);
    inner = drained(s, d + 1) + inner;
    std::string pragma;
    if (const auto taps = l.extent.constant(); taps && *taps <= 8 && !s.ph->bounds.contains(v))
      pragma = "#pragma GCC unroll 8\n"; // a window's taps
    if (s.simd && d + 1 == s.ph->loops.size())
      pragma = "#pragma omp simd reduction(+ : " + value_of(s.statements[0]).name + "_acc)\n";
    return scan + pragma + "for (i64 " + v + " = " + first + "; " + v + " < " + last + "; ++" + v + ") {\n" + indented(inner, 1) + "}\n";
  }
  return scan + "i64 " + v + " = " + first + ";\n" + vector_loops(s, d, v, last, l.extent);
}

bool phase_printer::searched_by_vectors(const pass& s, std::size_t d) const {
  if (d + 1 != s.ph->loops.size() || s.row_width > 0 || s.ranged || n_.width == 0 || s.ph->statements.size() != 1 || k_.real != "float")
    return false;
  const auto& st = s.ph->statements[0];
  const auto c = value_of(st).combine;
  const auto last = s.ph->loops.back().var.single_name();
  if ((c != combiner::argmax && c != combiner::argmin) || st.spatial + 1 != s.ph->loops.size() || last != n_.vector_loop)
    return false;
  bool ok = true;
  walk(st.body->args[0], [&](const expr& x) {
    for (const auto& i : x.at) {
      const auto k = i.coefficient(last);
      ok = ok && k && (k->is(0) || k->is(1));
    }
    ok = ok && x.guards.empty() && x.looked_up.empty() && x.code != op::position && x.code != op::in_range && x.code != op::to_integer && x.code != op::modulo;
    if (x.code == op::load && !x.at.empty() && x.at[0].depends_on(last))
      ok = ok && k_.subject.values[static_cast<std::size_t>(x.value)].type == dtype::float32;
  });
  return ok;
}

std::string phase_printer::search_text(pass& s, std::size_t d, const std::string& v, const std::string& last) {
  const auto& st = s.statements[0];
  const auto& x = value_of(st);
  const bool greatest = x.combine == combiner::argmax;
  constexpr int copies = 4;
  const auto width = std::to_string(n_.width);
  const std::string name = greatest ? "maximum" : "minimum";
  k_.used.vector(name, n_.width);
  k_.used.vector("any", n_.width);
  k_.used.vector("splat", n_.width);
  s.e->vectorize(v, n_.width);
  std::string chunk;
  std::string best;
  for (int c = 0; c < copies; ++c) {
    statement one = st;
    if (c > 0)
      move_loop(one, s.ph->loops[d].var, index(static_cast<std::int64_t>(c) * n_.width));
    s.e->announce({one.body->args[0]});
    const auto t = s.e->emit(one.body->args[0], d + 1);
    const auto local = s.e->unique("best");
    chunk += drained(s, d + 1) + "const f32x" + width + " " + local + " = " + s.e->as_vector(t) + ";\n";
    best = best.empty() ? local : name + "(" + best + ", " + local + ")";
  }
  const auto found = s.e->unique("best");
  chunk += "const f32x" + width + " " + found + " = " + best + ";\n";
  s.e->vectorize("", 0);
  const auto acc = x.name + "_acc";
  const auto step = std::to_string(copies * n_.width);
  auto one = level(s, d + 1);
  one = drained(s, d + 1) + one;
  const auto scalars = [&](const std::string& end) { return "for (; " + v + " < " + end + "; ++" + v + ") {\n" + indented(one, 1) + "}\n"; };
  std::string code = "while (" + v + " + " + step + " <= " + last + ") {\n  const i64 " + v + "_end = " + v + " + " + step + ";\n  {\n" + indented(chunk, 2) + "    if (" + x.name + "_at >= 0 && !any((" +
                     found + (greatest ? " > " : " < ") + acc + ") | (" + found + " != " + found + "))) {\n      " + v + " = " + v + "_end;\n      continue;\n    }\n  }\n" +
                     indented(scalars(v + "_end"), 1) + "}\n";
  return code + scalars(last);
}

std::string phase_printer::vector_loops(pass& s, std::size_t d, const std::string& v, const std::string& last, const index& extent) {
  bool any_reduced = false;
  for (const auto& st : s.statements)
    any_reduced = any_reduced || (reduces(value_of(st)) && st.spatial <= d);
  const int copies = std::max(any_reduced ? s.accumulators : 1, n_.unroll);
  const auto original = s.statements;
  std::string code;
  s.width = n_.width;
  s.e->vectorize(v, n_.width);
  const auto variant = [&](int n) {
    std::string all;
    for (int c = 0; c < n; ++c) {
      s.copy = c;
      s.statements = original;
      for (auto& st : s.statements)
        if (c > 0)
          move_loop(st, s.ph->loops[d].var, index(static_cast<std::int64_t>(c) * n_.width));
      auto inner = level(s, d + 1);
      inner = drained(s, d + 1) + inner;
      all += n > 1 ? "{\n" + indented(inner, 1) + "}\n" : inner;
    }
    s.statements = original;
    s.copy = 0;
    const auto step = std::to_string(n * n_.width);
    code += "for (; " + v + " + " + step + " <= " + last + "; " + v + " += " + step + ") {\n" + indented(all, 1) + "}\n";
  };
  std::optional<std::int64_t> known;
  if (!s.ranged && !s.ph->bounds.contains(v))
    known = extent.constant();
  if (copies > 1 && (!known || *known >= copies * n_.width))
    variant(copies);
  if (copies == 1 || !known || *known % (copies * n_.width) >= n_.width || *known < copies * n_.width)
    variant(1);
  s.width = 0;
  s.e->vectorize("", 0);
  if (!known || *known % n_.width != 0) {
    auto inner = level(s, d + 1);
    inner = drained(s, d + 1) + inner;
    code += "for (; " + v + " < " + last + "; ++" + v + ") {\n" + indented(inner, 1) + "}\n";
  }
  return code;
}

} // namespace kevolve::synthesis
