// Commands to a running scheduler: submit, and what sessions and agents do with --scheduler. Each is one request; waiting is asking again.
#include "actors/client_port.hpp"
#include "protocol/host_selection.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/single_host.hpp"
#include "scheduler/specification.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <thread>

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;
using namespace std::chrono_literals;

class remote_scheduler {
public:
  static result<remote_scheduler> of(const context& in) {
    if (in.configured.scheduler.empty())
      return error{errc::usage, "scheduler: none given; name it with --scheduler tcp://HOST:PORT --key FILE, KEVOLVE_SCHEDULER or config.toml"};
    if (in.configured.key.empty())
      return error{errc::usage, "key: none given; expected a client's key file: --key FILE"};
    remote_scheduler r;
    KEVOLVE_TRY(endpoint, client_endpoint(in.configured.scheduler));
    KEVOLVE_TRY(key, read_key(in.configured.key));
    r.endpoint_ = std::move(endpoint), r.key_ = std::move(key);
    return r;
  }
  result<std::string> ask(const std::string& what, const std::string& about = "", std::optional<submission> session = std::nullopt) const {
    return ask_scheduler(endpoint_, key_, {client_protocol_version, what, about, std::move(session)});
  }
  result<object> ask_object(const std::string& what, const std::string& about = "") const {
    KEVOLVE_TRY(text, ask(what, about));
    object parsed = object::parse(text, nullptr, false);
    if (parsed.is_discarded())
      return error{errc::infrastructure, "the scheduler's answer is no JSON"};
    return parsed;
  }

private:
  std::string endpoint_;
  key_file key_;
};

/// Resolved here, where the person's files are; a .py file needs a Python here, too.
result<problem> subject_of(context& in, const std::string& spec, const std::vector<std::string>& workloads) {
  std::optional<problem> subject;
  if (is_python_specification(spec)) {
    KEVOLVE_TRY(host, single_host::start(in));
    std::atomic<bool> never{false};
    KEVOLVE_TRY(traced, trace_specification(spec, in.configured, host->evaluator(), never));
    subject = std::move(traced);
  } else {
    std::string remark;
    KEVOLVE_TRY(read, read_specification(spec, in.configured, &remark));
    if (!remark.empty())
      in.out.note(remark);
    subject = std::move(read);
  }
  KEVOLVE_TRY_VOID(check_problem(*subject));
  KEVOLVE_TRY_VOID(restrict_workloads(*subject, workloads));
  KEVOLVE_TRY_VOID(lint_problem(*subject, in.configured.lint, [&](const std::string& text) { in.out.note(text); }));
  return std::move(*subject);
}

std::string text_at(const object& o, const char* field) {
  const auto at = o.find(field);
  return at == o.end() || at->is_null() ? "" : at->is_string() ? at->get<std::string>() : at->dump();
}

/// Until the session has ended or is paused; its state then.
result<std::string> watch(context& in, const remote_scheduler& at, const std::string& session) {
  std::string before;
  int unreachable = 0;
  while (!in.signals.received()) {
    auto now = at.ask_object("progress", session);
    if (!now && (now.error().code != errc::timeout || ++unreachable > 60))
      return now.error(); // a scheduler that is being restarted is waited for
    if (now) {
      unreachable = 0;
      const std::string phase = text_at(*now, "phase");
      const double best = now->value("best_over_root", 0.0);
      const std::string counted = now->contains("evaluations") ? fmt::format(", {} evaluations", now->value("evaluations", 0)) : ""; // one that ended, or waits for an agent, has no course
      const std::string line = fmt::format("{}: {}{}{}", session, phase, counted, best > 0 ? fmt::format(", {} over the plain loop nest", show_factor(best)) : "");
      if (line != before)
        in.out.progress(line, true);
      before = line;
      if (!now->contains("evaluations") && phase != "running")
        return phase;
    }
    for (int i = 0; i < 10 && !in.signals.received(); ++i)
      std::this_thread::sleep_for(100ms);
  }
  return std::string("running");
}

/// "": all of it was written in the scheduler.
std::string where_written(const object& shown) {
  std::string agents;
  if (shown.contains("written_on"))
    for (const auto& [agent, candidates] : shown["written_on"].items())
      agents += fmt::format("{}{} ({})", agents.empty() ? "; candidates written on " : ", ", agent, candidates.get<int>());
  return agents;
}

