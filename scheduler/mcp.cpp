// kevolve mcp: the tools of a Model Context Protocol server on stdin and stdout. Sessions run in this process on this host, or, with --scheduler, in
// a running scheduler. One request at a time; a client that goes away leaves its sessions paused, to be resumed.
#include "actors/client_port.hpp"
#include "actors/synthesis/prompts/language.hpp"
#include "actors/synthesis/prompts/lint.hpp"
#include "protocol/limits.hpp"
#include "protocol/trace_format.hpp"
#include "scheduler/answers.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/documents.hpp"
#include "scheduler/mcp_input.hpp"
#include "scheduler/mcp_protocol.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/session_lookup.hpp"
#include "scheduler/single_host.hpp"
#include "scheduler/specification.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fmt/format.h>
#include <fstream>
#include <random>
#include <thread>
#include <unistd.h>

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr double wait_at_most_s = 30;

object schema(std::initializer_list<std::pair<const char*, object>> properties, std::vector<std::string> required = {}) {
  object all = object::object();
  for (const auto& [name, what] : properties)
    all[name] = what;
  return {{"type", "object"}, {"properties", all}, {"required", required}};
}
object text(const char* what) { return {{"type", "string"}, {"description", what}}; }
object number(const char* what) { return {{"type", "number"}, {"description", what}}; }
object whole(const char* what) { return {{"type", "integer"}, {"description", what}}; }

class tools {
public:
  explicit tools(context& in) : in_(in), library_(in.configured) {}

  mcp_server_parts parts() {
    mcp_server_parts p;
    p.version = "0.1.0";
    p.instructions =
      "kevolve makes compute kernels faster by search and measures them honestly. submit_run optimises an operator on this host (or a cluster); get_run says how it stands; get_best gives the "
      "winner's source. evaluate_solution compiles, checks and times a kernel that you wrote; search_knowledge explains the hardware.";
    p.tools = {
      {"list_operators", "Operators", "Operators that ship, by name.", schema({}), true, [this](const object&) { return list_operators(); }},
      {"get_operator", "Operator", "An operator's definition with its reference, and how a kernel for it is called.", schema({{"operator", text("its name, or a Definition .json")}}, {"operator"}), true,
       [this](const object& a) { return get_operator(a["operator"]); }},
      {"submit_run", "Optimise", "Begins to optimise an operator; returns a run id at once. Ask get_run for its state.",
       schema({{"operator", text("a name from list_operators, or a Definition .json")}, {"time_s", number("budget in seconds (default 60)")}, {"evaluations", whole("budget in evaluations")},
               {"synthesizer", text("generator (default) or models configured here, joined by commas")}, {"goal", number("stop at this speedup over the best baseline")}, {"seed", whole("of all random draws")}},
              {"operator"}),
       false, [this](const object& a) { return submit_run(a); }},
      {"get_run", "Run", "A run's state and best result so far.", schema({{"run_id", text("from submit_run, or last")}, {"wait_s", number("wait up to 30 s for its end")}}, {"run_id"}), true,
       [this](const object& a) { return get_run(a["run_id"], a.value("wait_s", 0.0)); }},
      {"list_runs", "Runs", "All runs, newest first.", schema({}), true, [this](const object&) { return list_runs(); }},
      {"list_candidates", "Candidates", "A run's candidates with outcome and speed.", schema({{"run_id", text("a run, or last")}}, {"run_id"}), true,
       [this](const object& a) { return list_candidates(a["run_id"]); }},
      {"get_candidate", "Candidate", "A candidate's source, evaluation, diagnosis and lineage.", schema({{"candidate", text("its id or the beginning of it; or a run: then its best")}}, {"candidate"}), true,
       [this](const object& a) { return get_candidate(a["candidate"]); }},
      {"get_best", "Best", "The best verified kernels, for one operator or all.", schema({{"operator", text("only this one's")}}), true, [this](const object& a) { return get_best(a.value("operator", "")); }},
      {"evaluate_solution", "Evaluate", "Compiles, checks and times a kernel of yours against the plain loop nest; says what it is bound by.",
       schema({{"operator", text("which operator it implements")}, {"source", text("kernel.cpp, against kevolve.h (get_operator shows the form)")}, {"flags", text("compiler flags besides -O3 -march=native -fopenmp")}},
              {"operator", "source"}),
       false, [this](const object& a) { return evaluate(a); }},
      {"search_knowledge", "Knowledge", "Passages of the knowledge base that fit.",
       schema({{"query", text("words, a diagnosis, a compiler's message")}, {"target", text("only what applies there, such as cuda/sm_90/triton")}, {"signals", {{"type", "array"}, {"items", {{"type", "string"}}}}},
               {"limit", whole("passages (default 5)")}},
              {"query"}),
       true, [this](const object& a) { return search(a); }},
      {"add_knowledge", "Add knowledge", "Adds a document (Markdown, front matter as in kb/documents/README.md) to this host's knowledge base.", schema({{"id", text("a path such as notes/rows")}, {"text", text("the document")}}, {"id", "text"}),
       false, [this](const object& a) { return add_knowledge(a); }},
      {"list_nodes", "Nodes", "Agents of the scheduler, or this host's devices.", schema({}), true, [this](const object&) { return list_nodes(); }},
    };
    p.resources = [this] { return resources(); };
    p.read = [this](const std::string& uri) { return read(uri); };
    return p;
  }

private:
  [[nodiscard]] bool remote() const { return !in_.configured.scheduler.empty(); }

