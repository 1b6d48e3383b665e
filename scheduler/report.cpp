#include "scheduler/report.hpp"

#include "actors/fitness.hpp"
#include "scheduler/quantity.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace kevolve::scheduler {

namespace {

const comparison* find_comparison(const workload_timing& timing, const std::string& anchor) {
  for (const comparison& c : timing.comparisons)
    if (c.anchor == anchor)
      return &c;
  return nullptr;
}

std::vector<std::string> anchors_of(const evaluation& e) {
  std::vector<std::string> anchors;
  for (const workload_timing& timing : e.timings)
    for (const comparison& c : timing.comparisons)
      if (std::find(anchors.begin(), anchors.end(), c.anchor) == anchors.end())
        anchors.push_back(c.anchor);
  return anchors;
}

std::string workload_label(const problem& subject, const std::string& uuid) {
  for (const workload& w : subject.workloads)
    if (w.uuid == uuid)
      return label_of(w);
  return short_id(uuid);
}

std::string headline(const session_account& of, const style& how) {
  const auto& o = of.opening;
  std::string text = how.strong(o.subject.op.name) + " on " + to_string(o.on) + ": ";
  if (of.verified && of.verified->holds && of.verified->speedup <= 0)
    return text + "the " + of.root_name() + " stays the leader: nothing that was found is faster\n";
  if (of.verified && of.verified->holds) {
    const std::string by = fmt::format("{} over {}", show_factor(of.verified->speedup), anchor_name(of.verified->best_baseline, of.root_candidate(), of.root_name()));
    text += (of.verified->speedup > 1 ? how.good(by) : how.bad(by)) + fmt::format(" (95% interval {})", interval_text(of.verified->speedup_ci95));
    if (of.verified->speedup <= 1)
      text += "; the baseline stays the leader";
    const diagnosis& d = of.verified->what.diagnosed;
    if (d.roofline_fraction > 0)
      text += fmt::format(", {} of the roof, bound by {}", show_percent(d.roofline_fraction), to_string(d.limited_by));
    return text + "\n";
  }
  if (of.verified)
    return text + how.bad("the best candidate did not hold when it was measured afresh") + (of.verified->what.log.empty() ? "" : ": " + of.verified->what.log) + "\n";
  if (of.best)
    return text + fmt::format("{} over the {} so far; not verified yet\n", show_factor(of.nodes[*of.best].over_root), of.root_name());
  return text + how.bad("nothing passed") + "\n";
}

std::string how_it_ended(const session_account& of, const report_facts& facts) {
  std::string text;
  if (of.finished) {
    text = fmt::format("stopped by {} after {} evaluations in {}", of.finished->stopped_by, of.evaluations, show_duration(of.wall_s));
    if (!of.finished->error.empty())
      text += ": " + of.finished->error;
  } else {
    text = fmt::format("{} after {} evaluations in {}", of.state, of.evaluations, show_duration(of.wall_s));
  }
  if (facts.needed_s > 0)
    text += fmt::format(" ({} of it compiling and measuring)", show_duration(facts.needed_s));
  text += fmt::format("; {}; seed {}\n", outcomes_text(of.outcomes), of.opening.settings.seed);
  if (of.models.asked > 0)
    text += fmt::format("models were asked {} times{}: {} tokens, {:.4f} USD\n", of.models.asked, of.models.failed ? fmt::format(" ({} failed)", of.models.failed) : "",
                        of.models.tokens, of.models.usd);
  if (!of.written_on.empty()) {
    std::string agents;
    for (const auto& [agent, candidates] : of.written_on)
      agents += fmt::format("{}{} ({})", agents.empty() ? "" : ", ", agent, candidates);
    text += fmt::format("candidates were written on {}{}\n", agents, of.moved ? fmt::format("; {} of them went there from an agent that gave nothing", of.moved) : "");
  }
  return text;
}

/// Only where there was something to choose among.
std::string synthesizers_report(const session_account& of, const style& how) {
  if (of.synthesizers.size() < 2)
    return "";
  table rows({{"synthesizer"}, {"proposals", align::right}, {"passed", align::right}, {"gains", align::right}, {"cost", align::right}});
  for (const known_synthesizer& s : of.synthesizers)
    rows.add({s.name, std::to_string(s.record.proposals), std::to_string(s.record.passed), std::to_string(s.record.gains), fmt::format("{:.4f} USD", s.record.cost_usd)});
  return "\n" + how.strong(fmt::format("Who wrote (chosen by {})", of.opening.settings.ensemble == ensemble_kind::bandit ? "the bandit" : of.opening.settings.weights.empty() ? "turns" : "weight")) +
         "\n" + rows.render(how);
}

} // namespace

