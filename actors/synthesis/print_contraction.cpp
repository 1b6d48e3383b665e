// A product summed over shared loops, after Goto and van de Geijn (2008): both operands are packed into panels, a register block of
// accumulators runs down the panels, and what follows the sum is applied to each finished block while it is in the first cache.
#include "actors/synthesis/print.hpp"

#include <algorithm>

namespace kevolve::synthesis {
namespace {

/// Several loops taken as one: the variable, its extent, and what the original variables are in terms of it.
struct joined_loops {
  std::string var;
  index extent = index(1);
  std::map<std::string, index> meaning;
};

joined_loops join(const std::vector<dimension>& loops, const std::string& otherwise) {
  joined_loops j;
  for (const auto& l : loops) {
    j.extent = j.extent * l.extent;
    j.var += (j.var.empty() ? "" : "_") + l.var.single_name();
  }
  if (loops.empty())
    j.var = otherwise;
  if (loops.size() > 1)
    j.var += "_at";
  const index whole = index::loop(j.var, j.extent);
  index stride(1);
  for (std::size_t l = loops.size(); l-- > 0;) {
    const index quotient = floor_div(whole, stride);
    j.meaning[loops[l].var.single_name()] = l == 0 ? quotient : modulo(quotient, loops[l].extent);
    stride = stride * loops[l].extent;
  }
  return j;
}

class contraction_printer {
public:
  contraction_printer(kernel_state& k, const nest& n) : k_(k), n_(n), b_(*n.blocked) {}

  bool classify() {
    auto loops = loops_of_product(n_);
    if (!loops)
      return false;
    a_ = loops->a;
    bx_ = loops->b;
    batch_ = std::move(loops->batch);
    finite_ = std::move(loops->finite);
    for (const auto& d : batch_)
      if (depends_on(a_, d.var.single_name()))
        batch_of_a_.push_back(d);
    shared_a_ = n_.team < 0 && batch_of_a_.size() < batch_.size();
    j_ = join(loops->columns, "column_at");
    m_ = join(loops->rows, "row_at");
    depth_ = join(n_.phases[0].loops, "depth_at");
    for (const auto* j : {&m_, &j_, &depth_})
      names_.insert(j->meaning.begin(), j->meaning.end());
    a_ = substitute(a_, names_);
    bx_ = substitute(bx_, names_);
    return true;
  }