std::string told(const object& shown) {
  const object best = shown.contains("best") && shown["best"].is_object() ? shown["best"] : object::object();
  const std::string waits = shown.contains("waits_for") ? fmt::format("{}: waits: {}\n", text_at(shown, "session"), text_at(shown, "waits_for")) : "";
  return fmt::format("{}: {}; {} evaluations{}; best {}\n", text_at(shown, "session"), text_at(shown, "stopped_by"), text_at(shown, "evaluations"), where_written(shown),
                     best.contains("speedup") && best["speedup"].is_number() ? fmt::format("{} over {} (candidate {})", show_factor(best["speedup"]), text_at(best, "baseline"),
                                                                                          text_at(best, "candidate").substr(0, 12))
                                                                             : std::string("none verified")) + waits;
}

/// Lines "OPERATOR NUMBER"; '#' begins a comment.
result<std::map<std::string, double>> read_weights(const std::string& file) {
  std::ifstream in(file);
  if (!in)
    return error{errc::specification, fmt::format("{}: cannot be read; expected lines OPERATOR NUMBER", file)};
  std::map<std::string, double> weights;
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    std::istringstream words(line.substr(0, line.find('#')));
    std::string name, rest;
    double weight = 0;
    if (!(words >> name))
      continue;
    if (!(words >> weight) || weight <= 0 || words >> rest)
      return error{errc::specification, fmt::format("{}:{}: found '{}', expected an operator's name and a number above 0", file, number, line)};
    weights[name] = weight;
  }
  return weights;
}

/// A folder stands for the operators in it.
std::vector<std::string> expanded(const std::vector<std::string>& specs) {
  std::vector<std::string> all;
  for (const std::string& spec : specs) {
    std::error_code failed;
    if (!std::filesystem::is_directory(spec, failed)) {
      all.push_back(spec);
      continue;
    }
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(spec, failed))
      if (entry.path().extension() == ".json")
        files.push_back(entry.path().string());
    std::sort(files.begin(), files.end());
    all.insert(all.end(), files.begin(), files.end());
  }
  return all;
}

result<int> make_standing(context& in, const remote_scheduler& at, const submit_options& options) {
  KEVOLVE_TRY(where, selected_target_from_string(in.configured.target));
  std::map<std::string, double> weights;
  if (!options.weights.empty()) {
    KEVOLVE_TRY(read, read_weights(options.weights));
    weights = std::move(read);
  }
  object answers = object::array();
  for (const std::string& spec : expanded(options.specs)) {
    KEVOLVE_TRY(subject, subject_of(in, spec, options.workloads));
    KEVOLVE_TRY(chosen, session_settings_of(in.configured, in.configured.baselines));
    chosen.hosts = where.hosts;
    if (in.configured.origin.find("time")->second == "default")
      chosen.time_s = 0; // the scheduler's own, for standing sessions
    const auto given = weights.find(subject.op.name);
    const double weight = given == weights.end() ? options.weight : given->second;
    const std::string name = subject.op.name;
    KEVOLVE_TRY(text, at.ask("stand", in.configured.target == "cpu" ? "" : in.configured.target, submission{std::move(subject), where.on, std::move(chosen), weight}));
    in.out.note(fmt::format("standing: {}, weight {}", name, weight));
    answers.push_back(object::parse(text, nullptr, false));
  }
  in.out.answer(answers.dump(2));
  return 0;
}

result<int> show_standing(context& in, const remote_scheduler& at) {
  KEVOLVE_TRY(all, at.ask_object("standing"));
  table shown({{"operator"}, {"weight", align::right}, {"sessions", align::right}, {"spent", align::right}, {"best", align::right}, {"of the roof", align::right}, {"worth", align::right}, {"state"}});
  for (const object& s : all)
    shown.add({text_at(s, "name"), fmt::format("{:g}", s.value("weight", 0.0)), text_at(s, "sessions"), show_duration(s.value("seconds", 0.0)),
               s.value("speedup", 0.0) > 0 ? show_factor(s.value("speedup", 0.0)) : "", s.value("roofline_fraction", 0.0) > 0 ? show_percent(s.value("roofline_fraction", 0.0)) : "",
               fmt::format("{:.3g}", s.value("worth", 0.0)), text_at(s, "state")});
  in.out.answer(all.dump(2));
  in.out.say(shown.render(in.look()));
  return 0;
}

} // namespace

