#include "protocol/skill.hpp"

#include <algorithm>

namespace kevolve {

namespace {

bool contains_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view w) { return text.find(w) != std::string_view::npos; });
}

} // namespace

std::string transformation_of(std::string_view summary) {
  const auto open = summary.find('(');
  if (open == std::string_view::npos || summary.empty() || summary.back() != ')')
    return std::string(summary.starts_with("recompute ") ? "recompute" : summary); // "plain stores"; of what is recomputed the name says nothing elsewhere
  const std::string_view verb = summary.substr(0, open);
  if (verb == "flag" || verb == "approximate")
    return std::string(summary);
  const auto comma = summary.find(", ", open);
  return std::string(verb) + "(" + (comma == std::string_view::npos ? "" : std::string(summary.substr(comma + 2, summary.size() - comma - 3))) + ")";
}

std::string features_of(const operator_definition& op) {
  bool contraction = false, reduction = false, gather = false, scan = false;
  for (const auto& node : op.traced ? op.traced->nodes : std::vector<graph_node>{}) {
    const std::string_view name = node.op;
    contraction = contraction || contains_any(name, {"aten.mm.", "aten.bmm.", "matmul", "addmm", "baddbmm", "conv", "linear.", "attention", "einsum"});
    reduction = reduction || contains_any(name, {"softmax", "aten.sum.", "aten.mean.", "norm", "aten.var", "aten.max", "aten.min", "aten.amax", "aten.amin",
                                                 "argmax", "argmin", "logsumexp", "pool", "aten.prod.", "loss"});
    gather = gather || contains_any(name, {"embedding", "aten.index", "gather", "bucketize", "searchsorted", "nll_loss", "aten.take"});
    scan = scan || contains_any(name, {"cumsum", "cumprod", "cummax", "cummin"});
  }
  std::string out;
  for (const auto& [has, name] : {std::pair{contraction, "contraction"}, {reduction, "reduction"}, {gather, "gather"}, {scan, "scan"}})
    if (has)
      out += (out.empty() ? "" : "+") + std::string(name);
  return out.empty() ? "elementwise" : out;
}

void add_evidence(std::vector<skill>& to, const skill& more) {
  const auto same = std::find_if(to.begin(), to.end(), [&](const skill& s) { return s.under == more.under && s.transformation == more.transformation; });
  if (same == to.end()) {
    to.push_back(more);
    return;
  }
  same->trials += more.trials;
  same->wins += more.wins;
  same->failures += more.failures;
  same->log_gain += more.log_gain;
}

schedule transferable(const schedule& of) {
  schedule out;
  out.version = of.version;
  for (schedule_step step : of.steps) {
    const bool by_name = step.verb == "flag" || step.verb == "approximate";
    if (!by_name && step.subject != "*") {
      if (step.verb == "keep" || step.verb == "split" || step.verb == "fuse" || step.verb == "rows")
        continue;
      step.subject = "*";
    }
    const auto same = std::find_if(out.steps.begin(), out.steps.end(), [&](const schedule_step& s) { return s.verb == step.verb && s.subject == step.subject; });
    if (same == out.steps.end())
      out.steps.push_back(std::move(step));
    else
      *same = std::move(step); // the later one was the finer choice
  }
  return out;
}

} // namespace kevolve