  printed_nest run() {
    w_ = n_.width;
    k_.used.vector("", w_);
    name_ = n_.name;
    printed_nest out;
    if (n_.recurrence >= 0)
      return steps(std::move(out));
    if (b_.direct) {
      out.code = direct_text();
      return out;
    }
    const auto K = depth_.extent.text();
    const bool whole_depth = b_.kc <= 0 || (depth_.extent.constant() && *depth_.extent.constant() <= b_.kc);
    const auto kc = whole_depth ? "(" + K + ")" : std::to_string(b_.kc);
    const auto M = "(" + m_.extent.text() + ")";
    const auto N = "(" + j_.extent.text() + ")";
    const auto mr = std::to_string(b_.m);
    const auto nr = std::to_string(b_.n);
    const auto share = [](const std::string& extent, const std::string& step) {
      return "((" + extent + " + omp_get_max_threads() * " + step + " - 1) / (omp_get_max_threads() * " + step + ") * " + step + ")";
    };
    const auto rounded = [](const std::string& x, const std::string& step) { return "((" + x + " + " + step + " - 1) / " + step + " * " + step + ")"; };
    // A batch is shared first; blocks only where it is too small to go round.
    std::string batches;
    for (const auto& d : batch_)
      batches += (batches.empty() ? "(" : " * (") + d.extent.text() + ")";
    const auto shared = [&](const std::string& extent, const std::string& step) {
      return batches.empty() ? share(extent, step) : "(" + batches + " >= 2 * omp_get_max_threads() ? " + rounded(extent, step) + " : " + share(extent, step) + ")";
    };
    const auto nc = b_.nc > 0 ? std::to_string((b_.nc + b_.n - 1) / b_.n * b_.n) : n_.parallel && !b_.share_rows ? shared(N, nr) : rounded(N, nr);
    const auto ms = n_.parallel && b_.share_rows ? shared(M, mr) : rounded(M, mr);
    const auto mc = b_.mc > 0 ? std::to_string((b_.mc + b_.m - 1) / b_.m * b_.m) : ms;
    const auto W = std::to_string(w_);
    panel_ = "(" + rounded(M, mr) + " * (" + K + ") + " + W + ")";
    std::string panels;
    for (const auto& d : batch_of_a_)
      panels += "(" + d.extent.text() + ") * ";
    out.buffers = {shared_a_ ? workspace_buffer{name_ + "_a", "float", panels + panel_, false}
                             : workspace_buffer{name_ + "_a", "float", mc + " * " + kc + " + " + W, true},
                   {name_ + "_b", "float", nc + " * " + kc + " + " + W, true},
                   {name_ + "_c", "float", whole_depth ? mr + " * " + nr : ms + " * " + nc, true}};
    std::string code = "const i64 columns = " + nc + ", rows = " + ms + ", row_block = " + mc + ", depth_block = " + kc + ";\n";
    for (const auto& b : out.buffers)
      if (b.per_thread)
        code += thread_buffer_text(b, n_.parallel || n_.team >= 0);
    if (shared_a_)
      code += pack_once_text(rounded(M, mr));
    if (n_.parallel)
      code += "#pragma omp for schedule(dynamic) collapse(" + std::to_string(2 + batch_.size()) + ") nowait\n";
    for (const auto& d : batch_)
      code += "for (i64 " + d.var.single_name() + " = 0; " + d.var.single_name() + " < " + d.extent.text() + "; ++" + d.var.single_name() + ")\n";
    code += "for (i64 column = 0; column < " + N + "; column += columns)\n";
    code += "for (i64 row = 0; row < " + M + "; row += rows) {\n" + indented(item_text(whole_depth), 1) + "}\n";
    if (streamed_)
      code += "#if defined(__SSE__)\n__builtin_ia32_sfence();\n#endif\n";
    out.code = "// " + name_ + ": blocks of " + mr + " x " + nr + "\n" + (n_.parallel ? "#pragma omp parallel\n" : "") + "{\n" + indented(code, 1) + "}\n";
    k_.functions.push_back(tile_text());
    return out;
  }

  /// In a loop over steps: the columns' operand is packed before the first of them, the rows' operand is read where it lies.
  bool suits_steps() const {
    const auto& p = k_.subject;
    const auto step = p.recurrences[static_cast<std::size_t>(n_.recurrence)].step.single_name();
    bool ok = batch_.empty() && finite_.empty() && a_->code == op::load && a_->guards.empty() && a_->looked_up.empty() && a_->at.size() == 1 &&
              p.values[static_cast<std::size_t>(a_->value)].type == dtype::float32 && a_->at[0].coefficient(m_.var) && a_->at[0].coefficient(depth_.var) &&
              !depends_on(bx_, step);
    for (const int v : loads_of(bx_))
      ok = ok && p.values[static_cast<std::size_t>(v)].recurrence != n_.recurrence;
    return ok;
  }

  /// Asks whether the blocks compute the product; empty where they always do.
  std::string finite_text() {
    std::string all;
    for (const int each : finite_) {
      const auto& v = k_.subject.values[static_cast<std::size_t>(each)];
      k_.used.scalar("all_finite");
      all += (all.empty() ? "" : " && ") + ("all_finite(" + v.name + ", " + elements_of(v).text() + ")");
    }
    return all;
  }

private:
  kernel_state& k_;
  const nest& n_;
  const blocking& b_;
  expr_ref a_, bx_;
  std::vector<dimension> batch_;
  joined_loops m_, j_, depth_;
  std::map<std::string, index> names_;
  std::string name_;
  int w_ = 16;
  bool streamed_ = false;
  std::vector<dimension> batch_of_a_; // those of the batch that the rows' operand varies with
  bool shared_a_ = false; // the rows' operand is the same for others of the batch: packed once, all of it
  std::set<int> finite_;
  std::string all_rows_;  // M in whole blocks
  std::string panel_;     // elements of the rows' operand for one of its batch