result<int> submit(context& in, const submit_options& options) {
  KEVOLVE_TRY(at, remote_scheduler::of(in));
  if (options.standing)
    return make_standing(in, at, options);
  KEVOLVE_TRY(where, selected_target_from_string(in.configured.target));
  object answers = object::array();
  std::vector<std::string> sessions;
  for (const std::string& spec : options.specs) {
    KEVOLVE_TRY(subject, subject_of(in, spec, options.workloads));
    KEVOLVE_TRY(chosen, session_settings_of(in.configured, in.configured.baselines));
    chosen.hosts = where.hosts;
    KEVOLVE_TRY(text, at.ask("submit", "", submission{std::move(subject), where.on, std::move(chosen)}));
    object answer = object::parse(text, nullptr, false);
    sessions.push_back(text_at(answer, "session"));
    in.out.note(fmt::format("session {}: {}", sessions.back(), text_at(answer, "operator")));
    answers.push_back(std::move(answer));
  }
  if (!options.wait) {
    in.out.answer(answers.dump(2));
    return 0;
  }
  in.signals.on_signal([](int) {});
  object ended = object::array();
  for (const std::string& session : sessions) {
    KEVOLVE_TRY(state, watch(in, at, session));
    if (in.signals.received()) {
      in.out.note(fmt::format("session {} goes on without you", session));
      return in.signals.exit_code();
    }
    KEVOLVE_TRY(shown, at.ask_object("show", session));
    in.out.say(told(shown));
    ended.push_back(std::move(shown));
  }
  in.out.answer(ended.dump(2));
  return 0;
}

result<int> remote_sessions(context& in, const std::string& action, const std::string& session) {
  KEVOLVE_TRY(at, remote_scheduler::of(in));
  if (action == "standing")
    return show_standing(in, at);
  if (action == "unstand") {
    KEVOLVE_TRY(answer, at.ask_object("unstand", session));
    in.out.answer(answer.dump(2));
    in.out.say(fmt::format("{} stands no more; its sessions stay in the store\n", session));
    return 0;
  }
  if (action == "watch") {
    in.signals.on_signal([](int) {});
    KEVOLVE_TRY(state, watch(in, at, session));
  }
  if (action == "list") {
    KEVOLVE_TRY(all, at.ask_object("sessions"));
    table shown({{"session"}, {"operator"}, {"state"}, {"evaluations", align::right}, {"best", align::right}});
    for (const object& s : all)
      shown.add({text_at(s, "session"), text_at(s, "operator"), text_at(s, "state"), text_at(s, "evaluations"),
                 s.contains("best_speedup") && s["best_speedup"].is_number() ? show_factor(s["best_speedup"]) : ""});
    in.out.answer(all.dump(2));
    in.out.say(shown.render(in.look()));
    return 0;
  }
  KEVOLVE_TRY(answer, at.ask_object(action == "watch" ? "show" : action, session));
  in.out.answer(answer.dump(2));
  in.out.say(action == "show" || action == "watch" ? told(answer) : fmt::format("{}: {}\n", text_at(answer, "session"), text_at(answer, "done")));
  return 0;
}

result<int> manage_agents(context& in, const std::string& action, const std::string& agent) {
  KEVOLVE_TRY(at, remote_scheduler::of(in));
  if (action == "drain") {
    KEVOLVE_TRY(answer, at.ask_object("drain", agent));
    in.out.answer(answer.dump(2));
    in.out.say(fmt::format("{} takes nothing more; what it holds it finishes\n", agent));
    return 0;
  }
  KEVOLVE_TRY(all, at.ask_object("agents"));
  table shown({{"agent"}, {"state"}, {"leases", align::right}, {"heard", align::right}, {"devices"}});
  for (const object& a : all) {
    std::string devices;
    for (const object& d : a["devices"])
      devices += (devices.empty() ? "" : ", ") + text_at(d, "target") + " (" + text_at(d, "hardware") + ")";
    for (const object& d : a.value("found", object::array()))
      devices += (devices.empty() ? "" : "; ") + text_at(d, "name") + " " + text_at(d, "model") + " (" + text_at(d, "trouble") + ")";
    if (!a.value("compiles", true))
      devices += a.value("compiled_elsewhere", false) ? "; no compiler: other agents compile for it" : "; no compiler, and nobody compiles for it: gets no candidates";
    std::string writers;
    for (const object& w : a.value("writers", object::array()))
      writers += (writers.empty() ? "; writes as " : ", ") + text_at(w, "name");
    if (!writers.empty())
      devices += writers + fmt::format(" ({} of {})", text_at(a, "writing"), text_at(a, "writing_slots"));
    for (const object& label : a.value("labels", object::array()))
      devices += "; " + label.get<std::string>();
    shown.add({text_at(a, "agent"), text_at(a, "state"), fmt::format("{} of {}", text_at(a, "leases"), text_at(a, "credit")), show_duration(a.value("silent_s", 0.0)) + " ago", devices});
  }
  in.out.answer(all.dump(2));
  in.out.say(shown.render(in.look()));
  return 0;
}

} // namespace kevolve::scheduler
