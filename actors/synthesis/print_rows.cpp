// Loop nests around rows: phases one after another inside the row, vectors along an inner loop or along the rows themselves.
#include "actors/synthesis/carried.hpp"
#include "actors/synthesis/print.hpp"

#include <algorithm>
#include <limits>

namespace kevolve::synthesis {
namespace {

bool reduces(const value& v) { return v.kind == value::kind_t::reduce; }

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

/// acc <- acc combined with x
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

class row_printer {
public:
  row_printer(kernel_state& k, const nest& n) : k_(k), n_(n) {}

  printed_nest run() {
    printed_nest out;
    for (const auto& ph : n_.phases)
      for (const auto& st : ph.statements)
        if (k_.how.stored[static_cast<std::size_t>(st.value)] == storage::row_buffer) {
          const auto& v = k_.subject.values[static_cast<std::size_t>(st.value)];
          index n(1);
          for (std::size_t l = 0; l < st.spatial; ++l)
            n = n * ph.loops[l].extent;
          out.buffers.push_back({v.name, c_type(v.type), n.text(), true});
        }
    const auto sums = carried_rows(k_, n_);
    out.buffers.insert(out.buffers.end(), sums.begin(), sums.end());
    row_vector_ = !n_.rows.empty() && n_.width > 0 && n_.rows.back().var.single_name() == n_.vector_loop;
    for (const auto& ph : n_.phases)
      row_vector_ = row_vector_ && can_vectorize(k_.subject, k_.how, ph, n_.vector_loop);
    crossed_ = row_vector_ && crosses_rows(n_);
    if (crossed_)
      for (auto& each : crossing_reads(k_.subject, n_))
        crossings_.push_back({each.value, std::move(each.offset), k_.subject.values[static_cast<std::size_t>(each.value)].name + "_tile" + (crossings_.empty() ? "" : std::to_string(crossings_.size()))});
    split_ = n_.rows.empty() && n_.parallel && !n_.phases.empty() && !n_.phases[0].loops.empty() && n_.phases[0].scanned.empty();
    for (std::size_t i = 0; i < n_.phases.size(); ++i)
      for (const auto& st : n_.phases[i].statements) {
        const auto c = value_of(st).combine;
        split_ = split_ && (i == 0 ? (reduces(value_of(st)) && st.spatial == 0 && c != combiner::argmax && c != combiner::argmin && c != combiner::any && c != combiner::all)
                                   : n_.phases[i].loops.empty());
      }
    out.code = "// " + n_.name + "\n" + (split_ ? split_text(out) : loops_text(out));
    return out;
  }

private:
  kernel_state& k_;
  const nest& n_;
  bool row_vector_ = false;
  bool split_ = false;
  bool streamed_ = false;
  bool crossed_ = false; // vectors along the last row loop, neighbours in memory along the one before
  struct crossing {
    int value;
    index offset;
    std::string tile; // the vectors that hold it, one for each step of the loop before the last
  };
  std::vector<crossing> crossings_; // what is read so, and can be turned round in registers
  bool in_tile_ = false;

  const value& value_of(const statement& st) const { return k_.subject.values[static_cast<std::size_t>(st.value)]; }
  bool is_local(const statement& st) const { return st.spatial == 0; }

  std::string buffers_text(const printed_nest& out, bool parallel) const {
    std::string code;
    for (const auto& b : out.buffers)
      if (b.per_thread)
        code += thread_buffer_text(b, parallel);
    return code;
  }

  std::string header(const dimension& d) const {
    const auto v = d.var.single_name();
    return "for (i64 " + v + " = 0; " + v + " < " + d.extent.text() + "; ++" + v + ")";
  }