  printed_nest steps(printed_nest out) {
    const auto nr = std::to_string(b_.n), mr = std::to_string(b_.m), K = depth_.extent.text(), N = "(" + j_.extent.text() + ")";
    const index row_step = *a_->at[0].coefficient(m_.var), depth_step = *a_->at[0].coefficient(depth_.var);
    out.buffers = {{name_ + "_b", "float", "(" + N + " + " + nr + " - 1) / " + nr + " * " + nr + " * (" + K + ") + " + std::to_string(w_), false}};
    out.once = "{ // " + name_ + ": panels for all steps\n  const i64 depth = 0, steps = " + K + ";\n" + indented(pack_text(bx_, j_.var, b_.n, name_ + "_b", "0", N), 1) + "}\n";
    std::string cases;
    const auto known = m_.extent.constant();
    for (int rows = 1; rows <= b_.m; ++rows) {
      const bool whole = rows == b_.m;
      if (known && !(whole ? *known >= rows : *known % b_.m == rows))
        continue;
      cases += (whole ? "default" : "case " + std::to_string(rows)) + std::string(": ") + name_ + "_rows<" + std::to_string(rows) + ">(from, " + row_step.text() + ", " + depth_step.text() + ", " +
               name_ + "_b + j * (" + K + "), " + K + ", c);" + (whole ? "" : " break;") + "\n";
    }
    std::string body = "float c[" + mr + " * " + nr + "];\n";
    body += "const float* const from = " + holder_of(k_.subject, a_->value).name + " + " +
            a_->at[0].substitute({{m_.var, index::loop("i", m_.extent)}, {depth_.var, index(0)}}).text() + ";\n";
    body += "switch (" + m_.extent.text() + " - i < " + mr + " ? " + m_.extent.text() + " - i : " + mr + ") {\n" + indented(cases, 1) + "}\n";
    body += "const i64 block_end = " + m_.extent.text() + ", column_end = " + j_.extent.text() + ";\n" + epilogue_text();
    out.code = "// " + name_ + ": blocks of " + mr + " x " + nr + "\nfor (i64 j = 0; j < " + j_.extent.text() + "; j += " + nr + ")\nfor (i64 i = 0; i < " + m_.extent.text() + "; i += " + mr + ") {\n" +
               indented(body, 1) + "}\n";
    k_.functions.push_back(rows_text());
    return out;
  }

  /// The sums of a block of so many rows, where they lie, times a panel of columns.
  std::string rows_text() const {
    const int vectors = b_.n / w_;
    const auto type = "f32x" + std::to_string(w_);
    std::string code = "// c = some rows of a, where they lie, times a panel of " + std::to_string(b_.n) + " columns; all sums stay in registers.\ntemplate <int rows>\n";
    code += "static __attribute__((noinline)) void " + name_ + "_rows(const float* __restrict a, const i64 row_step, const i64 depth_step, const float* __restrict b, i64 steps, float* __restrict c) {\n";
    std::string sums, products, stores;
    for (int r = 0; r < b_.m; ++r) {
      std::string add, put;
      for (int v = 0; v < vectors; ++v) {
        const auto c = "c" + std::to_string(r) + "_" + std::to_string(v);
        sums += (sums.empty() ? "  " + type + " " : std::string(", ")) + c + "{}";
        add += " " + c + " += a[" + (r ? std::to_string(r) + " * row_step" : "0") + "] * b" + std::to_string(v) + ";";
        put += " store(c + " + std::to_string(r * b_.n + v * w_) + ", " + c + ");";
      }
      const auto guarded = [&](const std::string& line) { return r ? "if constexpr (rows > " + std::to_string(r) + ") {" + line + " }\n" : line.substr(1) + "\n"; };
      products += "    " + guarded(add);
      stores += "  " + guarded(put);
    }
    code += sums + ";\n  for (i64 step = 0; step < steps; ++step, a += depth_step, b += " + std::to_string(b_.n) + ") {\n    const " + type + " ";
    for (int v = 0; v < vectors; ++v)
      code += (v ? ", b" : "b") + std::to_string(v) + " = load" + std::to_string(w_) + "(b + " + std::to_string(v * w_) + ")";
    return code + ";\n" + products + "  }\n" + stores + "}\n";
  }

