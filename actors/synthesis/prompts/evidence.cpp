#include "actors/synthesis/prompts/evidence.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace kevolve::synthesis {
namespace {

using words_list = std::vector<std::string_view>; // a list in a table must own its words' places

bool holds(std::string_view text, const words_list& words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view w) { return text.find(w) != text.npos; });
}

struct kind_words {
  const char* kind;
  words_list operations; // parts of names of ATen operations
  words_list types;      // parts of an operator's type or name
};

const std::vector<kind_words>& kind_table() {
  static const std::vector<kind_words> table{
    {"attention", {"scaled_dot_product"}, {"attention", "mla", "gqa"}},
    {"matmul", {"aten.mm.", "aten.bmm.", "matmul", "addmm", "baddbmm", "linear.", "einsum"}, {"gemm", "matmul"}},
    {"convolution", {"conv"}, {"conv"}},
    {"softmax", {"softmax", "logsumexp"}, {"softmax"}},
    {"norm", {"norm", "aten.rsqrt", "aten.var"}, {"norm"}},
    {"loss", {"loss"}, {"loss", "cross_entropy"}},
    {"embedding", {"embedding"}, {"embedding"}},
    {"gather", {"aten.index", "gather", "bucketize", "searchsorted", "aten.take"}, {"gather", "jagged", "map_id", "bucketize"}},
    {"scan", {"cumsum", "cumprod", "cummax", "cummin"}, {"scan", "cumsum"}},
    {"pooling", {"pool"}, {"pool"}},
    {"sort", {"sort", "topk", "median", "kthvalue"}, {"sort", "topk"}},
    {"reduction", {"aten.sum.", "aten.mean.", "aten.amax", "aten.amin", "argmax", "argmin", "aten.prod.", "aten.max", "aten.min"}, {"reduce", "reduction"}},
    {"transpose", {"aten.permute", "aten.transpose", "aten.t."}, {"transpose"}},
  };
  return table;
}

std::string first_line(std::string_view text, std::size_t bytes) {
  auto from = text.find_first_not_of(" \t\r\n");
  if (from == text.npos)
    return "";
  text = text.substr(from, text.find('\n', from) - from);
  return text.size() <= bytes ? std::string(text) : std::string(text.substr(0, bytes)) + "…";
}

/// The line of a log that says most: the first with "error", else the first.
std::string telling_line(const std::string& log, std::size_t bytes) {
  for (const char* word : {" error:", "error: ", "undefined", "refused"})
    if (auto at = log.find(word); at != log.npos) {
      auto begin = log.rfind('\n', at);
      return first_line(std::string_view(log).substr(begin == log.npos ? 0 : begin + 1), bytes);
    }
  return first_line(log, bytes);
}

const std::string& why_it_failed(const evaluation& e) { return e.correct.failed_case.empty() ? e.log : e.correct.failed_case; }

std::string milliseconds(double s) { return s < 1e-3 ? fmt::format("{:.1f} us", s * 1e6) : fmt::format("{:.3f} ms", s * 1e3); }

std::string bottleneck_text(const attempt& a, const std::string& root) {
  if (a.result != outcome::passed) {
    std::string text = fmt::format("It did not pass: {}.", to_string(a.result));
    if (a.evaluated && !why_it_failed(*a.evaluated).empty())
      text += " What was said first: " + telling_line(why_it_failed(*a.evaluated), 400);
    return text + " Make it correct before making it fast.";
  }
  const diagnosis& d = a.diagnosed;
  std::string text = fmt::format("It passed and is {:.2f} times as fast as {}", a.fitness, root);
  text += d.roofline_fraction > 0 ? fmt::format(", at {:.0f}% of this host's roof.", 100 * d.roofline_fraction) : ". This device's roof is not known.";
  if (d.limited_by != bound::unknown)
    text += fmt::format(" It is bound by {}.", to_string(d.limited_by));
  if (d.bytes > 0 && d.achieved_bytes_per_s > 0)
    text += fmt::format(" It must move {:.3g} MB and moves {:.3g} GB/s.", d.bytes * 1e-6, d.achieved_bytes_per_s * 1e-9);
  if (d.operations > 0 && d.achieved_flops > 0)
    text += fmt::format(" It computes {:.3g} MFLOP at {:.3g} GFLOP/s.", d.operations * 1e-6, d.achieved_flops * 1e-9);
  for (const std::string& hint : d.hints)
    text += "\n- " + hint;
  return text;
}