  std::string loops_text(const printed_nest& out) {
    int copies = row_vector_ ? n_.unroll : 1;
    if (const auto known = row_vector_ ? n_.rows.back().extent.constant() : std::nullopt)
      while (copies > 1 && copies * n_.width > *known)
        copies /= 2;
    std::string inner;
    if (!crossings_.empty()) {
      inner = tiles_text(copies);
    } else if (row_vector_) {
      const auto& last = n_.rows.back();
      const auto v = last.var.single_name();
      const std::string block = std::to_string(n_.width * copies);
      std::string vector;
      const bool jam = copies > 1 && sums_columns(k_.subject, n_); // they share the loop that reduces, what it looks up and what it reads once for all
      if (jam)
        vector = jammed_text(copies);
      for (int c = 0; c < copies && !jam; ++c) {
        const auto one = body_text(n_.width, index(static_cast<std::int64_t>(c) * n_.width));
        vector += copies > 1 ? "{\n" + indented(one, 1) + "}\n" : one;
      }
      inner = "const i64 " + v + "_first = " + v + "_block * " + block + ";\n";
      inner += "if (" + v + "_first + " + block + " <= " + last.extent.text() + ") {\n  const i64 " + v + " = " + v + "_first;\n" + indented(vector, 1);
      // The rest: whole vectors, the last of them over elements computed before, which come out the same.
      const std::string w = std::to_string(n_.width);
      const auto extent = last.extent.text();
      inner += "} else if (" + extent + " >= " + w + ") {\n  for (i64 " + v + "_next = " + v + "_first; " + v + "_next < " + extent + "; " + v + "_next += " + w + ") {\n    const i64 " + v + " = " + v +
               "_next + " + w + " <= " + extent + " ? " + v + "_next : " + extent + " - " + w + ";\n" + indented(body_text(n_.width, index(0)), 2) + "  }\n";
      inner += "} else {\n  for (i64 " + v + " = " + v + "_first; " + v + " < " + extent + "; ++" + v + ") {\n" + indented(body_text(0, index(0)), 2) + "  }\n}\n";
      if (crossed_) { // lines that lie across the vectors are used whole while they are in the cache
        const auto& outer = n_.rows[n_.rows.size() - 2];
        const auto o = outer.var.single_name();
        const auto end = o + "_tile + 16 < " + outer.extent.text() + " ? " + o + "_tile + 16 : " + outer.extent.text();
        inner = "for (i64 " + o + " = " + o + "_tile; " + o + " < (" + end + "); ++" + o + ") {\n" + indented(inner, 1) + "}\n";
      }
      inner = "for (i64 " + v + "_block = 0; " + v + "_block < (" + last.extent.text() + " + " + std::to_string(n_.width * copies - 1) + ") / " + block + "; ++" + v + "_block) {\n" +
              indented(inner, 1) + "}\n";
    } else {
      inner = body_text(0, index(0));
      if (!n_.rows.empty())
        inner = header(n_.rows.back()) + " {\n" + indented(inner, 1) + "}\n";
      else
        inner = "{\n" + indented(inner, 1) + "}\n";
    }
    for (std::size_t r = n_.rows.size() - (crossings_.empty() ? 0 : 1); r-- > 1;) {
      const auto& outer = n_.rows[r - 1];
      const auto v = outer.var.single_name();
      if (r + 1 == n_.rows.size() && row_vector_ && crossed_)
        inner = "for (i64 " + v + "_tile = 0; " + v + "_tile < " + outer.extent.text() + "; " + v + "_tile += 16)\n" + indented(inner, 1);
      else
        inner = header(outer) + "\n" + indented(inner, 1);
    }
    const bool parallel = n_.parallel && !n_.rows.empty();
    std::string share;
    if (parallel) {
      share = "#pragma omp for schedule(static" + (n_.grain > 0 ? ", " + std::to_string(n_.grain) : std::string()) + ")";
      if (n_.rows.size() > 1)
        share += " collapse(" + std::to_string(n_.rows.size()) + ")";
      share += " nowait\n";
    }
    const auto sums = carried_rows(k_, n_);
    std::string code = buffers_text(out, parallel || n_.team >= 0 || n_.recurrence >= 0) + carried_begin(sums) + share + inner + carried_end(k_, n_, sums, parallel);
    if (streamed_)
      code += "#if defined(__SSE__)\n__builtin_ia32_sfence();\n#endif\n";
    const bool braces = parallel || !out.buffers.empty();
    return (parallel ? "#pragma omp parallel\n" : "") + (braces ? "{\n" + indented(code, 1) + "}\n" : code);
  }