  /// Small products: sums in registers, operands from where they lie.
  std::string direct_text() {
    const auto W = std::to_string(w_), mr = std::to_string(b_.m), nr = std::to_string(b_.n);
    const int vectors = b_.n / w_;
    emitter e(k_, {depth_.var});
    e.vectorize("j", w_);
    std::vector<expr_ref> as, bs, all;
    for (int v = 0; v < vectors; ++v)
      bs.push_back(substitute(bx_, {{j_.var, index::loop("j", j_.extent) + index(static_cast<std::int64_t>(v) * w_)}}));
    for (int r = 0; r < b_.m; ++r)
      as.push_back(substitute(a_, {{m_.var, index::loop("i", m_.extent) + index(r)}}));
    all = bs;
    all.insert(all.end(), as.begin(), as.end());
    e.announce(all);
    std::string step;
    const auto flushed = [&](const text& t) {
      for (const auto& l : e.lifted[1])
        step += l + "\n";
      e.lifted[1].clear();
      return t;
    };
    for (int v = 0; v < vectors; ++v) {
      const auto t = flushed(e.emit(bs[static_cast<std::size_t>(v)], 1));
      step += "const f32x" + W + " b" + std::to_string(v) + " = " + e.as_vector(t) + ";\n";
    }
    for (int r = 0; r < b_.m; ++r) {
      const auto t = flushed(e.emit(as[static_cast<std::size_t>(r)], 1));
      step += "const float a" + std::to_string(r) + " = " + e.as_real(t) + ";\n";
      for (int v = 0; v < vectors; ++v)
        step += "c" + std::to_string(r) + "_" + std::to_string(v) + " += a" + std::to_string(r) + " * b" + std::to_string(v) + ";\n";
    }
    std::string body, stores;
    for (int r = 0; r < b_.m; ++r)
      for (int v = 0; v < vectors; ++v) {
        const auto c = "c" + std::to_string(r) + "_" + std::to_string(v);
        body += (body.empty() ? "f32x" + W + " " : std::string(", ")) + c + "{}";
        stores += "store(c + " + std::to_string(r * b_.n + v * w_) + ", " + c + ");\n";
      }
    body += ";\n";
    for (const auto& l : e.lifted[0])
      body += l + "\n";
    body += "for (i64 " + depth_.var + " = 0; " + depth_.var + " < " + depth_.extent.text() + "; ++" + depth_.var + ") {\n" + indented(step, 1) + "}\n";
    body += "float c[" + mr + " * " + nr + "];\n" + stores + "const i64 block_end = " + m_.extent.text() + ", column_end = " + j_.extent.text() + ";\n" + epilogue_text();
    std::string code;
    if (n_.parallel)
      code += "#pragma omp for schedule(static) collapse(" + std::to_string(2 + batch_.size()) + ") nowait\n";
    for (const auto& d : batch_)
      code += "for (i64 " + d.var.single_name() + " = 0; " + d.var.single_name() + " < " + d.extent.text() + "; ++" + d.var.single_name() + ")\n";
    code += "for (i64 i = 0; i < " + m_.extent.text() + "; i += " + mr + ")\nfor (i64 j = 0; j < " + j_.extent.text() + "; j += " + nr + ") {\n" + indented(body, 1) + "}\n";
    if (streamed_)
      code += "#if defined(__SSE__)\n__builtin_ia32_sfence();\n#endif\n";
    return "// " + name_ + ": blocks of " + mr + " x " + nr + ", nothing packed\n" + (n_.parallel ? "#pragma omp parallel\n" : "") + "{\n" + indented(code, 1) + "}\n";
  }