void add(std::vector<std::string>& to, std::string what) {
  if (std::find(to.begin(), to.end(), what) == to.end())
    to.push_back(std::move(what));
}

} // namespace

std::vector<std::string> kinds_of(const operator_definition& op) {
  std::vector<std::string> kinds;
  for (const kind_words& row : kind_table()) {
    bool has = holds(op.op_type, row.types) || holds(op.name, row.types);
    if (op.traced)
      for (const auto& node : op.traced->nodes)
        has = has || holds(node.op, row.operations);
    if (has)
      kinds.emplace_back(row.kind);
  }
  if (kinds.empty())
    kinds.emplace_back("elementwise");
  return kinds;
}

std::vector<std::string> signals_in(std::string_view log) {
  static const std::vector<std::pair<const char*, words_list>> slugs{
    {"undefined_symbol", {"undefined symbol", "undefined reference", "may not use"}},
    {"undeclared", {"was not declared", "undeclared identifier", "is not a member of", "use of undeclared"}},
    {"type_mismatch", {"cannot convert", "no matching function", "invalid conversion", "incompatible type"}},
    {"missing_include", {"No such file or directory", "file not found"}},
    {"target_intrinsic", {"target specific option mismatch", "inlining failed in call to"}},
    {"syntax", {"expected ';'", "expected '}'", "expected primary-expression", "expected unqualified-id"}},
    {"constructor", {"constructor", "init_array"}},
    {"flag_refused", {"list of flags", "flag is refused", "may not be used"}},
    {"segmentation_fault", {"SIGSEGV", "signal 11", "segmentation"}},
    {"out_of_memory", {"out of memory", "SIGKILL", "bad_alloc"}},
    {"too_much_shared_memory", {"too much shared data", "out of resource: shared memory"}},
    {"lds_overflow", {"local memory (", "exceeds limit"}},
  };
  std::vector<std::string> found;
  for (const auto& [slug, words] : slugs)
    if (holds(log, words))
      found.push_back(std::string("error:") + slug);
  if (holds(log, {"spill stores", "spilled"}))
    found.emplace_back("counter:spills");
  return found;
}

std::string shortened(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes)
    return std::string(text);
  auto head = text.rfind('\n', bytes * 2 / 3);
  auto tail = text.find('\n', text.size() - bytes / 3);
  if (head == text.npos || tail == text.npos || tail <= head)
    return std::string(text.substr(0, bytes)) + "…";
  const auto lines = std::count(text.begin() + static_cast<std::ptrdiff_t>(head), text.begin() + static_cast<std::ptrdiff_t>(tail), '\n');
  return fmt::format("{}\n[{} lines left out]{}", text.substr(0, head), lines, text.substr(tail));
}

std::string in_one_line(const attempt& a, const std::string& root) {
  std::string line = first_line(a.edge.summary.empty() ? root : a.edge.summary, 100) + ": ";
  if (a.result == outcome::passed)
    return line + fmt::format("passed, {:.2f}x of its parent's speed, {:.2f}x of {}'s", a.gain, a.fitness, root);
  line += to_string(a.result);
  if (a.evaluated && !why_it_failed(*a.evaluated).empty())
    line += ": " + telling_line(why_it_failed(*a.evaluated), 140);
  return line;
}

