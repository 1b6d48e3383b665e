#include "scheduler/answers.hpp"

#include "actors/fitness.hpp"
#include "scheduler/quantity.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;

object known(double value) { return std::isfinite(value) && value > 0 ? object(value) : object(nullptr); }
object interval_object(const interval& i) { return i.high > 0 ? object::array({i.low, i.high}) : object(nullptr); }
/// Compiler messages and people's file names may hold anything: invalid UTF-8 is replaced, not thrown over.
std::string text_of(const object& value) { return value.dump(2, ' ', false, object::error_handler_t::replace); }

/// "eager", "compile", "plain", or a candidate id; where no plain loop nest could be written, "first_passed" stands for the root.
struct root_word {
  candidate_id root;
  std::string word = "plain";
  root_word(candidate_id id) : root(std::move(id)) {}
  explicit root_word(const session_account& of) : root(of.root_candidate()), word(of.root_by_model ? "first_passed" : "plain") {}
};
std::string baseline_word(const std::string& baseline, const root_word& root) { return baseline == root.root ? root.word : baseline; }

object outcomes_object(const std::vector<std::pair<outcome, std::uint32_t>>& outcomes) {
  object counted = object::object();
  for (std::uint64_t i = 0; i <= enum_max(outcome{}); ++i)
    counted[std::string(to_string(static_cast<outcome>(i)))] = 0;
  for (const auto& [what, count] : outcomes)
    counted[std::string(to_string(what))] = count;
  return counted;
}

object timings_object(const problem& subject, const evaluation& e, const root_word& root) {
  object all = object::array();
  for (const workload_timing& timing : e.timings) {
    object one;
    one["workload"] = timing.workload;
    for (const workload& w : subject.workloads)
      if (w.uuid == timing.workload) {
        one["name"] = label_of(w);
        for (const auto& [axis, value] : w.axes)
          one["axes"][axis] = value;
      }
    one["latency_s"] = known(timing.latency_s);
    one["latency_ci"] = interval_object(timing.latency_ci95);
    one["samples"] = timing.samples;
    one["roof_s"] = known(timing.roof_s);
    one["roofline_fraction"] = known(timing.roofline_fraction);
    one["comparisons"] = object::array();
    for (const comparison& c : timing.comparisons)
      one["comparisons"].push_back({{"baseline", baseline_word(c.anchor, root)}, {"speedup", known(c.ratio)}, {"speedup_ci", interval_object(c.ratio_ci95)},
                                    {"baseline_s", known(c.anchor_s)}, {"blocks", c.blocks}});
    all.push_back(std::move(one));
  }
  return all;
}

object baselines_object(const evaluation& e, const root_word& root) {
  object all = object::object();
  for (const overall& o : overall_speedups(e))
    all[baseline_word(o.baseline, root)] = {{"speedup", o.speedup}, {"speedup_ci", interval_object(o.ci95)}};
  return all;
}

object stages_object(const stage_times& spent) {
  return {{"compile_s", spent.compile_s}, {"check_s", spent.check_s},   {"measure_s", spent.measure_s},
          {"profile_s", spent.profile_s}, {"queued_s", spent.queued_s}, {"cpu_s", spent.cpu_s}};
}

object best_object(const session_account& of, const report_facts& facts) {
  if (!of.best)
    return nullptr;
  const node_account& n = of.nodes[*of.best];
  const bool verified = of.verified && of.verified->holds && of.verified->number == n.number;
  object best;
  best["candidate"] = n.candidate;
  best["number"] = n.number;
  best["verified"] = verified;
  best["speedup"] = known(verified ? of.verified->speedup : n.over_root);
  best["speedup_ci"] = verified ? interval_object(of.verified->speedup_ci95) : object(nullptr);
  best["baseline"] = verified ? baseline_word(of.verified->best_baseline, root_word(of)) : root_word(of).word;
  best["latency_s"] = known(verified ? search::mean_latency_s(of.verified->what) : n.latency_s);
  const diagnosis& d = verified ? of.verified->what.diagnosed : n.diagnosed;
  best["roofline_fraction"] = known(d.roofline_fraction);
  best["bound"] = std::string(to_string(d.limited_by));
  best["source"] = facts.source.empty() ? object(nullptr) : object(facts.source);
  if (verified) {
    best["baselines"] = baselines_object(of.verified->what, root_word(of));
    best["workloads"] = timings_object(of.opening.subject, of.verified->what, root_word(of));
  }
  return best;
}

object lineage_object(const session_account& of, node_number number) {
  object steps = object::array();
  for (const node_account* n : lineage(of, number))
    steps.push_back({{"number", n->number}, {"candidate", n->candidate}, {"parents", n->parents}, {"memory", std::string(to_string(n->memory))},
                     {"prior", n->prior}, {"written_on", n->agent.empty() ? object(nullptr) : object(n->agent)}, {"moves", n->moves}, {"kind", n->edge.kind}, {"summary", n->edge.summary}, {"reason", n->edge.reason},
                     {"outcome", n->result ? object(std::string(to_string(*n->result))) : object(nullptr)}, {"gain", known(n->gain)},
                     {"over_plain", known(n->over_root)}, {"latency_s", known(n->latency_s)}});
  return steps;
}