  result<object> ask(const std::string& what, const std::string& about = "", std::optional<submission> session = std::nullopt) const {
    KEVOLVE_TRY(endpoint, client_endpoint(in_.configured.scheduler));
    KEVOLVE_TRY(key, read_key(in_.configured.key));
    KEVOLVE_TRY(said, ask_scheduler(endpoint, key, {client_protocol_version, what, about, std::move(session)}));
    object parsed = object::parse(said, nullptr, false);
    if (parsed.is_discarded())
      return error{errc::infrastructure, "the scheduler's answer is no JSON"};
    return parsed;
  }

  /// What forks starts before what has threads; once, when it is first needed.
  result<single_host*> here() {
    if (!host_) {
      KEVOLVE_TRY(started, single_host::start(in_));
      host_ = std::move(started);
    }
    return host_.get();
  }
  result<single_host*> running_here() {
    KEVOLVE_TRY(host, here());
    if (!open_) {
      KEVOLVE_TRY_VOID(host->open(in_));
      open_ = true;
    }
    return host;
  }
  /// The store: ours where we run sessions, else somebody's, read only.
  template <class Use>
  result<object> with_store(Use use) {
    if (remote())
      return error{errc::usage, "not with --scheduler: candidates and leaders are read on the scheduler's own host; there, start kevolve mcp with its --data"};
    if (open_)
      return use(host_->memory());
    KEVOLVE_TRY(memory, open_for_reading(in_));
    return use(*memory);
  }

  result<object> list_operators() const { return object{{"operators", shipped_operators(in_.configured)}}; }

  result<object> get_operator(const std::string& name) const {
    KEVOLVE_TRY(subject, read_specification(name, in_.configured));
    object workloads = object::array();
    for (const workload& w : subject.workloads)
      workloads.push_back(label_of(w));
    const synthesis::language* in = synthesis::language_of({"cpu", "", "cpp"});
    return object{{"name", subject.op.name}, {"op_type", subject.op.op_type}, {"description", subject.op.description}, {"definition", to_json(subject.op)}, {"workloads", workloads},
                  {"form", in->abi}, {"example", in->example}};
  }