std::string evaluation_text(const problem& subject, const attempt& a, std::size_t bytes) {
  if (!a.evaluated)
    return in_one_line(a);
  const evaluation& e = *a.evaluated;
  std::string text = fmt::format("outcome: {}\n", to_string(e.result));
  if (!e.correct.failed_case.empty())
    text += "failed: " + e.correct.failed_case + "\n";
  if (e.result == outcome::passed) {
    text += fmt::format("largest error against the float64 reference: {:.3g} absolute, {:.3g} relative\n", e.correct.max_absolute_error, e.correct.max_relative_error);
    for (const workload_timing& t : e.timings) {
      auto named = std::find_if(subject.workloads.begin(), subject.workloads.end(), [&](const workload& w) { return w.uuid == t.workload; });
      text += fmt::format("{}: {}{}\n", named == subject.workloads.end() ? t.workload : named->name, milliseconds(t.latency_s),
                          t.roofline_fraction > 0 ? fmt::format(", {:.0f}% of the roof", 100 * t.roofline_fraction) : "");
    }
    for (const counter& c : e.diagnosed.counters)
      text += fmt::format("{}: {:.4g}\n", c.name, c.value);
    for (std::size_t i = 0; i < std::min<std::size_t>(6, e.diagnosed.remarks.size()); ++i)
      text += "compiler: " + e.diagnosed.remarks[i] + "\n";
  }
  if (e.result != outcome::passed && !e.log.empty())
    text += "messages:\n" + e.log + "\n";
  return shortened(text, bytes);
}

namespace {

/// What a diagnosis' sentence recommends, as signals.
std::vector<std::string> hints_in(std::string_view hint) {
  static const std::vector<std::pair<const char*, const char*>> slugs{
    {"fewer threads", "fewer_threads"}, {"no vectorised loop", "vectorise"}, {"stream outputs", "streaming_stores"}, {"fuse passes", "fuse"},
    {"only fewer bytes", "fewer_bytes"}, {"more independent accumulators", "more_accumulators"}, {"wider vectors", "wider_vectors"},
    {"register blocking", "register_blocking"}, {"packed operands", "pack_operands"}, {"break chains", "break_chains"}, {"parallelise over the outer", "parallelise_outer"}};
  std::vector<std::string> found;
  for (const auto& [words, slug] : slugs)
    if (hint.find(words) != hint.npos)
      found.push_back(std::string("hint:") + slug);
  return found;
}

} // namespace

evidence evidence_of(const problem& subject, const context& given) {
  evidence found;
  for (const std::string& kind : kinds_of(subject.op))
    found.signals.push_back("operator:" + kind);
  if (given.parent) {
    const attempt& a = *given.parent;
    found.bottleneck = bottleneck_text(a, given.root);
    if (a.result == outcome::passed) {
      if (a.diagnosed.limited_by != bound::unknown)
        add(found.signals, fmt::format("bound:{}", to_string(a.diagnosed.limited_by)));
      for (const std::string& hint : a.diagnosed.hints) {
        found.words += hint + "\n";
        for (std::string& signal : hints_in(hint))
          add(found.signals, std::move(signal));
      }
    } else {
      add(found.signals, fmt::format("outcome:{}", to_string(a.result)));
      if (a.evaluated) {
        for (std::string& signal : signals_in(a.evaluated->log))
          add(found.signals, std::move(signal));
        found.words += shortened(why_it_failed(*a.evaluated), 1500);
      }
    }
  }
  std::vector<const attempt*> told;
  for (const attempt& a : given.siblings)
    told.push_back(&a);
  for (auto a = given.trajectory.rbegin(); a != given.trajectory.rend(); ++a)
    told.push_back(&*a);
  // What failed and what moved the time most teaches most.
  auto weight = [](const attempt& a) { return a.result != outcome::passed ? 1.0 : a.gain > 0 ? std::max(a.gain, 1 / a.gain) - 1 : 0.0; };
  std::stable_sort(told.begin(), told.end(), [&](const attempt* a, const attempt* b) { return weight(*a) > weight(*b); });
  for (const attempt* a : told)
    add(found.tried, in_one_line(*a, given.root));
  return found;
}

} // namespace kevolve::synthesis
