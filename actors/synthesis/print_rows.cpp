// Loop nests around rows: phases one after another inside the row, vectors along an inner loop or along the rows themselves.
#include "actors/synthesis/carried.hpp"
#include "actors/synthesis/print_phase.hpp"

namespace kevolve::synthesis {
namespace {

class row_printer {
public:
  row_printer(kernel_state& k, const nest& n) : k_(k), n_(n), phases_(k, n) {}

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
    phases_.row_vector = !n_.rows.empty() && n_.width > 0 && n_.rows.back().var.single_name() == n_.vector_loop;
    for (const auto& ph : n_.phases)
      phases_.row_vector = phases_.row_vector && can_vectorize(k_.subject, k_.how, ph, n_.vector_loop);
    crossed_ = phases_.row_vector && crosses_rows(n_);
    if (crossed_)
      for (auto& each : crossing_reads(k_.subject, n_))
        phases_.crossings.push_back({each.value, std::move(each.offset), k_.subject.values[static_cast<std::size_t>(each.value)].name + "_tile" + (phases_.crossings.empty() ? "" : std::to_string(phases_.crossings.size()))});
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
  phase_printer phases_;
  bool split_ = false;
  bool crossed_ = false; // vectors along the last row loop, neighbours in memory along the one before

  const value& value_of(const statement& st) const { return k_.subject.values[static_cast<std::size_t>(st.value)]; }

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
    int copies = phases_.row_vector ? n_.unroll : 1;
    if (const auto known = phases_.row_vector ? n_.rows.back().extent.constant() : std::nullopt)
      while (copies > 1 && copies * n_.width > *known)
        copies /= 2;
    std::string inner;
    if (!phases_.crossings.empty()) {
      inner = tiles_text(copies);
    } else if (phases_.row_vector) {
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
    for (std::size_t r = n_.rows.size() - (phases_.crossings.empty() ? 0 : 1); r-- > 1;) {
      const auto& outer = n_.rows[r - 1];
      const auto v = outer.var.single_name();
      if (r + 1 == n_.rows.size() && phases_.row_vector && crossed_)
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
    if (phases_.streamed)
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
    for (const auto& c : phases_.crossings) {
      const std::map<std::string, index> row{{v, last.var + index::loop("i", index(1) + index::axis("i"))}, {o, index::loop(o + "_tile", before.extent)}};
      tile += "f32x" + w + " " + c.tile + "[" + w + "];\n#pragma GCC unroll " + w + "\nfor (int i = 0; i < " + w + "; ++i)\n  " + c.tile + "[i] = load" + w + "(" +
              holder_of(k_.subject, c.value).name + " + " + c.offset.substitute(row).text() + ");\ntranspose(" + c.tile + ");\n";
    }
    phases_.in_tile = true;
    tile += "#pragma GCC unroll " + w + "\nfor (int i = 0; i < " + w + "; ++i) {\n  const i64 " + o + " = " + o + "_tile + i;\n" + indented(body_text(n_.width, index(0)), 1) + "}\n";
    phases_.in_tile = false;
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
    return phases_.phase_text(n_.phases[0], n_.rows.back().var.single_name(), n_.width, none, false, copies);
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
          move_loop(st, n_.rows.back().var, shift);
      code += phases_.phase_text(ph, width > 0 ? row : "", width, vector_scalars);
    }
    return code;
  }


  // A reduction without rows, shared among the threads -----------------------------------------------------------------------------------
  std::string split_text(printed_nest& out) {
    const auto& ph = n_.phases[0];
    const auto v = ph.loops[0].var.single_name();
    std::set<int> none;
    const auto share = phases_.phase_text(ph, "", 0, none, true);
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
      code += phases_.phase_text(n_.phases[i], "", 0, none);
    return "{\n" + indented(begin + code, 1) + "}\n";
  }
};

} // namespace

printed_nest print_rows(kernel_state& k, const nest& n) { return row_printer(k, n).run(); }

} // namespace kevolve::synthesis