  /// Where the packed rows of this one of the batch begin.
  std::string packed_rows() const {
    index at(0);
    for (const auto& d : batch_of_a_)
      at = at * d.extent + d.var;
    return name_ + "_a" + (batch_of_a_.empty() ? "" : " + (" + at.text() + ") * " + panel_);
  }

  /// Each by one thread: a panel's last vectors reach into the next one, which is written after it.
  std::string pack_once_text(const std::string& all_rows) {
    all_rows_ = all_rows;
    std::string code = "for (i64 depth = 0; depth < " + depth_.extent.text() + "; depth += depth_block) {\n";
    code += "  const i64 steps = depth + depth_block < " + depth_.extent.text() + " ? depth_block : " + depth_.extent.text() + " - depth;\n";
    code += indented(pack_text(a_, m_.var, b_.m, packed_rows() + " + depth * " + all_rows_, "0", "(" + m_.extent.text() + ")"), 1) + "}\n";
    if (batch_of_a_.empty())
      return (n_.parallel ? "#pragma omp single\n" : "") + std::string("{\n") + indented(code, 1) + "}\n";
    std::string loops;
    for (const auto& d : batch_of_a_)
      loops += "for (i64 " + d.var.single_name() + " = 0; " + d.var.single_name() + " < " + d.extent.text() + "; ++" + d.var.single_name() + ")\n";
    return (n_.parallel ? "#pragma omp for collapse(" + std::to_string(batch_of_a_.size()) + ")\n" : "") + loops + indented(code, 1);
  }

  std::string item_text(bool whole_depth) {
    const auto mr = std::to_string(b_.m);
    const auto nr = std::to_string(b_.n);
    std::string code = "const i64 column_end = column + columns < " + j_.extent.text() + " ? column + columns : " + j_.extent.text() + ";\n";
    code += "const i64 row_end = row + rows < " + m_.extent.text() + " ? row + rows : " + m_.extent.text() + ";\n";
    code += "for (i64 depth = 0; depth < " + depth_.extent.text() + "; depth += depth_block) {\n";
    std::string in = "const i64 steps = depth + depth_block < " + depth_.extent.text() + " ? depth_block : " + depth_.extent.text() + " - depth;\n";
    in += pack_text(bx_, j_.var, b_.n, name_ + "_b", "column", "column_end");
    in += "for (i64 block = row; block < row_end; block += row_block) {\n";
    in += "  const i64 block_end = block + row_block < row_end ? block + row_block : row_end;\n";
    if (!shared_a_)
      in += indented(pack_text(a_, m_.var, b_.m, name_ + "_a", "block", "block_end"), 1);
    std::string tiles = "float* const c = " + name_ + "_c" + (whole_depth ? std::string() : " + (j - column) * rows + (i - row) * " + nr) + ";\n";
    tiles += name_ + "_tile(" + (shared_a_ ? packed_rows() + " + depth * " + all_rows_ + " + i * steps" : name_ + "_a + (i - block) * steps") + ", " + name_ + "_b + (j - column) * steps, steps, c, depth == 0);\n";
    const auto after = epilogue_text();
    tiles += whole_depth ? after : "if (depth + depth_block >= " + depth_.extent.text() + ") {\n" + indented(after, 1) + "}\n";
    in += "  for (i64 j = column; j < column_end; j += " + nr + ")\n    for (i64 i = block; i < block_end; i += " + mr + ") {\n" + indented(tiles, 3) + "    }\n}\n";
    return code + indented(in, 1) + "}\n";
  }