  /// The two last row loops in tiles: what lies across the vectors is read along memory, a vector for each row, and turned round in registers. Blocks of rows outside, so that reads go on along the rows.
  std::string tiles_text(int copies) {
    const auto& last = n_.rows.back();
    const auto& before = n_.rows[n_.rows.size() - 2];
    const auto v = last.var.single_name(), o = before.var.single_name();
    const auto w = std::to_string(n_.width), block = std::to_string(n_.width * copies);
    const auto extent = last.extent.text(), width = before.extent.text();
    k_.used.scalar("bounds");
    k_.used.vector("transpose", n_.width);
    k_.used.vector("", n_.width);
    std::string tile;
    for (const auto& c : crossings_) {
      const std::map<std::string, index> row{{v, last.var + index::loop("i", index(1) + index::axis("i"))}, {o, index::loop(o + "_tile", before.extent)}};
      tile += "f32x" + w + " " + c.tile + "[" + w + "];\n#pragma GCC unroll " + w + "\nfor (int i = 0; i < " + w + "; ++i)\n  " + c.tile + "[i] = load" + w + "(" +
              holder_of(k_.subject, c.value).name + " + " + c.offset.substitute(row).text() + ");\ntranspose(" + c.tile + ");\n";
    }
    in_tile_ = true;
    tile += "#pragma GCC unroll " + w + "\nfor (int i = 0; i < " + w + "; ++i) {\n  const i64 " + o + " = " + o + "_tile + i;\n" + indented(body_text(n_.width, index(0)), 1) + "}\n";
    in_tile_ = false;
    const auto rows = [&](const std::string& body) { // whole vectors of rows, the last of them over elements computed before, which come out the same
      return "for (i64 " + v + "_next = " + v + "_first; " + v + "_next < " + v + "_end; " + v + "_next += " + w + ") {\n  const i64 " + v + " = " + v + "_next + " + w + " <= " + v + "_end ? " + v + "_next : " +
             v + "_end - " + w + ";\n" + indented(body, 1) + "}\n";
    };
    std::string rest = "for (i64 " + o + " = " + o + "_tile; " + o + " < smaller(" + o + "_tile + " + w + ", " + width + "); ++" + o + ")\n  if (" + v + "_end - " + v + "_first >= " + w + ") {\n" +
                       indented(rows(body_text(n_.width, index(0))), 2) + "  } else {\n    for (i64 " + v + " = " + v + "_first; " + v + " < " + v + "_end; ++" + v + ") {\n" + indented(body_text(0, index(0)), 3) +
                       "    }\n  }\n";
    return "for (i64 " + v + "_block = 0; " + v + "_block < (" + extent + " + " + std::to_string(n_.width * copies - 1) + ") / " + block + "; ++" + v + "_block)\n  for (i64 " + o + "_tile = 0; " + o +
           "_tile < " + width + "; " + o + "_tile += " + w + ") {\n    const i64 " + v + "_first = " + v + "_block * " + block + ", " + v + "_end = smaller(" + v + "_first + " + block + ", " + extent +
           ");\n    if (" + o + "_tile + " + w + " <= " + width + " && " + v + "_end - " + v + "_first >= " + w + ") {\n" + indented(rows(tile), 3) + "    } else {\n" + indented(rest, 3) + "    }\n  }\n";
  }

  std::string jammed_text(int copies) {
    std::set<int> none;
    return phase_text(n_.phases[0], n_.rows.back().var.single_name(), n_.width, none, false, copies);
  }

  /// All phases of one row (or of `width` rows side by side, shifted by `shift`).
  std::string body_text(int width, const index& shift) {
    std::string code;
    std::set<int> vector_scalars;
    const std::string row = n_.rows.empty() ? "" : n_.rows.back().var.single_name();
    for (const auto& original : n_.phases) {
      phase ph = original;
      if (width > 0 && !shift.is(0))
        for (auto& st : ph.statements)
          shifted(st, n_.rows.back().var, shift);
      code += phase_text(ph, width > 0 ? row : "", width, vector_scalars);
    }
    return code;
  }

  static void shifted(statement& st, const index& var, const index& by) {
    const std::map<std::string, index> names{{var.single_name(), var + by}};
    st.body = substitute(st.body, names);
    st.target = st.target.substitute(names);
  }

  // One phase ---------------------------------------------------------------------------------------------------------------------------
  struct pass {
    const phase* ph = nullptr;
    emitter* e = nullptr;
    std::vector<statement> statements; // as shifted for this copy
    std::size_t vector_at = static_cast<std::size_t>(-1); // which loop is the vector loop
    int width = 0;       // of the current variant; 0: scalar
    int row_width = 0;   // rows are the vector
    int accumulators = 1;
    int copy = 0;
    bool wide = false;   // scalar sums in double
    bool simd = false;
    bool ranged = false; // loop 0 runs from first_ to last_
    int jam = 1;         // vectors of the row side by side, each with its own sum
  };

