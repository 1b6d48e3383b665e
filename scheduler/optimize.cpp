// kevolve optimize: SPEC -> problem -> session -> report. Reads as its steps: resolve, start what forks, open the store, search, report.
#include "protocol/host_selection.hpp"
#include "protocol/trace_format.hpp"
#include "scheduler/answers.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/documents.hpp"
#include "scheduler/leader_files.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/session_lookup.hpp"
#include "scheduler/single_host.hpp"
#include "scheduler/specification.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <random>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

namespace kevolve::scheduler {

result<session_settings> session_settings_of(const settings& from, std::vector<std::string> baselines) {
  session_settings chosen;
  auto policy = policy_from_string(from.policy);
  if (!policy)
    return policy.error().in("policy (from " + from.origin.find("policy")->second + ")");
  chosen.policy = *policy;
  chosen.synthesizers = from.synthesizers;
  KEVOLVE_TRY(ensemble, ensemble_from_string(from.ensemble));
  chosen.ensemble = ensemble;
  chosen.seed = from.seed ? *from.seed : std::random_device{}();
  chosen.evaluations = from.evaluations;
  // Whoever gives a number of evaluations and no time means that number.
  chosen.time_s = from.evaluations && from.origin.find("time")->second == "default" ? 0 : from.time_s;
  chosen.goal = from.goal;
  chosen.in_flight = std::max<std::uint32_t>(1, from.in_flight);
  chosen.plateau = from.plateau;
  chosen.injection = from.injection;
  chosen.adaptive_injection = from.adaptive_injection;
  chosen.baselines = std::move(baselines);
  chosen.scale = from.scale;
  return chosen;
}

namespace {

/// Who may write as `name`, of the agents that a label allows.
std::vector<writer_description> offers_of(const std::vector<agent_status>& agents, const std::string& name, const std::string& label) {
  std::vector<writer_description> found;
  for (const agent_status& a : agents)
    if (selects(label, a.name, a.labels))
      for (const writer_description& w : a.writers)
        if (w.name == name)
          found.push_back(w);
  return found;
}

error no_synthesizer(const std::string& name, const std::vector<std::string>& known, const std::vector<agent_status>& agents) {
  std::string expected = "generator";
  for (const std::string& each : known)
    expected += ", " + each;
  std::set<std::string> offered;
  for (const agent_status& a : agents)
    for (const writer_description& w : a.writers)
      offered.insert(w.name + "@" + a.name);
  for (const std::string& each : offered)
    expected += ", " + each;
  return {errc::configuration, fmt::format("synthesizer: found '{}', expected {}{}", name, expected,
                                           known.empty() && offered.empty() ? " (models are configured by [llm.providers.X] and [[llm.models]] in config.toml, or by an agent's --models)" : "")};
}

} // namespace

result<void> take_models(session_settings& to, const model_configuration& from, const std::vector<agent_status>& agents) {
  const std::vector<std::string> known = from.synthesizers();
  const auto is_here = [&](const std::string& name) { return name == "generator" || std::find(known.begin(), known.end(), name) != known.end(); };
  bool weighted = false, migrates = false;
  std::vector<double> weights;
  std::vector<std::string> written_on;
  for (std::string& name : to.synthesizers) {
    std::string label;
    if (const std::size_t at = name.rfind('@'); at != std::string::npos && !is_here(name) && offers_of(agents, name, "").empty()) { // some models have an @ in their names
      label = name.substr(at + 1);
      const std::string whole = std::exchange(name, name.substr(0, at));
      if (label.empty() || offers_of(agents, name, label).empty())
        return no_synthesizer(whole, known, agents);
    }
    const auto offered = offers_of(agents, name, label);
    if (!is_here(name) && offered.empty())
      return no_synthesizer(name, known, agents);
    if ((!label.empty() || !is_here(name)) && (from.session_usd > 0 || from.day_usd > 0))
      for (const writer_description& w : offered)
        if (!w.priced)
          return error{errc::configuration, fmt::format("synthesizer '{}': an agent that offers it does not say what it costs, and [llm.budget] limits USD; expected price = {{ input = …, output = … }} "
                                                        "in the agent's --models (0 for a local model)", name)};
    if (std::count(to.synthesizers.begin(), to.synthesizers.end(), name) > 1)
      return error{errc::usage, fmt::format("synthesizer: found '{}' twice, expected each once", name)};
    migrates = migrates || !label.empty();
    written_on.push_back(label);
    const auto model = std::find_if(from.models.begin(), from.models.end(), [&](const llm::model_settings& m) { return m.name == name; });
    weights.push_back(model == from.models.end() ? 1 : model->weight);
    weighted = weighted || weights.back() != 1;
  }
  to.written_on = migrates ? std::move(written_on) : std::vector<std::string>();
  if (weighted)
    to.weights = std::move(weights);
  if (to.synthesizers != std::vector<std::string>{"generator"}) {
    to.model_usd = from.session_usd;
    to.model_tokens = from.session_tokens;
  }
  return {};
}

namespace {

error was_interrupted() { return {errc::interrupted, "interrupted before the session began: nothing was started"}; }

result<void> check_choices(const settings& from, const optimize_options& options) {
  if (from.synthesizers.empty())
    return error{errc::usage, "synthesizer: found none, expected generator or a model's name"};
  for (const std::string& name : from.baselines)
    if (name != "eager" && name != "compile")
      return error{errc::usage, fmt::format("baselines: found '{}', expected eager, compile or none", name)};
  if (!from.scale.empty() && !is_python_specification(options.spec))
    return error{errc::usage, "--scale: found with a SPEC that is no .py file; expected a KernelBench .py (a Definition states its own workloads)"};
  return {};
}

error nobody_serves(const context& in, const target& wanted) {
  std::string text = fmt::format("no agent serves the target {}; this version optimises for cpu/*/cpp and for devices that are described to it", to_string(wanted));
  if (added_description(in.configured, wanted))
    text += "; the knowledge base has a description of it: name the file on the host that has the device, with --device FILE.toml (here, or at its kevolve-agent)";
  else
    text += " (--device FILE.toml, here or at a kevolve-agent)";
  return {errc::no_agent, text};
}

/// The generator writes C++ for CPUs: models write for a described device, and their first candidate that passes is the root.
result<void> fit_to_described(session_settings& to, const target_description& device, std::vector<std::string>& missing) {
  std::erase(to.synthesizers, "generator");
  if (to.synthesizers.empty())
    return error{errc::synthesizer, fmt::format("the generator writes no {} for {}: name a model with --synthesizer (config.toml: [llm.providers.X], [[llm.models]])", device.on.language, device.name)};
  missing.push_back(fmt::format("The device {} is described by {}; kevolve knows nothing of it but that and has verified nothing of it{}.", device.name, device.file.string(),
                                device.emulated ? "; it is emulated: times are of the emulator, no such hardware was measured" : ""));
  missing.push_back("Baselines: PyTorch does not run there; speedups are over the first candidate that passed.");
  return {};
}

class progress_view {
public:
  progress_view(console& out, std::string operator_name) : out_(out), operator_(std::move(operator_name)) {}