  /// Panels of `lanes` rows (or columns), step by step down the shared loop; the last panel is filled with zeros.
  std::string pack_text(const expr_ref& e, const std::string& lane, int lanes, const std::string& to, const std::string& first, const std::string& last) {
    const auto R = std::to_string(lanes);
    const auto W = std::to_string(w_);
    const auto& k = depth_.var;
    std::string code = "for (i64 panel = " + first + "; panel < " + last + "; panel += " + R + ") {\n";
    code += "  float* const to = " + to + " + (panel - " + first + ") * steps;\n  i64 step = 0;\n";
    const bool by_lane = lanes % w_ == 0 && contiguous(e, lane);
    const bool by_depth = !by_lane && (lanes <= w_ || lanes % w_ == 0) && contiguous(e, k);
    if (by_lane) {
      std::string body = "const i64 " + k + " = depth + step;\nfor (int l = 0; l < " + R + "; l += " + W + ") {\n  const i64 " + lane + " = panel + l;\n" +
                         indented(vector_value(e, lane, "to + step * " + R + " + l"), 1) + "}\n";
      code += "  if (panel + " + R + " <= " + last + ")\n    for (; step < steps; ++step) {\n" + indented(body, 3) + "    }\n";
      // The last panel: what is beyond the end is not read, and what comes of it is not stored.
      const auto inside = substitute(e, {}, {index::axis(last) - index::loop(lane, index(1)) - index(1)});
      std::string rest = "const i64 " + k + " = depth + step;\nfor (int l = 0; l < " + R + "; l += " + W + ") {\n  const i64 " + lane + " = panel + l;\n" +
                         indented(vector_value(inside, lane, "to + step * " + R + " + l"), 1) + "}\n";
      code += "  else\n    for (; step < steps; ++step) {\n" + indented(rest, 3) + "    }\n";
    } else if (by_depth) {
      k_.used.vector("transpose", w_);
      const int block = std::min(lanes, w_);
      const auto B = std::to_string(block);
      std::string body = "const i64 " + k + " = depth + step;\nfor (int l = 0; l < " + R + "; l += " + B + ") {\n  f32x" + W + " r[" + W + "] = {};\n#pragma GCC unroll 16\n  for (int i = 0; i < " + B +
                         "; ++i) {\n    const i64 " + lane + " = panel + l + i;\n" + indented(vector_value(e, k, "r[i]"), 2) + "  }\n  transpose(r);\n#pragma GCC unroll 16\n  for (int i = 0; i < " + W +
                         "; ++i)\n    store(to + (step + i) * " + R + " + l, r[i]);\n}\n";
      code += "  if (panel + " + R + " <= " + last + ")\n    for (; step + " + W + " <= steps; step += " + W + ") {\n" + indented(body, 3) + "    }\n";
    }
    if (by_lane)
      return code + "}\n";
    emitter s(k_, {k, lane});
    s.announce({e});
    const auto value = s.emit(e, 2);
    std::string rest;
    for (const auto& l : s.lifted[1])
      rest += l + "\n";
    std::string each;
    for (const auto& l : s.lifted[2])
      each += l + "\n";
    each += "to[step * " + R + " + l] = " + s.as_real(value) + ";\n";
    std::string outer;
    for (const auto& l : s.lifted[0])
      outer += l + "\n";
    code += indented(outer, 1);
    code += "  for (; step < steps; ++step) {\n    const i64 " + k + " = depth + step;\n" + indented(rest, 2) + "    int l = 0;\n    for (; l < " + R + " && panel + l < " + last + "; ++l) {\n      const i64 " + lane +
            " = panel + l;\n" + indented(each, 3) + "    }\n    for (; l < " + R + "; ++l)\n      to[step * " + R + " + l] = 0;\n  }\n}\n";
    return code;
  }