  /// The statement of one of the vectors side by side.
  statement jammed(const statement& st, int copy) const {
    statement one = st;
    if (copy > 0)
      shifted(one, n_.rows.back().var, index(static_cast<std::int64_t>(copy) * n_.width));
    return one;
  }
  static std::string accumulator_of(const pass& s, const value& v, int copy) { return v.name + "_acc" + (s.jam > 1 ? "_" + std::to_string(copy) : ""); }

  std::string phase_text(const phase& ph, const std::string& row, int row_width, std::set<int>& vector_scalars, bool ranged = false, int jam = 1) {
    std::vector<std::string> names;
    for (const auto& l : ph.loops)
      names.push_back(l.var.single_name());
    emitter e(k_, names);
    e.vector_scalars = vector_scalars;
    e.prefetch = n_.prefetch;
    if (n_.prefetch_rows > 0 && !row_vector_) {
      const auto& last = n_.rows.back();
      e.ahead = {{last.var.single_name(), last.var + index(n_.prefetch_rows)}};
      e.asked_for = read_last_in(ph);
    }
    if (row_width > 0)
      e.vectorize(row, row_width);
    if (in_tile_)
      for (const auto& c : crossings_)
        e.define(e.load_key(c.value, c.offset), {c.tile + "[i]", text_type::real, true}, 0);
    pass s;
    s.ph = &ph;
    s.e = &e;
    s.statements = ph.statements;
    s.row_width = row_width;
    s.ranged = ranged;
    s.jam = jam;
    if (row_width == 0 && n_.width > 0 && !row_vector_)
      for (std::size_t l = 0; l < ph.loops.size(); ++l)
        if ((ph.loops[l].var.single_name() == n_.vector_loop || same_kind(ph.loops[l])) && can_vectorize(k_.subject, k_.how, ph, ph.loops[l].var.single_name()) &&
            vector_position_fits(ph, l))
          s.vector_at = l;
    if (row_width == 0 && n_.width > 0 && !row_vector_ && s.vector_at == static_cast<std::size_t>(-1) && !ph.loops.empty() && neighbours_only(ph))
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

  /// Values that this phase reads and no later one.
  std::set<int> read_last_in(const phase& ph) const {
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

  /// The vector loop named in one phase stands for the loops of the same name in the others.
  bool same_kind(const dimension& d) const {
    for (const auto& ph : n_.phases)
      for (const auto& l : ph.loops)
        if (l.var.single_name() == n_.vector_loop)
          return l.name == d.name && l.extent == d.extent;
    return false;
  }

  /// The last loop, or the last of the loops that every statement keeps.
  static bool vector_position_fits(const phase& ph, std::size_t l) {
    for (const auto& st : ph.statements)
      if (!(l + 1 == ph.loops.size() || l < st.spatial))
        return false;
    return true;
  }

  /// The last loop walks every tensor that it moves in by neighbours.
  bool neighbours_only(const phase& ph) const {
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

  /// A plain sum over neighbours: the compiler may use vectors for it.
  bool plain_simd(const phase& ph) const {
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

  std::string level(pass& s, std::size_t d) {
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

  /// A scan along the vector loop: each vector has its own running result, and what came before is carried in double.
  bool carried_in_lanes(const pass& s) const {
    return s.row_width == 0 && s.vector_at != static_cast<std::size_t>(-1) && s.ph->loops[s.vector_at].var.single_name() == s.ph->scanned;
  }

  bool vector_reduced(const pass& s, const statement& st) const { return s.vector_at != static_cast<std::size_t>(-1) && st.spatial <= s.vector_at; }

  std::string declared(const pass& s, const statement& st) {
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

  /// Vector accumulators join into the scalar one that the rest of the loop used.
  std::string joined(const pass& s, const statement& st) {
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

  std::string finished(pass& s, const statement& st) {
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

  /// A value becomes a local of the row and, where somebody else reads it, a store.
  std::string kept(pass& s, const statement& st, const text& computed) {
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

  std::string stored(pass& s, const statement& st, const text& t) {
    const bool stream = k_.how.streamed.contains(st.value);
    streamed_ = streamed_ || (stream && t.vector);
    return s.e->store(st.value, st.target.text(), t, stream) + "\n";
  }

  std::string innermost(pass& s) {
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

  /// One row's part of a sum of columns.
  std::string added(pass& s, const statement& st, const text& t) {
    const auto& v = value_of(st);
    const auto sums = v.name + "_sums", at = st.target.text();
    if (s.width == 0)
      return sums + "[" + at + "] += " + (is_floating(v.type) ? s.e->as_real(t) : t.code) + ";\n";
    k_.used.vector("", s.width);
    return "store(" + sums + " + " + at + ", load" + std::to_string(s.width) + "(" + sums + " + " + at + ") + " + s.e->as_vector(t) + ");\n";
  }

  std::string jammed_sums(pass& s, const std::vector<expr_ref>& bodies, std::size_t depth) {
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

  std::string drained(pass& s, std::size_t depth) {
    std::string code;
    for (const auto& l : s.e->lifted[depth])
      code += l + "\n";
    s.e->forget(depth);
    return code;
  }

  std::string loop_text(pass& s, std::size_t d) {
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

  /// The place of an extreme element along neighbours: whole vectors are compared first, and few of them hold a better one.
  bool searched_by_vectors(const pass& s, std::size_t d) const {
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

  std::string search_text(pass& s, std::size_t d, const std::string& v, const std::string& last) {
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
        shifted(one, s.ph->loops[d].var, index(static_cast<std::int64_t>(c) * n_.width));
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

  /// The vector loop: as many copies as accumulators and unrolling ask for, then single vectors, then scalars.
  std::string vector_loops(pass& s, std::size_t d, const std::string& v, const std::string& last, const index& extent) {
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
            shifted(st, s.ph->loops[d].var, index(static_cast<std::int64_t>(c) * n_.width));
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

  // A reduction without rows, shared among the threads -----------------------------------------------------------------------------------
  std::string split_text(printed_nest& out) {
    const auto& ph = n_.phases[0];
    const auto v = ph.loops[0].var.single_name();
    std::set<int> none;
    const auto share = phase_text(ph, "", 0, none, true);
    std::string code = "#pragma omp parallel\n{\n  const i64 threads = omp_get_num_threads(), thread = omp_get_thread_num();\n";
    const auto n = ph.loops[0].extent.text();
    // Shares start at multiples of 64 so that vectors stay whole.
    code += "  const i64 " + v + "_share = ((" + n + " + threads - 1) / threads + 63) / 64 * 64;\n";
    code += "  const i64 " + v + "_first = thread * " + v + "_share < " + n + " ? thread * " + v + "_share : " + n + ";\n";
    code += "  const i64 " + v + "_last = " + v + "_first + " + v + "_share < " + n + " ? " + v + "_first + " + v + "_share : " + n + ";\n";
    code += indented(share, 1) + "}\n";
    std::string begin;
    for (const auto& st : ph.statements) {
      const auto& x = value_of(st);
      const auto type = accumulator_type(k_, x, x.combine == combiner::sum && k_.real == "float");
      const auto parts = x.name + "_parts";
      out.buffers.push_back({parts, type, "16 * omp_get_max_threads()", false});
      begin += "for (int thread = 0; thread < omp_get_max_threads(); ++thread)\n  " + parts + "[16 * thread] = " + initial(k_, x) + ";\n";
      code += type + " " + x.name + "_acc = " + initial(k_, x) + ";\nfor (int thread = 0; thread < omp_get_max_threads(); ++thread)\n  " +
              combined(k_, x, x.name + "_acc", parts + "[16 * thread]", 0) + "\n";
      code += "const auto " + row_name(x) + " = " + (is_floating(x.type) ? "(" + k_.real + ")" : "") + x.name + "_acc;\n";
      if (k_.how.stored[static_cast<std::size_t>(st.value)] != storage::row_scalar) {
        emitter e(k_, {});
        code += e.store(st.value, st.target.text(), {row_name(x), is_floating(x.type) ? text_type::real : text_type::integer, false}, false) + "\n";
      }
    }
    for (std::size_t i = 1; i < n_.phases.size(); ++i)
      code += phase_text(n_.phases[i], "", 0, none);
    return "{\n" + indented(begin + code, 1) + "}\n";
  }
};

} // namespace

printed_nest print_rows(kernel_state& k, const nest& n) { return row_printer(k, n).run(); }

} // namespace kevolve::synthesis