  result<object> submit_run(const object& a) {
    KEVOLVE_TRY(subject, read_specification(a["operator"], in_.configured));
    KEVOLVE_TRY_VOID(check_problem(subject));
    KEVOLVE_TRY_VOID(lint_problem(subject, in_.configured.lint, [](const std::string&) {}));
    settings from = in_.configured;
    from.time_s = a.value("time_s", a.contains("evaluations") ? 0.0 : from.time_s);
    from.evaluations = a.value("evaluations", from.evaluations);
    from.goal = a.value("goal", from.goal);
    if (from.time_s < 0 || from.goal < 0 || (a.contains("evaluations") && a["evaluations"].get<std::int64_t>() < 1) || (a.contains("seed") && a["seed"].get<std::int64_t>() < 0))
      return error{errc::usage, "time_s, goal, evaluations and seed: expected numbers above 0"};
    if (a.contains("seed"))
      from.seed = a["seed"].get<std::uint64_t>();
    if (a.contains("synthesizer")) {
      from.synthesizers.clear();
      std::istringstream names(a["synthesizer"].get<std::string>());
      for (std::string name; std::getline(names, name, ',');)
        from.synthesizers.push_back(name);
    }
    const std::string name = subject.op.name;
    if (remote()) {
      KEVOLVE_TRY(on, target_from_string(from.target));
      KEVOLVE_TRY(chosen, session_settings_of(from, from.baselines));
      KEVOLVE_TRY(said, ask("submit", "", submission{std::move(subject), on, std::move(chosen)}));
      return object{{"run_id", said.value("session", "")}, {"operator", name}, {"state", "running"}};
    }
    KEVOLVE_TRY(host, here());
    std::vector<std::string> missing;
    auto baselines = host->baselines(from, missing);
    KEVOLVE_TRY(chosen, session_settings_of(from, baselines));
    KEVOLVE_TRY_VOID(take_models(chosen, in_.models));
    if (!baselines.empty() && !open_)
      host->evaluator().prepare_baselines(subject, baselines);
    KEVOLVE_TRY(on, choose_target(from.target, host->evaluator().devices()));
    KEVOLVE_TRY(ready, running_here());
    KEVOLVE_TRY(session, ready->actors().submit(std::move(subject), on, std::move(chosen)));
    return object{{"run_id", session}, {"operator", name}, {"state", "running"}, {"missing", missing}};
  }