  /// All reads walk side by side along `loop`.
  bool contiguous(const expr_ref& e, const std::string& loop) const {
    bool ok = true;
    int reads = 0;
    walk(e, [&](const expr& x) {
      if (x.code == op::load && !x.at.empty()) {
        const auto c = x.at[0].coefficient(loop);
        ok = ok && c && (c->is(1) || c->is(0)) && x.looked_up.empty() && k_.subject.values[static_cast<std::size_t>(x.value)].type == dtype::float32;
        reads += c && c->is(1) ? 1 : 0;
        for (const auto& g : x.guards) { // masked loads
          const auto by = g.coefficient(loop);
          ok = ok && by && (by->is(0) || by->is(1) || by->is(-1));
        }
      }
      if (x.code == op::position || x.code == op::in_range || x.code == op::to_integer || x.code == op::modulo)
        ok = false;
    });
    return ok && reads > 0;
  }

  std::string vector_value(const expr_ref& e, const std::string& along, const std::string& to) {
    emitter v(k_, {});
    v.vectorize(along, w_);
    v.announce({e});
    const auto t = v.emit(e, 0);
    std::string code;
    for (const auto& l : v.lifted[0])
      code += l + "\n";
    return code + (to.rfind("r[", 0) == 0 ? to + " = " + v.as_vector(t) + ";\n" : "store(" + to + ", " + v.as_vector(t) + ");\n");
  }

  std::string epilogue_text() {
    const auto W = std::to_string(w_);
    const auto nr = std::to_string(b_.n);
    const auto mr = std::to_string(b_.m);
    std::string code = "const i64 i_end = i + " + mr + " < block_end ? i + " + mr + " : block_end, j_end = j + " + nr + " < column_end ? j + " + nr + " : column_end;\n";
    code += "for (i64 " + m_.var + " = i; " + m_.var + " < i_end; ++" + m_.var + ") {\n";
    const auto source = "c + (" + m_.var + " - i) * " + nr + " + " + j_.var + " - j";
    code += "  i64 " + j_.var + " = j;\n";
    bool vector = true;
    for (std::size_t p = 1; p < n_.phases.size(); ++p) {
      phase renamed = n_.phases[p];
      for (auto& st : renamed.statements) {
        st.body = substitute(st.body, names_);
        st.target = st.target.substitute(names_);
      }
      vector = vector && can_vectorize(k_.subject, k_.how, renamed, j_.var);
    }
    const auto target = n_.phases[0].statements[0].target.substitute(names_).coefficient(j_.var);
    vector = vector && target && target->is(1);
    if (vector)
      code += "  for (; " + j_.var + " + " + W + " <= j_end; " + j_.var + " += " + W + ") {\n" + indented(finish_text("load" + W + "(" + source + ")", true), 2) + "  }\n";
    code += "  for (; " + j_.var + " < j_end; ++" + j_.var + ") {\n" + indented(finish_text("*(" + source + ")", false), 2) + "  }\n";
    return code + "}\n";
  }