object diagnosis_object(const diagnosis& d) {
  object counters = object::object();
  for (const counter& c : d.counters)
    counters[c.name] = c.value;
  return {{"bound", std::string(to_string(d.limited_by))}, {"roofline_fraction", known(d.roofline_fraction)}, {"bytes", known(d.bytes)},
          {"operations", known(d.operations)}, {"achieved_bytes_per_s", known(d.achieved_bytes_per_s)}, {"achieved_flops", known(d.achieved_flops)},
          {"counters", counters}, {"hints", d.hints}, {"remarks", d.remarks}};
}

} // namespace

std::string error_answer(const error& why) {
  return text_of({{"error", {{"code", to_string(why.code)}, {"message", why.message}, {"exit_code", exit_code(why.code)}}}});
}

std::string session_answer(const session_account& of, const report_facts& facts) {
  object answer;
  answer["session"] = of.opening.session;
  answer["operator"] = of.opening.subject.op.name;
  answer["target"] = to_string(of.opening.on);
  answer["hardware"] = of.opening.hardware;
  if (!of.opening.settings.hosts.empty())
    answer["hosts"] = of.opening.settings.hosts;
  if (of.verified && of.verified->what.where.device.find("described by") != std::string::npos)
    answer["device"] = of.verified->what.where.device;
  answer["seed"] = of.opening.settings.seed;
  answer["policy"] = std::string(to_string(of.opening.settings.policy));
  answer["state"] = of.state;
  answer["evaluations"] = of.evaluations;
  answer["outcomes"] = outcomes_object(of.outcomes);
  answer["best"] = best_object(of, facts);
  answer["stopped_by"] = of.finished ? object(of.finished->stopped_by) : object(of.state == "paused" ? object("paused") : object(nullptr));
  if (!facts.waits_for.empty())
    answer["waits_for"] = facts.waits_for;
  answer["wall_s"] = of.wall_s;
  answer["cpu_s"] = of.cpu_s;
  answer["needed_s"] = known(facts.needed_s);
  answer["stages"] = stages_object(of.spent);
  answer["proposals"] = of.nodes.size();
  if (of.models.asked > 0)
    answer["models"] = {{"asked", of.models.asked}, {"failed", of.models.failed}, {"tokens", of.models.tokens}, {"usd", of.models.usd}};
  answer["ensemble"] = std::string(to_string(of.opening.settings.ensemble));
  answer["synthesizers"] = object::array();
  for (const known_synthesizer& s : of.synthesizers)
    answer["synthesizers"].push_back({{"name", s.name}, {"proposals", s.record.proposals}, {"passed", s.record.passed}, {"gains", s.record.gains}, {"cost_usd", s.record.cost_usd}});
  if (!of.written_on.empty()) {
    answer["written_on"] = object::object();
    for (const auto& [agent, candidates] : of.written_on)
      answer["written_on"][agent] = candidates;
    answer["moved"] = of.moved;
  }
  answer["discarded"] = of.discarded;
  answer["resumed"] = of.resumed;
  answer["lineage"] = of.best ? lineage_object(of, *of.best) : object::array();
  answer["missing"] = facts.missing;
  answer["tags"] = of.opening.subject.op.tags;
  return text_of(answer);
}

std::string sessions_answer(const std::vector<kb::session_summary>& sessions) {
  object all = object::array();
  for (const kb::session_summary& s : sessions)
    all.push_back({{"session", s.session}, {"operator", s.definition}, {"target", to_string(s.on)}, {"state", s.state}, {"evaluations", s.evaluations},
                   {"best_speedup", known(s.best_speedup)}, {"best", s.best.empty() ? object(nullptr) : object(s.best)}, {"proposals", s.proposals},
                   {"stopped_by", s.stopped_by.empty() ? object(nullptr) : object(s.stopped_by)}, {"opened_ms", s.opened_ms}, {"changed_ms", s.changed_ms}});
  return text_of(all);
}

std::string skills_answer(const std::vector<kb::known_skill>& skills) {
  object all = object::array();
  for (const kb::known_skill& s : skills) {
    const auto passed = s.what.trials - s.what.failures;
    all.push_back({{"transformation", s.what.transformation}, {"under", std::string(to_string(s.what.under))}, {"features", s.features}, {"hardware", s.hardware},
                   {"trials", s.what.trials}, {"wins", s.what.wins}, {"failures", s.what.failures},
                   {"mean_gain", passed > 0 ? object(std::exp(s.what.log_gain / passed)) : object(nullptr)}, {"operators", s.operators}, {"sessions", s.sessions}});
  }
  return text_of(all);
}