  result<object> state_of(const std::string& run) {
    if (remote())
      return ask("show", run);
    return with_store([&](const kb::store& memory) -> result<object> {
      KEVOLVE_TRY(found, find_session(memory, run));
      KEVOLVE_TRY(events, memory.events(found.session));
      KEVOLVE_TRY(account, account_of(events));
      report_facts facts;
      facts.command = in_.command();
      object shown = object::parse(session_answer(account, facts), nullptr, false);
      shown["state"] = account.state;
      return shown;
    });
  }
  result<object> get_run(const std::string& run, double wait_s) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(std::clamp(wait_s, 0.0, wait_at_most_s));
    for (;;) {
      KEVOLVE_TRY(shown, state_of(run));
      const bool runs = shown.value("state", "") == "running";
      if (!runs || std::chrono::steady_clock::now() >= until || in_.signals.received())
        return shown;
      if (writer_has_left(STDIN_FILENO, 200ms)) // who asked is gone: so is the reason to wait
        return shown;
    }
  }
  result<object> list_runs() {
    if (remote()) {
      KEVOLVE_TRY(all, ask("sessions"));
      return object{{"runs", all}};
    }
    return with_store([](const kb::store& memory) -> result<object> {
      KEVOLVE_TRY(all, memory.sessions());
      return object{{"runs", object::parse(sessions_answer(all), nullptr, false)}};
    });
  }
  result<object> list_candidates(const std::string& run) {
    return with_store([&](const kb::store& memory) -> result<object> {
      KEVOLVE_TRY(found, find_session(memory, run));
      KEVOLVE_TRY(events, memory.events(found.session));
      KEVOLVE_TRY(account, account_of(events));
      object rows = object::array();
      for (const node_account& n : account.nodes)
        if (!n.candidate.empty())
          rows.push_back({{"candidate", n.candidate}, {"step", n.number}, {"parents", n.parents}, {"by", n.synthesizer}, {"change", n.edge.summary}, {"reason", n.edge.reason},
                          {"outcome", n.result ? std::string(to_string(*n.result)) : "pending"}, {"over_plain", n.over_root}, {"latency_s", n.latency_s}});
      return object{{"run_id", found.session}, {"candidates", rows}};
    });
  }
  result<object> get_candidate(const std::string& what) {
    return with_store([&](const kb::store& memory) -> result<object> {
      KEVOLVE_TRY(found, find_candidate(memory, what));
      return object::parse(explanation_answer(found.in, found.number, found.what), nullptr, false);
    });
  }
  result<object> get_best(const std::string& name) {
    return with_store([&](const kb::store& memory) -> result<object> {
      KEVOLVE_TRY(leaders, memory.leaders(name));
      object rows = object::array();
      for (const kb::leader& l : leaders)
        if (l.workload.empty()) // the operator as a whole
          rows.push_back({{"operator", l.definition}, {"hardware", l.hardware}, {"candidate", l.candidate}, {"speedup", l.speedup}, {"speedup_ci", {l.speedup_ci95.low, l.speedup_ci95.high}}, {"latency_s", l.latency_s}});
      return object{{"best", rows}};
    });
  }

  result<object> evaluate(const object& a) {
    if (remote())
      return error{errc::usage, "not with --scheduler: it would measure on this host; start kevolve mcp without it"};
    KEVOLVE_TRY(subject, read_specification(a["operator"], in_.configured));
    KEVOLVE_TRY_VOID(check_problem(subject));
    const std::string source = a["source"].get<std::string>();
    if (source.size() > limits::source_bytes)
      return error{errc::usage, fmt::format("source: found {} bytes, expected at most {}", source.size(), limits::source_bytes)};
    const synthesis::language* language = synthesis::language_of({"cpu", "", "cpp"});
    candidate written;
    written.author = "mcp";
    written.definition = subject.op.name;
    written.sources = {{language->main_file, source}};
    written.build = language->build;
    written.build.compiler = in_.configured.compiler;
    std::istringstream flags(a.value("flags", ""));
    for (std::string flag; flags >> flag;)
      written.build.flags.push_back(flag);
    written.id = candidate_hash(written);
    if (auto faults = synthesis::lint(written.sources, *language); !faults.empty())
      return object{{"candidate", written.id}, {"outcome", "refused"}, {"faults", faults}};
    KEVOLVE_TRY(host, here());
    KEVOLVE_TRY(on, choose_target(in_.configured.target, host->evaluator().devices()));
    evaluate_work work;
    KEVOLVE_TRY(writer, synthesis::generator::make(subject, on, in_.configured.compiler));
    if (auto root = writer->root())
      work.anchors.push_back(root->what);
    work.subject = std::move(subject);
    work.on = on;
    work.what = written;
    work.how = effort::verify;
    work.seed = std::random_device{}();
    std::atomic<bool> cancelled{false};
    KEVOLVE_TRY(e, host->evaluator().evaluate(work, cancelled));
    object timings = object::array();
    for (const workload_timing& t : e.timings) {
      const auto w = std::find_if(work.subject.workloads.begin(), work.subject.workloads.end(), [&](const workload& each) { return each.uuid == t.workload; });
      object row{{"workload", w == work.subject.workloads.end() ? t.workload : label_of(*w)}, {"latency_s", t.latency_s}, {"roofline_fraction", t.roofline_fraction}};
      if (!t.comparisons.empty())
        row["over_plain"] = t.comparisons.front().ratio;
      timings.push_back(std::move(row));
    }
    return object{{"candidate", written.id}, {"outcome", std::string(to_string(e.result))}, {"failed_case", e.correct.failed_case}, {"log", e.log}, {"cases", e.correct.cases},
                  {"max_relative_error", e.correct.max_relative_error}, {"timings", timings}, {"bound", std::string(to_string(e.diagnosed.limited_by))},
                  {"roofline_fraction", e.diagnosed.roofline_fraction}, {"hints", e.diagnosed.hints}, {"sandbox", e.where.sandbox}};
  }

  result<object> search(const object& a) {
    kb::question asked;
    asked.words = a["query"].get<std::string>();
    asked.limit = static_cast<std::size_t>(std::clamp(a.value("limit", 5), 1, 50));
    for (const auto& s : a.value("signals", object::array()))
      asked.signals.push_back(s.is_string() ? s.get<std::string>() : s.dump());
    if (const std::string on = a.value("target", ""); !on.empty()) {
      KEVOLVE_TRY(target, target_from_string(on));
      asked.platform = target.platform;
      asked.architecture = target.architecture;
      asked.language = on.find('/') == on.npos ? "" : target.language;
    }
    const auto library = library_.now();
    object rows = object::array();
    for (const kb::found_passage& f : library->search(asked))
      rows.push_back({{"document", f.of->id}, {"uri", "kevolve://kb/" + f.of->id}, {"heading", f.what->heading}, {"why", f.why}, {"text", f.what->text}});
    return object{{"passages", rows}};
  }
  result<object> add_knowledge(const object& a) {
    std::error_code failed;
    std::string folder = (std::filesystem::temp_directory_path(failed) / "kevolve-note-XXXXXX").string();
    if (!::mkdtemp(folder.data()))
      return error{errc::io, "no folder can be made for the document"};
    const std::filesystem::path file = std::filesystem::path(folder) / "note.md";
    std::ofstream(file, std::ios::binary) << a["text"].get<std::string>();
    auto added = add_document(in_.configured, file, a["id"], {});
    std::filesystem::remove_all(folder, failed);
    if (!added)
      return added.error();
    return object{{"id", added->id}, {"passages", added->passages}, {"replaced", added->replaced}, {"unchanged", added->unchanged}};
  }
  result<object> list_nodes() {
    if (remote()) {
      KEVOLVE_TRY(all, ask("agents"));
      return object{{"nodes", all}};
    }
    KEVOLVE_TRY(host, here());
    object rows = object::array();
    for (const device_description& d : host->evaluator().devices())
      rows.push_back({{"device", d.name}, {"hardware", d.hardware}, {"target", to_string(d.on)}, {"slots", d.slots}, {"facts", d.facts}});
    return object{{"nodes", rows}};
  }

  std::vector<mcp_resource> resources() {
    std::vector<mcp_resource> all;
    if (auto runs = list_runs())
      for (const auto& r : (*runs)["runs"])
        if (r.is_object())
          all.push_back({"kevolve://runs/" + r.value("session", ""), r.value("operator", ""), "application/json"});
    const auto library = library_.now();
    for (const kb::document& d : library->documents())
      all.push_back({"kevolve://kb/" + d.id, d.title, "text/markdown"});
    return all;
  }
  result<std::string> read(const std::string& uri) {
    const std::string_view prefix = "kevolve://";
    const auto none = error{errc::not_found, "resource '" + uri + "' not found; expected kevolve://runs/ID, kevolve://candidates/HASH/source or kevolve://kb/ID"};
    if (!uri.starts_with(prefix))
      return none;
    const std::string path = uri.substr(prefix.size());
    if (path.starts_with("runs/")) {
      KEVOLVE_TRY(shown, state_of(path.substr(5)));
      return shown.dump(2);
    }
    if (path.starts_with("candidates/") && path.ends_with("/source")) {
      std::string source;
      const std::string id = path.substr(11, path.size() - 11 - 7);
      KEVOLVE_TRY_VOID(with_store([&](const kb::store& memory) -> result<object> {
        KEVOLVE_TRY(found, find_candidate(memory, id));
        for (const source_file& f : found.what.sources)
          source += f.content;
        return object();
      }));
      return source;
    }
    if (path.starts_with("kb/"))
      if (const auto library = library_.now(); const kb::document* d = library->find(path.substr(3))) {
        std::string whole;
        for (const kb::passage& p : d->passages)
          whole += "# " + p.heading + "\n\n" + p.text + "\n";
        return whole;
      }
    return none;
  }

  context& in_;
  living_library library_;
  std::unique_ptr<single_host> host_; // its destructor pauses what runs
  bool open_ = false;
};

/// False: nobody reads any more.
bool put_line(std::string line) {
  line += '\n';
  for (std::size_t done = 0; done < line.size();) {
    const auto wrote = ::write(STDOUT_FILENO, line.data() + done, line.size() - done);
    if (wrote <= 0)
      return false;
    done += static_cast<std::size_t>(wrote);
  }
  return true;
}

} // namespace

result<int> mcp(context& in) {
  in.signals.on_signal([](int) {});
  ::signal(SIGPIPE, SIG_IGN); // a client that is gone is an end, not a death
  tools all(in);
  mcp_server server(all.parts());
  line_reader lines(STDIN_FILENO, [&in] { return in.signals.received() != 0; });
  bool too_long = false;
  while (auto line = lines.next(too_long)) {
    if (too_long) {
      (void)put_line(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a line is longer than 8 MiB"}})");
      continue;
    }
    if (line->find_first_not_of(" \t\r") == line->npos)
      continue;
    if (auto answer = server.answer(*line); answer && !put_line(std::move(*answer)))
      break;
  }
  return 0;
}

} // namespace kevolve::scheduler