  /// Everything after the sum, for one vector of columns or one column.
  std::string finish_text(const std::string& sum, bool vector) {
    emitter e(k_, {});
    if (vector)
      e.vectorize(j_.var, w_);
    std::vector<statement> all;
    for (const auto& ph : n_.phases)
      for (auto st : ph.statements) {
        st.body = substitute(st.body, names_);
        st.target = st.target.substitute(names_);
        all.push_back(st);
      }
    std::vector<expr_ref> bodies;
    for (std::size_t i = 1; i < all.size(); ++i)
      bodies.push_back(all[i].body);
    e.announce(bodies);
    std::string code;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto& v = k_.subject.values[static_cast<std::size_t>(all[i].value)];
      text t = i == 0 ? text{sum, text_type::real, vector} : e.emit(all[i].body, 0);
      for (const auto& l : e.lifted[0])
        code += l + "\n";
      e.lifted[0].clear();
      code += "const auto " + row_name(v) + " = " + (vector ? e.as_vector(t) : is_floating(v.type) ? e.as_real(t) : t.code) + ";\n";
      t.code = row_name(v);
      t.vector = vector;
      if (vector) {
        t.type = text_type::real;
        e.vector_scalars.insert(all[i].value);
      }
      const bool stream = k_.how.streamed.contains(all[i].value);
      streamed_ = streamed_ || (stream && vector);
      if (k_.how.stored[static_cast<std::size_t>(all[i].value)] != storage::row_scalar)
        code += e.store(all[i].value, all[i].target.text(), t, stream) + "\n";
    }
    return code;
  }

  std::string tile_text() const {
    const int vectors = b_.n / w_;
    const auto W = std::to_string(w_);
    const auto type = "f32x" + W;
    std::string code = "// c (+)= a panel of " + std::to_string(b_.m) + " rows times a panel of " + std::to_string(b_.n) + " columns; all sums stay in registers.\n";
    code += "static __attribute__((noinline)) void " + name_ + "_tile(const float* __restrict a, const float* __restrict b, i64 steps, float* __restrict c, bool first) {\n";
    const auto c_name = [](int r, int v) { return "c" + std::to_string(r) + "_" + std::to_string(v); };
    code += "  " + type + " ";
    for (int r = 0; r < b_.m; ++r)
      for (int v = 0; v < vectors; ++v)
        code += (r + v > 0 ? ", " : "") + c_name(r, v) + "{}";
    code += ";\n  if (!first) {\n";
    for (int r = 0; r < b_.m; ++r) {
      code += "   ";
      for (int v = 0; v < vectors; ++v)
        code += " " + c_name(r, v) + " = load" + W + "(c + " + std::to_string(r * b_.n + v * w_) + ");";
      code += "\n";
    }
    code += "  }\n  for (i64 step = 0; step < steps; ++step, a += " + std::to_string(b_.m) + ", b += " + std::to_string(b_.n) + ") {\n    const " + type + " ";
    for (int v = 0; v < vectors; ++v)
      code += (v ? ", b" : "b") + std::to_string(v) + " = load" + W + "(b + " + std::to_string(v * w_) + ")";
    code += ";\n";
    if (n_.prefetch > 0)
      code += "    __builtin_prefetch((const char*)b + " + std::to_string(n_.prefetch) + ");\n";
    for (int r = 0; r < b_.m; ++r) {
      code += "   ";
      for (int v = 0; v < vectors; ++v)
        code += " " + c_name(r, v) + " += a[" + std::to_string(r) + "] * b" + std::to_string(v) + ";";
      code += "\n";
    }
    code += "  }\n";
    for (int r = 0; r < b_.m; ++r) {
      code += " ";
      for (int v = 0; v < vectors; ++v)
        code += " store(c + " + std::to_string(r * b_.n + v * w_) + ", " + c_name(r, v) + ");";
      code += "\n";
    }
    return code + "}\n";
  }
};

} // namespace

printed_nest print_contraction(kernel_state& k, const nest& n) {
  contraction_printer p(k, n);
  if (!p.classify() || (n.recurrence >= 0 && !p.suits_steps()))
    return print_rows(k, n);
  auto blocked = p.run();
  const auto condition = p.finite_text();
  if (condition.empty())
    return blocked;
  const auto plain = print_rows(k, n);
  blocked.code = "if (" + condition + ") {\n" + indented(blocked.code, 1) + "} else { // infinity times a zero from outside would be NaN\n" + indented(plain.code, 1) + "}\n";
  blocked.buffers.insert(blocked.buffers.end(), plain.buffers.begin(), plain.buffers.end());
  return blocked;
}

} // namespace kevolve::synthesis