std::string leaders_answer(const std::vector<kb::leader>& leaders) {
  object all = object::array();
  for (const kb::leader& l : leaders)
    all.push_back({{"operator", l.definition}, {"hardware", l.hardware}, {"workload", l.workload.empty() ? object(nullptr) : object(l.workload)},
                   {"candidate", l.candidate}, {"speedup", known(l.speedup)}, {"speedup_ci", interval_object(l.speedup_ci95)},
                   {"latency_s", known(l.latency_s)}, {"session", l.session}, {"number", l.number}, {"at_ms", l.at_ms}});
  return text_of(all);
}

std::string explanation_answer(const session_account& of, node_number number, const candidate& what) {
  object sources = object::array();
  for (const source_file& s : what.sources)
    sources.push_back({{"path", s.path}, {"content", s.content}});
  const node_account& n = of.nodes[number];
  return text_of({{"candidate", what.id}, {"session", of.opening.session}, {"operator", of.opening.subject.op.name}, {"number", number},
                  {"author", what.author}, {"schedule", n.schedule_text}, {"strategy", n.strategy}, {"flags", what.build.flags},
                  {"outcome", n.result ? object(std::string(to_string(*n.result))) : object(nullptr)}, {"log", n.log},
                  {"lineage", lineage_object(of, number)}, {"diagnosis", diagnosis_object(n.diagnosed)}, {"sources", sources}});
}

std::string verification_answer(const problem& subject, const candidate& what, const evaluation& e, const candidate_id& root,
                                const std::vector<std::string>& missing) {
  return text_of({{"candidate", what.id}, {"operator", subject.op.name}, {"outcome", std::string(to_string(e.result))}, {"log", e.log},
                  {"max_absolute_error", e.correct.max_absolute_error}, {"max_relative_error", e.correct.max_relative_error}, {"cases", e.correct.cases},
                  {"failed_case", e.correct.failed_case.empty() ? object(nullptr) : object(e.correct.failed_case)},
                  {"latency_s", known(search::mean_latency_s(e))}, {"baselines", baselines_object(e, root)}, {"workloads", timings_object(subject, e, root)},
                  {"diagnosis", diagnosis_object(e.diagnosed)}, {"hardware", e.where.hardware}, {"toolchain", e.where.toolchain}, {"clock", e.where.clock},
                  {"load", e.where.load}, {"sandbox", e.where.sandbox}, {"stages", stages_object(e.stages)}, {"missing", missing}});
}

std::string check_answer(const kb::check_report& report) {
  return text_of({{"records", report.records}, {"sessions", report.sessions}, {"damage", report.damage}, {"repaired", report.repaired}});
}

object found_answer(const found_device& d) {
  object facts = object::object();
  for (const auto& [name, value] : d.facts)
    facts[name] = value;
  return {{"name", d.name}, {"platform", d.platform}, {"model", d.model}, {"architecture", d.architecture}, {"trouble", d.trouble}, {"facts", facts}};
}

std::string doctor_answer(const doctor_findings& found) {
  object answer;
  for (const auto& [name, finding] : found.findings)
    answer["findings"][name] = finding;
  answer["devices"] = object::array();
  for (const device_description& d : found.devices)
    answer["devices"].push_back({{"name", d.name}, {"hardware", d.hardware}, {"target", to_string(d.on)}, {"slots", d.slots}});
  answer["found"] = object::array();
  for (const found_device& d : found.found)
    answer["found"].push_back(found_answer(d));
  answer["roofs"] = {{"fma_flops_per_s", known(found.roofs.fma_flops_per_s)}, {"theoretical_flops_per_s", known(found.roofs.theoretical_flops_per_s)},
                     {"fma_agrees", found.roofs.fma_agrees}, {"note", found.roofs.note}, {"memory", object::array()}};
  for (const auto& m : found.roofs.memory)
    answer["roofs"]["memory"].push_back({{"working_set_bytes", m.working_set_bytes}, {"read_bytes_per_s", m.read_bytes_per_s},
                                         {"write_bytes_per_s", m.write_bytes_per_s}, {"copy_bytes_per_s", m.copy_bytes_per_s}});
  if (!found.noise.empty()) {
    answer["noise"] = {{"resolvable_gain", resolvable_gain(found.noise)}, {"rows", object::array()}};
    for (const noise_row& r : found.noise)
      answer["noise"]["rows"].push_back({{"gain", r.gain}, {"trials", r.trials}, {"found", r.found}, {"covered", r.covered}, {"median_gain", r.median_gain}, {"trial_s", r.seconds}});
  }
  answer["python"] = found.python.empty() ? object(nullptr) : object(found.python);
  answer["torch"] = found.torch.empty() ? object(nullptr) : object(found.torch);
  answer["missing"] = found.missing;
  for (const auto& [key, value] : found.settings)
    answer["settings"][key] = value;
  return text_of(answer);
}

} // namespace kevolve::scheduler