  /// Runs on the runtime's thread. Without a terminal one line per 5 s, and one for each new phase.
  void operator()(const session_progress& p) {
    const auto now = std::chrono::steady_clock::now();
    const bool due = now - last_ >= std::chrono::seconds(5) || p.phase != phase_;
    if (due) {
      last_ = now;
      phase_ = p.phase;
    }
    out_.progress(progress_line(operator_, p), due);
  }

private:
  console& out_;
  std::string operator_;
  std::string phase_;
  std::chrono::steady_clock::time_point last_{};
};

/// Which session to go on with once the cause is gone.
error resumable(const context& in, const session_id& session, error why) {
  why.message += fmt::format(" (with: {} optimize --resume {}{})", in.command(), session, in.data_option());
  return why;
}

struct ended_session {
  session_account account;
  session_outcome how;
};

/// Waits for the session with Ctrl-C wired to a clean pause.
result<ended_session> follow(context& in, single_host& host, const session_id& session, const std::string& operator_name) {
  progress_view view(in.out, operator_name);
  in.signals.on_signal([&](int) {
    in.out.note("stopping: what is being evaluated is given up; press Ctrl-C again to kill");
    if (auto paused = host.actors().pause(session); !paused)
      in.out.note(paused.error().message);
  });
  ended_session ended{{}, host.actors().wait(session, std::ref(view))};
  in.signals.ignore_from_now();
  if (auto durable = host.memory().flush(); !durable)
    return resumable(in, session, durable.error());
  KEVOLVE_TRY(events, host.memory().events(session));
  KEVOLVE_TRY(account, account_of(events));
  ended.account = std::move(account);
  return ended;
}

/// The leader's files under the data directory; a failure is told, not fatal: the store has the candidate.
std::string write_leader(context& in, const kb::store& memory, const session_account& of) {
  if (!of.best || of.nodes[*of.best].candidate.empty())
    return "";
  auto found = memory.find_candidate(of.nodes[*of.best].candidate);
  if (!found || !*found)
    return "";
  auto written = write_candidate(leader_folder(in.configured.data, **found), **found, of.opening.hardware);
  if (!written) {
    in.out.note(written.error().message);
    return "";
  }
  return written->string();
}

int status_of(const session_account& of, const session_outcome& how, int signalled) {
  if (how.failure)
    return exit_code(how.failure->code);
  if (signalled || of.state == "paused" || !of.finished)
    return signalled ? signalled : 130;
  if (of.finished->stopped_by == "failed")
    return 1;
  const bool holds = of.verified && of.verified->holds;
  if (!of.best)
    return exit_code(errc::budget);
  if (of.opening.settings.goal > 0 && !(holds && of.verified->speedup >= of.opening.settings.goal))
    return 3;
  return 0;
}

/// A baseline that was asked for and not compared with is said to be missing, with the judge's reason; so is each missing layer of the sandbox.
void name_what_was_missing(const session_account& of, std::vector<std::string>& missing) {
  if (!of.verified)
    return;
  const evaluation& e = of.verified->what;
  if (e.where.sandbox != "full")
    missing.push_back(fmt::format("The sandbox around candidates was {}.", e.where.sandbox));
  for (const std::string& baseline : of.opening.settings.baselines) {
    const bool compared = std::any_of(e.timings.begin(), e.timings.end(), [&](const workload_timing& t) {
      return std::any_of(t.comparisons.begin(), t.comparisons.end(), [&](const comparison& c) { return c.anchor == baseline; });
    });
    if (compared)
      continue;
    std::string reason = "the judge gave no reason";
    std::istringstream lines(e.log);
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with("baseline " + baseline + " ") || line.starts_with(baseline + " "))
        reason = line;
    missing.push_back(fmt::format("baseline {} was not measured: {}", baseline, reason));
  }
}

int report(context& in, const kb::store& memory, const ended_session& ended, report_facts facts, unsigned compile_slots) {
  const session_account& of = ended.account;
  facts.needed_s = needed_seconds(of.spent, compile_slots);
  facts.command = in.command();
  facts.data_option = in.data_option();
  facts.source = write_leader(in, memory, of);
  name_what_was_missing(of, facts.missing);
  const int status = status_of(of, ended.how, in.signals.received() ? in.signals.exit_code() : 0);
  in.out.answer(session_answer(of, facts));
  in.out.say(session_report(of, facts, in.look()));
  if (!of.finished)
    in.out.note(fmt::format("paused; go on with: {} optimize --resume {}{}", in.command(), of.opening.session, in.data_option()));
  if (ended.how.failure)
    in.out.note(ended.how.failure->message);
  return status;
}

result<int> optimize_new(context& in, const optimize_options& options) {
  KEVOLVE_TRY_VOID(check_choices(in.configured, options));
  KEVOLVE_TRY(wanted, session_settings_of(in.configured, {}));
  KEVOLVE_TRY_VOID(take_models(wanted, in.models)); // a wrong name is told before anything starts
  std::optional<problem> subject;
  if (is_python_specification(options.spec)) {
    if (std::error_code ignored; !std::filesystem::is_regular_file(options.spec, ignored))
      return error{errc::specification, fmt::format("{}: no such file; expected a KernelBench .py", options.spec)};
  } else {
    std::string remark;
    KEVOLVE_TRY(read, read_specification(options.spec, in.configured, &remark));
    if (!remark.empty())
      in.out.note(remark);
    subject = std::move(read);
    KEVOLVE_TRY_VOID(check_problem(*subject));
    KEVOLVE_TRY_VOID(restrict_workloads(*subject, options.workloads));
  }
  if (auto asked = target_from_string(in.configured.target); !asked)
    return error{errc::usage, "--target: " + asked.error().message};
  else if ((asked->platform != "cpu" || asked->language != "cpp") && options.devices.empty())
    return nobody_serves(in, *asked);
  KEVOLVE_TRY_VOID(prepare_data(in));

  KEVOLVE_TRY(host, single_host::start(in, options.devices));
  if (in.signals.received())
    return was_interrupted();
  KEVOLVE_TRY(on, choose_target(in.configured.target, host->evaluator().devices()));
  if (!subject || !subject->op.traced) {
    if (host->python().interpreter.empty())
      return error{errc::configuration, fmt::format("{}: {} needs PyTorch to be traced: {}", options.spec,
                                                    subject ? "a Definition without its graph (x_kevolve.graph)" : "a .py SPEC", host->python().missing)};
    in.out.note(fmt::format("tracing {} with {}", options.spec, host->python().interpreter.string()));
    std::atomic<bool> cancelled{false};
    in.signals.on_signal([&](int) { cancelled = true; });
    auto traced = trace_specification(options.spec, in.configured, host->evaluator(), cancelled);
    in.signals.ignore_from_now();
    if (in.signals.received())
      return was_interrupted();
    if (!traced)
      return traced.error();
    subject = std::move(*traced);
    KEVOLVE_TRY_VOID(check_problem(*subject));
    KEVOLVE_TRY_VOID(restrict_workloads(*subject, options.workloads));
  }
  KEVOLVE_TRY_VOID(lint_problem(*subject, in.configured.lint, [&](const std::string& text) { in.out.note(text); }));
  report_facts facts;
  const target_description* device = host->described(on);
  auto baselines = device ? std::vector<std::string>() : host->baselines(in.configured, facts.missing);
  KEVOLVE_TRY(chosen, session_settings_of(in.configured, baselines));
  if (device)
    KEVOLVE_TRY_VOID(fit_to_described(chosen, *device, facts.missing));
  KEVOLVE_TRY_VOID(take_models(chosen, in.models));
  if (!baselines.empty())
    host->evaluator().prepare_baselines(*subject, baselines);
  if (in.signals.received())
    return was_interrupted();

  KEVOLVE_TRY_VOID(host->open(in));
  const std::string name = subject->op.name;
  KEVOLVE_TRY(session, host->actors().submit(std::move(*subject), on, chosen));
  in.out.note(fmt::format("session {}: {} on {}, seed {}", session, name, to_string(on), chosen.seed));
  KEVOLVE_TRY(ended, follow(in, *host, session, name));
  return report(in, host->memory(), ended, std::move(facts), host->compile_slots());
}

/// What a finished session came to, again: resuming it twice is no error.
result<int> report_finished(context& in, const kb::store& memory, session_account account) {
  in.out.note(fmt::format("session {} is {}: there is nothing to resume", account.opening.session, account.state));
  ended_session ended;
  ended.how.finished = *account.finished;
  ended.account = std::move(account);
  return report(in, memory, ended, {}, std::max(1u, std::thread::hardware_concurrency()));
}

/// What the command line says of a budget; settings files and defaults were for sessions that begin.
std::optional<budget_changed> budget_of(const settings& from) {
  const auto given = [&](const char* name) { return from.origin.find(name)->second == "flag"; };
  budget_changed budget;
  if (given("evaluations"))
    budget.evaluations = from.evaluations;
  if (given("time"))
    budget.time_s = from.time_s;
  if (given("goal"))
    budget.goal = from.goal;
  const bool any = budget.evaluations > 0 || budget.time_s > 0 || budget.goal > 0;
  return any ? std::optional(budget) : std::nullopt;
}

result<int> optimize_resumed(context& in, const optimize_options& options) {
  std::optional<session_account> before;
  {
    KEVOLVE_TRY(memory, open_for_reading(in)); // closed again before anything forks
    KEVOLVE_TRY(found, find_session(*memory, options.resume));
    KEVOLVE_TRY(events, memory->events(found.session));
    KEVOLVE_TRY(account, account_of(events));
    if (account.finished)
      return report_finished(in, *memory, std::move(account));
    before = std::move(account);
  }
  const session_opened& opening = before->opening;
  KEVOLVE_TRY(host, single_host::start(in, options.devices));
  report_facts facts;
  if (!opening.settings.baselines.empty()) {
    const auto here = host->baselines(in.configured, facts.missing);
    if (!here.empty())
      host->evaluator().prepare_baselines(opening.subject, opening.settings.baselines);
  }
  if (in.signals.received())
    return error{errc::interrupted, fmt::format("interrupted; session {} is as it was", opening.session)};
  KEVOLVE_TRY_VOID(host->open(in));
  KEVOLVE_TRY(session, host->actors().resume(opening.session, budget_of(in.configured)));
  in.out.note(fmt::format("session {}: going on after {} evaluations", session, before->evaluations));
  KEVOLVE_TRY(ended, follow(in, *host, session, opening.subject.op.name));
  return report(in, host->memory(), ended, std::move(facts), host->compile_slots());
}

} // namespace

result<int> optimize(context& in, const optimize_options& options) {
  if (options.spec.empty() == options.resume.empty())
    return error{errc::usage, options.spec.empty() ? "optimize: found no SPEC, expected an operator's name, a Definition .json, a KernelBench .py, or --resume SESSION"
                                                   : "optimize: found both a SPEC and --resume, expected one of them"};
  return options.resume.empty() ? optimize_new(in, options) : optimize_resumed(in, options);
}

} // namespace kevolve::scheduler