std::string interval_text(const interval& i) { return fmt::format("{} to {}", show_factor(i.low), show_factor(i.high)); }

std::vector<overall> overall_speedups(const evaluation& e) {
  std::vector<overall> all;
  for (const std::string& anchor : anchors_of(e))
    if (const auto a = search::against(e, anchor); a && a->workloads == e.timings.size())
      all.push_back({anchor, std::exp(a->log_ratio), a->error < 0 ? interval{} : interval{std::exp(a->low()), std::exp(a->high())}});
  return all;
}

double needed_seconds(const stage_times& spent, unsigned compile_slots) {
  return spent.compile_s / std::max(1u, compile_slots) + spent.check_s + spent.measure_s + spent.profile_s;
}

std::string anchor_name(const std::string& anchor, const candidate_id& root, const std::string& root_name) {
  if (anchor == "eager")
    return "PyTorch eager";
  if (anchor == "compile")
    return "torch.compile";
  return anchor == root && !root.empty() ? root_name : anchor.empty() ? "nothing" : short_id(anchor);
}

std::string outcomes_text(const std::vector<std::pair<outcome, std::uint32_t>>& outcomes) {
  std::string text;
  for (const auto& [what, count] : outcomes)
    if (count)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, to_string(what));
  return text.empty() ? "no evaluations" : text;
}

std::string progress_line(const std::string& operator_name, const session_progress& p) {
  std::string text = operator_name + "  ";
  if (p.best_latency_s > 0) {
    text += fmt::format("best {} ({} over plain", show_latency(p.best_latency_s), show_factor(p.best_over_root));
    if (p.roofline_fraction > 0)
      text += fmt::format(", {} of the roof", show_percent(p.roofline_fraction));
    text += ")  ";
  } else {
    text += "nothing passed yet  ";
  }
  text += p.evaluations_budget ? fmt::format("{}/{} evaluations", p.evaluations, p.evaluations_budget) : fmt::format("{} evaluations", p.evaluations);
  if (p.evaluations)
    text += " (" + outcomes_text(p.outcomes) + ")";
  text += p.time_left_s >= 0 ? fmt::format("  {} left", show_duration(p.time_left_s)) : fmt::format("  {}", show_duration(p.elapsed_s));
  if (!p.phase.empty() && p.phase != "searching")
    text += "  " + p.phase;
  else if (!p.best_edge.empty())
    text += "  " + p.best_edge;
  return text;
}

std::string lineage_report(const session_account& of, node_number number, const style& how) {
  table steps({{"step", align::right}, {"gain", align::right}, {"so far", align::right}, {"latency", align::right}, {"change and reason"}});
  for (const node_account* n : lineage(of, number)) {
    std::string what = n->edge.summary.empty() ? n->edge.kind : n->edge.summary;
    if (n->parents.size() > 1)
      what += fmt::format(" (with step {})", n->parents[1]);
    if (n->result && *n->result != outcome::passed)
      what += fmt::format(" [{}]", to_string(*n->result));
    if (!n->edge.reason.empty())
      what += ": " + n->edge.reason;
    steps.add({std::to_string(n->number), n->parents.empty() ? "" : show_factor(n->gain), show_factor(n->over_root), show_latency(n->latency_s), what});
  }
  return steps.render(how);
}

std::string timing_table(const problem& subject, const evaluation& e, const candidate_id& root, const style& how, const std::string& root_name) {
  const std::vector<std::string> anchors = anchors_of(e);
  std::vector<table::column> columns{{"workload"}, {"latency", align::right}, {"of the roof", align::right}};
  for (const std::string& anchor : anchors)
    columns.push_back({"vs " + anchor_name(anchor, root, root_name), align::left});
  table rows(columns);
  for (const workload_timing& timing : e.timings) {
    std::vector<std::string> cells{workload_label(subject, timing.workload), show_latency(timing.latency_s), show_percent(timing.roofline_fraction)};
    for (const std::string& anchor : anchors) {
      const comparison* c = find_comparison(timing, anchor);
      cells.push_back(c ? fmt::format("{} ({}; it takes {})", show_factor(c->ratio), interval_text(c->ratio_ci95), show_latency(c->anchor_s)) : "");
    }
    rows.add(std::move(cells));
  }
  const std::vector<overall> totals = overall_speedups(e);
  if (e.timings.size() > 1 && !totals.empty()) {
    std::vector<std::string> cells{"all (geometric mean)", "", show_percent(e.diagnosed.roofline_fraction)};
    for (const std::string& anchor : anchors) {
      const auto at = std::find_if(totals.begin(), totals.end(), [&](const overall& o) { return o.baseline == anchor; });
      cells.push_back(at == totals.end() ? "" : fmt::format("{} ({})", show_factor(at->speedup), interval_text(at->ci95)));
    }
    rows.add(std::move(cells));
  }
  return rows.empty() ? "" : rows.render(how);
}

