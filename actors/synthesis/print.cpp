#include "actors/synthesis/print.hpp"

#include <bit>

namespace kevolve::synthesis {

std::string indented(const std::string& code, int levels) {
  std::string out;
  std::size_t at = 0;
  while (at < code.size()) {
    const auto end = code.find('\n', at);
    const auto line = code.substr(at, end == std::string::npos ? end : end - at);
    if (!line.empty() && line[0] != '#')
      out += std::string(static_cast<std::size_t>(2 * levels), ' ');
    out += line + "\n";
    if (end == std::string::npos)
      break;
    at = end + 1;
  }
  return out;
}

index elements_of(const value& v) {
  index n(1);
  for (const auto& d : v.dims)
    n = n * d.extent;
  return n;
}

std::string thread_buffer_text(const workspace_buffer& b, bool threads) {
  return b.type + "* const " + b.name + " = (" + b.type + "*)((char*)" + b.name + "_all" +
         (threads ? " + omp_get_thread_num() * room((" + b.elements + ") * (i64)sizeof(" + b.type + "))" : "") + ");\n";
}

namespace {

/// Rounded to nearest, ties to even.
unsigned bfloat16_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return x != x ? 0x7fc0u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

std::string axes_text(const program& p) {
  std::string out;
  for (std::size_t a = 0; a < p.axis_values.size(); ++a)
    if (p.axis_values[a].second.single_name() == p.axis_values[a].first)
      out += "  const i64 " + p.axis_values[a].first + " = axes[" + std::to_string(a) + "];\n";
  return out;
}

std::string written_text(const value& v) {
  std::string out;
  for (const double x : *v.written) {
    std::string number = is_floating(v.type) ? literal(x, v.type == dtype::float64 ? "double" : "float") : std::to_string(static_cast<std::int64_t>(x));
    if (v.type == dtype::bfloat16)
      number = std::to_string(bfloat16_bits(static_cast<float>(x)));
    out += (out.empty() ? "" : ", ") + number;
  }
  return out;
}

std::string pointers_text(const program& p) {
  std::string out;
  std::string dense;
  for (std::size_t i = 0; i < p.values.size(); ++i) {
    const auto& v = p.values[i];
    if (v.written) {
      out += "  static const " + std::string(c_type(v.type)) + " " + v.name + "[] = {" + written_text(v) + "};\n";
    } else if (v.kind == value::kind_t::input) {
      out += "  const " + std::string(c_type(v.type)) + "* __restrict " + v.name + " = (const " + c_type(v.type) + "*)inputs[" + std::to_string(v.input) + "].data;\n";
    }
    for (const int o : v.outputs)
      out += "  " + std::string(c_type(v.type)) + "* __restrict " + v.name + " = (" + c_type(v.type) + "*)outputs[" + std::to_string(o) + "].data;\n";
  }
  for (std::size_t i = 0; i < p.input_names.size(); ++i)
    dense += (dense.empty() ? "" : " || ") + ("!dense(inputs + " + std::to_string(i) + ")");
  for (std::size_t o = 0; o < p.output_names.size(); ++o)
    dense += (dense.empty() ? "" : " || ") + ("!dense(outputs + " + std::to_string(o) + ")");
  return "  if (" + dense + ")\n    return 1;\n" + out;
}

struct layout {
  std::string total; // sum of bytes
  std::string pointers;
};

layout lay_out(const std::vector<workspace_buffer>& buffers) {
  layout out;
  std::string offset = "0";
  for (const auto& b : buffers) {
    const std::string bytes = "room((" + b.elements + ") * (i64)sizeof(" + b.type + "))";
    out.pointers += "  " + b.type + "* const " + b.name + (b.per_thread ? "_all" : "") + " = (" + b.type + "*)((char*)workspace + " + offset + ");\n";
    const std::string whole = b.per_thread ? "omp_get_max_threads() * " + bytes : bytes;
    offset = offset == "0" ? whole : offset + " + " + whole;
  }
  out.total = offset;
  return out;
}

/// The loop around a team of nests; each thread has buffers for one iteration.
std::string team_text(const program& p, const team& t, const std::string& nests, std::vector<workspace_buffer>& buffers) {
  std::string pointers;
  for (const auto& [value, elements] : t.buffers) {
    const auto& v = p.values[static_cast<std::size_t>(value)];
    buffers.push_back({v.name, c_type(v.type), elements.text(), true});
    pointers += thread_buffer_text(buffers.back());
  }
  const auto loop = t.loop.var.single_name();
  return "#pragma omp parallel\n{\n" + indented(pointers, 1) + "#pragma omp for schedule(dynamic) nowait\n  for (i64 " + loop + " = 0; " + loop + " < " + t.loop.extent.text() +
         "; ++" + loop + ") {\n" + indented(nests, 2) + "  }\n}\n";
}

/// The nest with its first row loop over a thread's share: `rows` of them from `first`.
nest with_share(const nest& n, const index& first, const index& rows) {
  nest own = n;
  const auto name = n.rows[0].var.single_name();
  const index var = index::loop(name, rows);
  own.rows[0] = {var, rows, n.rows[0].name};
  for (auto& ph : own.phases)
    for (auto& st : ph.statements) {
      st.body = substitute(st.body, {{name, first + var}});
      st.target = st.target.substitute({{name, first + var}});
    }
  return own;
}

/// A loop over steps around the nests from `at` on that are in it; moves `at` behind them.
std::string steps_text(kernel_state& k, std::size_t& at, std::vector<workspace_buffer>& buffers) {
  const auto& how = k.how;
  const int which = how.nests[at].recurrence;
  const auto& loop = k.subject.recurrences[static_cast<std::size_t>(which)];
  const auto step = loop.step.single_name();
  const bool divided = how.divided.contains(which);
  const auto all = divided ? how.nests[at].rows[0].extent.text() : "";
  std::string once, body;
  for (; at < how.nests.size() && how.nests[at].recurrence == which; ++at) {
    const nest n = divided ? with_share(how.nests[at], index::axis(step + "_first"), index::axis(step + "_rows")) : how.nests[at];
    auto printed = n.blocked ? print_contraction(k, n) : print_rows(k, n);
    once += printed.once;
    body += (body.empty() ? "" : "\n") + printed.code;
    buffers.insert(buffers.end(), printed.buffers.begin(), printed.buffers.end());
  }
  std::string code = "for (i64 " + step + " = 0; " + step + " < " + loop.steps.text() + "; ++" + step + ") {\n" + indented(body, 1) + "}\n";
  if (!divided)
    return once + code;
  std::string share = "// Each thread takes its rows through all steps.\n";
  share += "const i64 " + step + "_share = (" + all + " + omp_get_num_threads() - 1) / omp_get_num_threads();\n";
  share += "const i64 " + step + "_first = omp_get_thread_num() * " + step + "_share < " + all + " ? omp_get_thread_num() * " + step + "_share : " + all + ";\n";
  share += "const i64 " + step + "_rows = " + all + " - " + step + "_first < " + step + "_share ? " + all + " - " + step + "_first : " + step + "_share;\n";
  return once + "#pragma omp parallel\n{\n" + indented(share + code, 1) + "}\n";
}

const char* prologue = R"(#include "kevolve.h"

typedef kevolve_int64 i64;
extern "C" int omp_get_max_threads(void);
extern "C" int omp_get_num_threads(void);
extern "C" int omp_get_thread_num(void);

)";

const char* dense_text = R"(
// Row-major without gaps?
static int dense(const kevolve_tensor* t) {
  i64 expected = 1;
  for (int d = t->rank - 1; d >= 0; --d) {
    if (t->shape[d] > 1 && t->strides[d] != expected)
      return 0;
    expected *= t->shape[d];
  }
  return 1;
}
)";

} // namespace