std::string diagnosis_report(const diagnosis& d, const style& how) {
  std::string text = fmt::format("  bound by {}", how.strong(to_string(d.limited_by)));
  if (d.roofline_fraction > 0)
    text += fmt::format(", {} of the roof", show_percent(d.roofline_fraction));
  if (d.achieved_bytes_per_s > 0)
    text += fmt::format(", {}", show_rate(d.achieved_bytes_per_s, "B"));
  if (d.achieved_flops > 0)
    text += fmt::format(", {}", show_rate(d.achieved_flops, "FLOP"));
  text += "\n";
  std::string counted;
  for (const counter& c : d.counters) {
    std::string name = c.name;
    std::replace(name.begin(), name.end(), '_', ' ');
    counted += fmt::format("{}{} {:.4g}", counted.empty() ? "  counted in one call of each workload: " : ", ", name, c.value);
  }
  if (!counted.empty())
    text += counted + "\n";
  for (const std::string& hint : d.hints)
    text += "  hint: " + hint + "\n";
  for (const std::string& remark : d.remarks)
    text += how.faint("  compiler: " + remark) + "\n";
  return text;
}

std::string session_report(const session_account& of, const report_facts& facts, const style& how) {
  std::string text = headline(of, how) + how_it_ended(of, facts);
  if (of.verified && of.verified->what.where.device.find("described by") != std::string::npos)
    text += "device   " + of.verified->what.where.device + "\n";
  if (of.verified && !of.verified->what.timings.empty())
    text += "\n" + timing_table(of.opening.subject, of.verified->what, of.root_candidate(), how, of.root_name());
  if (of.best) {
    text += "\n" + how.strong("What made it faster, step by step") + "\n" + lineage_report(of, *of.best, how);
    const node_account& best = of.nodes[*of.best];
    if (!facts.source.empty())
      text += "\nsource   " + facts.source + "\n";
    text += fmt::format("explain  {0} explain {1}{2}\nverify   {0} verify {1}{2}\n", facts.command, short_id(best.candidate), facts.data_option);
  }
  text += synthesizers_report(of, how);
  if (of.restarts || of.resumed || of.discarded)
    text += fmt::format("\nresumed {} times, {} actors restarted, {} late results not counted\n", of.resumed, of.restarts, of.discarded);
  if (!facts.missing.empty()) {
    text += "\n" + how.strong("What is missing") + "\n";
    for (const std::string& each : facts.missing)
      text += "  " + wrap(each, 110, "  ") + "\n";
  }
  return text;
}

std::string sessions_table(const std::vector<kb::session_summary>& sessions, const style& how) {
  table rows({{"session"}, {"operator"}, {"target"}, {"state"}, {"evaluations", align::right}, {"best", align::right}, {"opened"}});
  for (const kb::session_summary& s : sessions) {
    std::string state = s.state;
    if (!s.stopped_by.empty() && s.state == "finished")
      state += " (" + s.stopped_by + ")";
    rows.add({s.session, s.definition, to_string(s.on), state, std::to_string(s.evaluations), s.best_speedup > 0 ? show_factor(s.best_speedup) : "",
              show_time(s.opened_ms)});
  }
  return rows.empty() ? "no sessions yet; start one with: kevolve optimize OPERATOR\n" : rows.render(how, "");
}

std::string leaders_table(const std::vector<kb::leader>& leaders, const std::vector<std::pair<std::string, std::string>>& names, const style& how) {
  table rows({{"operator"}, {"hardware"}, {"workload"}, {"leader"}, {"speedup", align::right}, {"95% interval"}, {"latency", align::right}, {"session"}});
  for (const kb::leader& l : leaders) {
    const auto name = std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.first == l.workload; });
    const std::string workload = l.workload.empty() ? "all" : name == names.end() ? short_id(l.workload) : name->second;
    rows.add({l.definition, l.hardware, workload, short_id(l.candidate), show_factor(l.speedup), interval_text(l.speedup_ci95), show_latency(l.latency_s), l.session});
  }
  return rows.empty() ? "no leaders yet; find one with: kevolve optimize OPERATOR\n" : rows.render(how, "");
}

} // namespace kevolve::scheduler