std::string print_kernel(const program& p, const plan& how, const std::vector<std::string>& title) {
  kernel_state k{p, how, {}, "float", 0, {}};
  for (const auto& v : p.values)
    if (v.type == dtype::float64)
      k.real = "double";
  std::vector<workspace_buffer> buffers;
  for (std::size_t v = 0; v < p.values.size(); ++v)
    if (how.stored[v] == storage::workspace && p.values[v].next_of < 0) {
      bool computed = false;
      for (const auto& n : how.nests)
        for (const auto& ph : n.phases)
          for (const auto& st : ph.statements)
            computed = computed || st.value == static_cast<int>(v);
      if (computed)
        buffers.push_back({p.values[v].name, c_type(p.values[v].type), elements_of(p.values[v]).text(), false});
    }
  std::string body;
  for (std::size_t n = 0; n < how.nests.size();) {
    if (how.nests[n].recurrence >= 0) {
      body += "\n" + indented(steps_text(k, n, buffers), 1);
      continue;
    }
    const int which = how.nests[n].team;
    std::string code;
    do {
      auto printed = how.nests[n].blocked ? print_contraction(k, how.nests[n]) : print_rows(k, how.nests[n]);
      code += (code.empty() ? "" : "\n") + printed.code;
      buffers.insert(buffers.end(), printed.buffers.begin(), printed.buffers.end());
      ++n;
    } while (which >= 0 && n < how.nests.size() && how.nests[n].team == which);
    if (which >= 0)
      code = team_text(p, how.teams[static_cast<std::size_t>(which)], code, buffers);
    body += "\n" + indented(code, 1);
  }
  std::string out;
  for (const auto& t : title)
    out += t.empty() ? "//\n" : "// " + t + "\n";
  out += prologue;
  out += functions_text(k.used);
  for (const auto& f : k.functions)
    out += "\n" + f;
  out += dense_text;
  const auto space = lay_out(buffers);
  if (!buffers.empty()) {
    out += "\nstatic inline i64 room(i64 bytes) { return (bytes + 4095) / 4096 * 4096; }\n";
    out += "\nextern \"C\" i64 kevolve_workspace_bytes(const i64* axes) {\n  (void)axes;\n" + axes_text(p) + "  return " + space.total + ";\n}\n";
  }
  out += "\nextern \"C\" int kevolve_run(const kevolve_tensor* inputs, kevolve_tensor* outputs, const i64* axes, void* workspace, void*) {\n";
  out += "  (void)axes, (void)workspace;\n";
  out += axes_text(p) + pointers_text(p) + space.pointers + body + "  return 0;\n}\n";
  return out;
}

} // namespace kevolve::synthesis
