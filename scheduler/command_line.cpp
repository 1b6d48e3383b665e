#include "scheduler/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <memory>

namespace kevolve::scheduler {

namespace {

/// Adds commands and their options to a CLI::App; options' values live as long as `line`.
class grammar {
public:
  grammar(CLI::App& app, command_line& line) : app_(app), line_(line) {}

  void build() {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", std::string("kevolve ") + version);
    app_.set_help_all_flag("--help-all", "every command with its options");
    add_optimize();
    add_sessions();
    add_cluster();
    add_explain();
    add_mcp();
    add_verify();
    add_memory();
    add_train();
    add_bench();
    CLI::App* doctor_command = command(app_, "doctor", "what this host can do, what is missing and how to get it");
    doctor_command->callback([this] { line_.run = [this](context& in) { return doctor(in, doctor_); }; });
    doctor_command->add_flag("--noise", doctor_.noise, "measure how small a gain this host can resolve");
    doctor_command->add_option("--trials", doctor_.trials, "of each gain, with --noise")->type_name("N")->check(CLI::Range(4, 10000));
    setting(*doctor_command, "--python", "python", "the Python that hosts PyTorch, or none");
  }

private:
  CLI::App* command(CLI::App& parent, const std::string& name, const std::string& what) {
    CLI::App* made = parent.add_subcommand(name, what);
    setting(*made, "--data", "data", "the store and the leaders' sources (default: $XDG_STATE_HOME/kevolve)")->type_name("DIR");
    setting(*made, "--cache", "cache", "artifacts and calibration (default: $XDG_CACHE_HOME/kevolve)")->type_name("DIR");
    made->add_option("--config", line_.config, "settings file in place of ./config.toml")->type_name("FILE");
    made->add_flag("--json", line_.json, "one JSON object on stdout, people's text on stderr");
    made->add_flag("-v,--verbose", line_.verbosity, "say more on stderr (-vv: everything)");
    made->add_flag("--log-json", line_.log_json, "log as JSON lines");
    return made;
  }

  CLI::Option* setting(CLI::App& of, const std::string& flag, const std::string& key, const std::string& help) {
    return of.add_option_function<std::string>(flag, [this, key](const std::string& value) { line_.flags[key] = value; }, help);
  }

  /// Options that decide how a host evaluates.
  void add_host_settings(CLI::App& of) {
    setting(of, "--python", "python", "the Python that hosts PyTorch, or none")->type_name("PATH");
    setting(of, "--baselines", "baselines", "eager,compile, one of them, or none")->type_name("LIST");
    setting(of, "--require-sandbox", "sandbox", "full: refuse to work where a layer of the sandbox is missing")->type_name("LEVEL");
  }

  /// Options that decide how a session searches, wherever it runs.
  void add_search_settings(CLI::App& of) {
    setting(of, "--target", "target", "cpu|cuda|hip|mtia[/arch[/language]]; of a scheduler also @HOSTS: labels and names of agents, as in cpu@rack1,!spot|big")->type_name("TARGET");
    setting(of, "--synthesizer", "synthesizer", "who writes candidates: generator, or models by their names in the config.toml of the host that searches or at an agent of its scheduler, joined by commas; NAME@LABEL: on agents of that label or name (any: all)")->type_name("NAME");
    setting(of, "--ensemble", "ensemble", "how several synthesizers share a tree: weights (or in turn), or bandit (by gains for their cost)")->type_name("HOW");
    setting(of, "--policy", "policy", "how the next tree node is chosen: greedy, mcts or evolve")->type_name("NAME");
    setting(of, "--evaluations", "evaluations", "stop after so many")->type_name("N");
    setting(of, "--time", "time", "stop after so long, verification included: 60s, 5m, 2h (0: no limit)")->type_name("TIME");
    setting(of, "--goal", "goal", "stop at this speedup over the best baseline: 1.5x")->type_name("FACTOR");
    setting(of, "--seed", "seed", "of all random draws (default: drawn afresh, and printed)")->type_name("S");
    setting(of, "--plateau", "plateau", "stop after so many evaluations without a better leader (0: by budget)")->type_name("N");
    setting(of, "--in-flight", "in_flight", "proposals made before their results are known, at most")->type_name("N");
    setting(of, "--injection", "injection", "how often what other sessions learnt goes into a context: a probability, or adaptive")->type_name("P");
    setting(of, "--lint", "lint", "operators that a kernel can pass without computing: refuse, note or off")->type_name("HOW");
  }

  void add_optimize() {
    CLI::App* c = command(app_, "optimize", "make an operator faster: SPEC is an operator in kb/operators by name, a Definition .json or a KernelBench .py");
    c->add_option("SPEC", optimize_.spec, "what to optimise")->type_name("");
    add_search_settings(*c);
    setting(*c, "--policy-model", "policy_model", "the learned policy of kevolve train: auto (where it beat the rules), on or off")->type_name("HOW");
    setting(*c, "--scale", "scale", "shrink a .py SPEC's sizes: cpu or a factor")->type_name("cpu|FACTOR");
    add_host_settings(*c);
    c->add_option("--resume", optimize_.resume, "continue a session (its id, the beginning of it, or last)")->type_name("SESSION");
    c->add_option("--workload", optimize_.workloads, "only these workloads, by name")->type_name("NAME")->expected(1, -1);
    c->add_option("--device", optimize_.devices, "a device of this host that kevolve does not know, by the file that describes it; may be given again")->type_name("FILE.toml")->expected(1)->take_all();
    c->callback([this] { line_.run = [this](context& in) { return optimize(in, optimize_); }; });
  }

  void add_remote_settings(CLI::App& of) {
    setting(of, "--scheduler", "scheduler", "a running scheduler instead of a data directory")->type_name("tcp://HOST:PORT");
    setting(of, "--key", "key", "a client's key file for it")->type_name("FILE");
  }

  void add_launch(CLI::App& a) {
    a.add_option("--output", output_, "package: the archive (default: kevolve-agent-VERSION-MACHINE.tar.gz)")->type_name("FILE");
    a.add_option("--ssh", launch_.hosts, "launch: hosts as ssh takes them, joined by commas")->type_name("HOST[,HOST…]")->delimiter(',');
    a.add_flag("--slurm", launch_.slurm, "launch: a job array of agents");
    a.add_option("--package", launch_.package, "launch: this archive (default: made of the programs beside this one)")->type_name("FILE");
    a.add_option("--dir", launch_.directory, "launch: where the package lies on the hosts; for Slurm on a file system that nodes share")->type_name("DIR");
    a.add_option("--agent-option", launch_.agent_options, "launch: passed on to each agent: --agent-option=--device-slots=2")->type_name("OPTION")->allow_extra_args(false);
    a.add_option("--ssh-config", launch_.ssh_config, "launch: in place of ~/.ssh/config")->type_name("FILE");
    a.add_option("--timeout", launch_.timeout_s, "launch: seconds for copying, and for an agent to be heard (default: 60)")->type_name("S")->check(CLI::Range(1.0, 3600.0));
    a.add_option("--nodes", launch_.nodes, "launch --slurm: agents, each with a node of its own (default: 1)")->type_name("N")->check(CLI::Range(1, 100000));
    a.add_option("--time", launch_.time, "launch --slurm: limit of a job, as sbatch takes it")->type_name("TIME");
    a.add_option("--partition", launch_.partition, "launch --slurm")->type_name("NAME");
    a.add_option("--sbatch", launch_.sbatch, "launch --slurm: a further option of sbatch: --sbatch=--account=mine")->type_name("OPTION")->allow_extra_args(false);
    a.add_option("--drain", launch_.drain_s, "launch --slurm: seconds before the limit at which an agent takes nothing more (default: 60)")->type_name("S")->check(CLI::Range(1, 65535));
    a.add_flag("--again", launch_.again, "launch --slurm: queue an agent again when its time limit ended it");
    a.add_flag("--write-only", launch_.write_only, "launch --slurm: write the job's script and submit nothing");
  }

  void add_cluster() {
    CLI::App* s = command(app_, "serve", "the scheduler as a daemon: agents and people's commands come in by key");
    s->add_option("--listen", serve_.listen, "where agents connect; people's commands come to the next port")->type_name("tcp://HOST:PORT");
    s->add_option("--standing-session", serve_.standing_session_s, "seconds of each session of the standing list (default: 60)")->type_name("S")->check(CLI::Range(5.0, 86400.0));
    s->add_option("--http", serve_.http, "/healthz, /readyz and /metrics for Prometheus, read only (default: none)")->type_name("HOST:PORT");
    s->callback([this] { line_.run = [this](context& in) { return serve(in, serve_); }; });

    CLI::App* c = command(app_, "submit", "sessions for a running scheduler");
    c->add_option("SPEC", submit_.specs, "what to optimise")->type_name("")->required()->expected(1, -1);
    c->add_flag("--standing", submit_.standing, "go on optimising them whenever nobody asks for anything else; a folder: all its operators");
    c->add_option("--weight", submit_.weight, "with --standing: how much a gain is worth, such as calls a day (default: 1)")->type_name("W")->check(CLI::PositiveNumber);
    c->add_option("--weights", submit_.weights, "with --standing: a file of lines OPERATOR NUMBER")->type_name("FILE");
    c->add_flag("--wait", submit_.wait, "until they have ended");
    c->add_option("--workload", submit_.workloads, "only these workloads, by name")->type_name("NAME")->expected(1, -1);
    add_search_settings(*c);
    setting(*c, "--baselines", "baselines", "eager,compile, one of them, or none")->type_name("LIST");
    add_remote_settings(*c);
    c->callback([this] { line_.run = [this](context& in) { return submit(in, submit_); }; });

    CLI::App* a = command(app_, "agents", "the agents of a running scheduler: list, drain, launch; package: what they start from");
    a->add_option("ACTION", agents_action_, "list (default), drain, package or launch")->type_name("")->check(CLI::IsMember({"list", "drain", "package", "launch"}));
    a->add_option("AGENT", agent_, "its name")->type_name("");
    add_remote_settings(*a);
    add_launch(*a);
    a->callback([this] {
      if (agents_action_ == "drain" && agent_.empty())
        throw CLI::ValidationError("AGENT", "agents drain: found no agent, expected a name that agents list shows");
      line_.run = [this](context& in) {
        return agents_action_ == "package" ? package_agents(in, output_) : agents_action_ == "launch" ? launch_agents(in, launch_) : manage_agents(in, agents_action_, agent_);
      };
    });

    CLI::App* k = command(app_, "keys", "keys for agents and people: list, new or revoke");
    k->add_option("ACTION", keys_.action, "list (default), new or revoke")->type_name("")->check(CLI::IsMember({"list", "new", "revoke"}));
    k->add_option("NAME", keys_.name, "whose")->type_name("");
    k->add_option("--role", keys_.role, "agent or client")->type_name("ROLE");
    k->add_option("--out", keys_.out, "the key file to write (default: NAME.key)")->type_name("FILE");
    k->callback([this] {
      if (keys_.action != "list" && keys_.name.empty())
        throw CLI::ValidationError("NAME", "keys " + keys_.action + ": found no name, expected whose key it is");
      line_.run = [this](context& in) { return manage_keys(in, keys_); };
    });
  }

  void add_sessions() {
    CLI::App* c = command(app_, "sessions", "list, show, watch, pause, resume or cancel sessions");
    c->add_option("ACTION", session_action_, "list (default), show, watch, pause, resume or cancel; of a scheduler also standing, unstand")
        ->type_name("")
        ->check(CLI::IsMember({"list", "show", "watch", "pause", "resume", "cancel", "standing", "unstand"}));
    c->add_option("SESSION", session_, "its id, the beginning of it, or last")->type_name("");
    add_host_settings(*c);
    add_remote_settings(*c);
    c->callback([this] {
      if (session_action_ != "list" && session_action_ != "standing" && session_.empty())
        throw CLI::ValidationError("SESSION", fmt::format("sessions {}: found no session, expected its id, the beginning of it, or last", session_action_));
      line_.run = [this](context& in) { return run_session_action(in); };
    });
  }

  result<int> run_session_action(context& in) const {
    if (!in.configured.scheduler.empty())
      return remote_sessions(in, session_action_, session_);
    if (session_action_ == "standing" || session_action_ == "unstand")
      return error{errc::usage, fmt::format("sessions {}: a running scheduler has the standing list; name it with --scheduler tcp://HOST:PORT --key FILE", session_action_)};
    if (session_action_ == "show")
      return show_session(in, session_);
    if (session_action_ == "watch")
      return watch_session(in, session_);
    if (session_action_ == "pause")
      return pause_session(in, session_);
    if (session_action_ == "cancel")
      return cancel_session(in, session_);
    if (session_action_ == "resume")
      return optimize(in, {.spec = "", .resume = session_, .workloads = {}, .devices = {}});
    return list_sessions(in);
  }

  void add_mcp() {
    CLI::App* c = command(app_, "mcp", "serve coding agents by the Model Context Protocol on stdin and stdout");
    add_host_settings(*c);
    add_remote_settings(*c);
    c->callback([this] { line_.run = [](context& in) { return mcp(in); }; });
  }

  void add_explain() {
    CLI::App* c = command(app_, "explain", "how a candidate came about, what each step gained and why, and its source");
    c->add_option("CANDIDATE", explained_, "its id or the beginning of it; or a session: then its best")->type_name("")->required();
    c->add_flag("--prompt", conversation_, "also what its model was told and said");
    c->callback([this] { line_.run = [this](context& in) { return explain(in, explained_, conversation_); }; });
  }

  void add_verify() {
    CLI::App* c = command(app_, "verify", "measure a candidate afresh against every baseline");
    c->add_option("WHAT", verify_.what, "a candidate's id, a session, a Solution .json or a .cpp file")->type_name("")->required();
    c->add_option("--operator", verify_.operator_spec, "which operator it implements (needed for a .cpp file)")->type_name("OPERATOR");
    c->add_option("--workload", verify_.workloads, "only these workloads, by name")->type_name("NAME")->expected(1, -1);
    c->add_option("--against", verify_.against, "candidates of the store for the same operator, by id: it is timed beside them, too")->type_name("ID")->expected(1, 8);
    c->add_option("--flags", flags_, "compiler flags of a .cpp file, in one argument")->type_name("FLAGS");
    setting(*c, "--target", "target", "cpu[/arch[/language]]")->type_name("TARGET");
    setting(*c, "--seed", "seed", "of the inputs (default: drawn afresh)")->type_name("S");
    setting(*c, "--time", "time", "limit of the measurement, at least 60s")->type_name("TIME");
    add_host_settings(*c);
    c->callback([this] {
      for (std::string& flag : CLI::detail::split_up(flags_))
        verify_.flags.push_back(std::move(flag));
      line_.run = [this](context& in) { return verify(in, verify_); };
    });
  }

  void add_memory() {
    CLI::App* leaders = command(app_, "leaders", "the best verified candidate or baseline for each operator, workload and hardware");
    leaders->add_option("OPERATOR", operator_, "only this one's")->type_name("");
    leaders->callback([this] { line_.run = [this](context& in) { return show_leaders(in, operator_); }; });

    add_export();

    CLI::App* kb = command(app_, "kb", "what is remembered: list, skills, check, compact, snapshot");
    kb->add_option("ACTION", kb_action_, "list (default), skills, documents, search, add, check, compact or snapshot")
        ->type_name("")
        ->check(CLI::IsMember({"list", "skills", "documents", "search", "add", "check", "compact", "snapshot"}));
    kb->add_option("WHAT", documents_.what, "words to search for; files or folders to add; where a snapshot goes")->type_name("")->expected(0, -1);
    kb->add_flag("--repair", repair_, "check: rebuild the views from the log");
    kb->add_option("--target", documents_.target, "search: only what applies there")->type_name("TARGET");
    kb->add_option("--signal", documents_.signals, "search: what was seen, such as bound:memory")->type_name("SIGNAL")->allow_extra_args(false);
    kb->add_option("--limit", documents_.limit, "search: passages (default: 5)")->type_name("N")->check(CLI::Range(1, 100));
    kb->add_option("--platform", documents_.platform, "add: of documents that do not say so themselves")->type_name("NAME");
    kb->add_option("--language", documents_.language, "add: likewise")->type_name("NAME");
    kb->callback([this] {
      const bool many = kb_action_ == "search" || kb_action_ == "add";
      if (kb_action_ == "snapshot" && documents_.what.size() != 1)
        throw CLI::ValidationError("DIR", "kb snapshot: found no directory, expected where the copy goes");
      if (!many && kb_action_ != "snapshot" && !documents_.what.empty())
        throw CLI::ValidationError("DIR", fmt::format("kb {}: found '{}', expected nothing more", kb_action_, documents_.what.front()));
      if (many || kb_action_ == "documents") {
        line_.run = [this](context& in) { return work_on_documents(in, kb_action_, documents_); };
        return;
      }
      if (kb_action_ == "snapshot")
        directory_ = documents_.what.front();
      line_.run = [this](context& in) {
        return kb_action_ == "skills"     ? list_skills(in)
               : kb_action_ == "check"    ? check_store(in, repair_)
               : kb_action_ == "compact"  ? compact_store(in)
               : kb_action_ == "snapshot" ? snapshot_store(in, directory_)
                                          : list_knowledge(in);
      };
    });
  }

  void add_export() {
    CLI::App* c = command(app_, "export", "a leader's sources and solution.json as files; or sessions as data sets for training");
    c->add_option("--leader", operator_, "of which operator")->type_name("OPERATOR");
    c->add_option("DIR", directory_, "with --leader: where to")->type_name("");
    c->add_option("--trajectories", trajectories_.format, "sft, dpo, kto, grpo, verl or sts")->type_name("FORMAT")->check(CLI::IsMember({"sft", "dpo", "kto", "grpo", "verl", "sts"}));
    c->add_option("--output", trajectories_.output, "a file, compressed where its name ends in .zst; or a folder: one file for each session (default: stdout)")->type_name("FILE");
    c->add_option("--session", trajectories_.sessions, "only this session (its id, the beginning of it, or last); may be repeated")->type_name("SESSION")->allow_extra_args(false);
    c->add_option("--operator", trajectories_.operators, "only this operator's; may be repeated")->type_name("OPERATOR")->allow_extra_args(false);
    c->add_option("--split", trajectories_.split, "train, test (a fifth of the operators, by name) or all (default)")->type_name("NAME")->check(CLI::IsMember({"train", "test", "all"}));
    c->add_option("--exclude-provider", trajectories_.without_providers, "nothing that this provider's models wrote; may be repeated")->type_name("NAME")->allow_extra_args(false);
    c->callback([this] {
      if (operator_.empty() == trajectories_.format.empty())
        throw CLI::ValidationError("export", operator_.empty() ? "found neither --leader nor --trajectories, expected one of them" : "found both --leader and --trajectories, expected one of them");
      if (trajectories_.format.empty() == directory_.empty())
        throw CLI::ValidationError("DIR", directory_.empty() ? "export --leader: found no directory, expected where the files go" : fmt::format("export --trajectories: found '{}', expected --output FILE", directory_));
      line_.run = [this](context& in) { return trajectories_.format.empty() ? export_leader(in, operator_, directory_) : export_trajectories(in, trajectories_); };
    });
  }

  void add_train() {
    CLI::App* c = command(app_, "train", "learn which transformation to try next, from measured edges; kept in the data folder");
    c->add_option("--store", train_.stores, "a data folder whose sessions are learnt from; may be repeated (default: --data)")->type_name("DIR")->allow_extra_args(false);
    c->add_option("--landscape", train_.landscapes, "recorded by bench landscape")->type_name("FILE")->expected(1, -1);
    c->add_flag("--evaluate", train_.evaluate, "against the rules on the landscapes, each family held out in turn: a policy that wins is used by default");
    c->add_option("--seeds", train_.seeds, "searches of each kind, with --evaluate")->type_name("N")->check(CLI::Range(6, 10000));
    c->add_option("--evaluations", train_.evaluations, "of each search, with --evaluate")->type_name("N")->check(CLI::Range(2, 1000000));
    c->add_option("--trees", train_.trees, "of the model")->type_name("N")->check(CLI::Range(1, 1000));
    c->add_option("--depth", train_.depth, "of each tree")->type_name("N")->check(CLI::Range(1, 6));
    c->add_option("--temperature", train_.temperature, "of the softmax over expected log gains")->type_name("T")->check(CLI::Range(0.0001, 10.0));
    setting(*c, "--seed", "seed", "the first of the searches' seeds (default: 1)")->type_name("S");
    c->callback([this] { line_.run = [this](context& in) { return train(in, train_); }; });
  }

  void add_bench() {
    CLI::App* bench = app_.add_subcommand("bench", "our own campaigns, each resumable");
    bench->require_subcommand(1);
    CLI::App* engine = command(*bench, "engine", "iterations per second with an instant synthesizer and evaluator");
    engine->add_option("--candidates", engine_.candidates, "in the tree at the end")->type_name("N");
    engine->add_option("--in-flight", engine_.in_flight, "proposals at once")->type_name("N");
    setting(*engine, "--policy", "policy", "greedy, mcts or evolve")->type_name("NAME");
    setting(*engine, "--seed", "seed", "of the draws")->type_name("S");
    engine->callback([this] { line_.run = [this](context& in) { return bench_engine(in, engine_); }; });

    CLI::App* scale = command(*bench, "scale", "one scheduler and many connected agents whose evaluations are simulated");
    scale->add_option("--agents", scale_.agents, "how many; several numbers: one run each")->type_name("N")->delimiter(',')->expected(1, -1)->check(CLI::Range(1, 100'000));
    scale->add_option("--evaluations", scale_.evaluations, "simulated, of each run")->type_name("N")->check(CLI::Range(1, 100'000'000));
    scale->add_option("--sessions", scale_.sessions, "that share the agents")->type_name("N")->check(CLI::Range(1, 10'000));
    scale->add_option("--in-flight", scale_.in_flight, "proposals at once, over all sessions")->type_name("N")->check(CLI::Range(1, 1'000'000));
    scale->add_option("--rate", scale_.rate, "evaluations a second that the agents can do together; 0: they answer at once (default: a run with 0 and one with 3300)")->type_name("N")->check(CLI::Range(0.0, 1e6));
    scale->add_option("--source-bytes", scale_.source_bytes, "of a candidate")->type_name("N")->check(CLI::Range(0, 1'000'000));
    scale->add_option("--fleet", scale_.fleet, "be the fleet that this file describes")->type_name("FILE")->group("");
    setting(*scale, "--seed", "seed", "of the draws")->type_name("S");
    scale->callback([this] {
      std::error_code failure;
      scale_.executable = std::filesystem::read_symlink("/proc/self/exe", failure).string();
      line_.run = [this](context& in) { return bench_scale(in, scale_); };
    });

    CLI::App* simulate = command(*bench, "simulate", "whole clusters in one process under faults, from seeds; invariants after every step");
    simulate->add_option("--seeds", simulate_.seeds, "how many")->type_name("N");
    simulate->add_option("--from", simulate_.from, "the first")->type_name("SEED");
    simulate->add_option("--replay", simulate_.replay, "this one alone, with its trace")->type_name("SEED");
    simulate->callback([this] { line_.run = [this](context& in) { return bench_simulate(in, simulate_); }; });

    CLI::App* llm = command(*bench, "llm", "steps from prompt to candidate per second against a made-up model server");
    llm->add_option("--format", llm_.format, "openai-chat, openai-responses or anthropic")->type_name("NAME");
    llm->add_option("--steps", llm_.steps, "of a model that answers at once")->type_name("N")->check(CLI::Range(1, 10'000'000));
    llm->add_option("--in-flight", llm_.in_flight, "so many at once")->type_name("N")->check(CLI::Range(1, 10'000));
    llm->add_option("--waiting", llm_.waiting, "requests at once to a model that takes long")->type_name("N")->check(CLI::Range(1, 10'000));
    llm->add_option("--latency", llm_.latency_s, "how long it takes")->type_name("SECONDS")->check(CLI::Range(0.0, 3600.0));
    llm->callback([this] { line_.run = [this](context& in) { return bench_llm(in, llm_); }; });

    CLI::App* kill = command(*bench, "kill", "kill -9 at random moments, resume, check that nothing is lost or twice");
    kill->add_flag("--cluster", kill_.cluster, "a scheduler and two agents, also paused; ten kills on each cluster");
    kill->add_option("--stored", kill_.stored, "results in the cluster's store to begin with (made up)")->type_name("N");
    kill->add_flag("--failpoints", kill_.failpoints, "with --cluster: one death at each named place of scheduler, agents and commands, as far as --rounds goes");
    kill->add_flag("--list-failpoints", kill_.lists_failpoints, "print their names (KEVOLVE_FAILPOINT=NAME or NAME:N arms one in any process)");
    kill->add_option("--rounds", kill_.rounds, "how many kills")->type_name("N");
    kill->add_option("--evaluations", kill_.evaluations, "of each session")->type_name("N");
    kill->add_option("--spec", kill_.spec, "what is optimised")->type_name("SPEC");
    kill->add_option("--workload", kill_.workloads, "only these workloads")->type_name("NAME")->expected(1, -1);
    kill->add_option("--seed", kill_.seed, "of the moments")->type_name("S");
    kill->callback([this] {
      std::error_code failure;
      kill_.executable = std::filesystem::read_symlink("/proc/self/exe", failure).string();
      if (kill_.failpoints && !kill_.cluster)
        throw CLI::ValidationError("--failpoints", "found no --cluster, expected both: failpoints belong to the processes of a cluster");
      line_.run = [this](context& in) {
        return kill_.lists_failpoints ? list_failpoints(in) : kill_.failpoints ? bench_failpoints(in, kill_) : kill_.cluster ? bench_kill_cluster(in, kill_) : bench_kill(in, kill_);
      };
    });

    CLI::App* compounding = command(*bench, "compounding", "does what other sessions learnt help: cold and warm searches, each family of operators held out in turn");
    compounding->add_option("--operators", compounding_.operators, "only these (default: all that ship)")->type_name("LIST")->delimiter(',')->expected(1, -1);
    compounding->add_option("--seeds", compounding_.seeds, "searches of each kind (default: 5)")->type_name("N")->check(CLI::Range(1, 1000));
    compounding->add_option("--replay", compounding_.landscapes, "over landscapes of bench landscape in place of sessions, for several ways to inject")->type_name("FILE")->expected(1, -1);
    setting(*compounding, "--time", "time", "for each search: 60s, 5m")->type_name("TIME");
    setting(*compounding, "--evaluations", "evaluations", "for each search, at most")->type_name("N");
    setting(*compounding, "--seed", "seed", "the first (default: 1)")->type_name("S");
    setting(*compounding, "--injection", "injection", "how often what others learnt goes into a context: a probability, or adaptive")->type_name("P");
    setting(*compounding, "--policy-model", "policy_model", "on: warm searches use a policy learnt from the other families' sessions")->type_name("HOW");
    add_host_settings(*compounding);
    compounding->callback([this] {
      std::error_code failure;
      compounding_.executable = std::filesystem::read_symlink("/proc/self/exe", failure).string();
      compounding_.flags.insert(line_.flags.begin(), line_.flags.end());
      line_.run = [this](context& in) { return bench_compounding(in, compounding_); };
    });

    add_survey(*bench, "kernelbench", "optimise the problems of a KernelBench checkout; one table at the end", bench_kernelbench, kernelbench_);
    add_survey(*bench, "operators", "optimise the operators that ship; one table at the end", bench_operators, operators_);

    CLI::App* model = command(*bench, "model", "how well the cost model ranks what the store's sessions measured");
    model->callback([this] { line_.run = [](context& in) { return bench_model(in); }; });

    CLI::App* landscape = command(*bench, "landscape", "record an operator's search space, for bench replay");
    landscape->add_option("OPERATOR", landscape_.spec, "which operator")->type_name("")->required();
    landscape->add_option("--workload", landscape_.workloads, "these workloads (default: the first)")->type_name("NAME")->expected(1, -1);
    setting(*landscape, "--time", "time", "how long: 60s, 2h")->type_name("TIME");
    setting(*landscape, "--evaluations", "evaluations", "up to so many points")->type_name("N");
    setting(*landscape, "--seed", "seed", "of the draws")->type_name("S");
    add_host_settings(*landscape);
    landscape->callback([this] { line_.run = [this](context& in) { return bench_landscape(in, landscape_); }; });

    CLI::App* replay = command(*bench, "replay", "policies and their parts on recorded search spaces: does search pay?");
    replay->add_option("FILE", replay_.files, "of bench landscape, or kernel_tuner cache files")->type_name("")->required()->expected(1, -1);
    replay->add_option("--seeds", replay_.seeds, "searches of each kind")->type_name("N")->check(CLI::Range(1, 10000));
    replay->add_option("--evaluations", replay_.evaluations, "of each search")->type_name("N")->check(CLI::Range(2, 1000000));
    replay->add_flag("--no-first-guess", replay_.without_first_guess, "hide the compound first schedule: from the plain loop nest alone");
    setting(*replay, "--seed", "seed", "the first of them (default: 1)")->type_name("S");
    replay->callback([this] { line_.run = [this](context& in) { return bench_replay(in, replay_); }; });

    CLI::App* hostile = command(*bench, "hostile", "attacks on judge and sandbox, and honest kernels that must pass");
    hostile->add_option("--repeat", hostile_.repeat, "how often each attack meets all defences")->type_name("N")->check(CLI::Range(1, 100000));
    hostile->add_option("--only", hostile_.only, "these of tests/hostile/programs and tests/hostile/honest")->type_name("NAME")->expected(1, -1);
    hostile->add_flag("--quick", hostile_.quick, "the short form: all defences, and none");
    hostile->add_flag("--defended", hostile_.defended, "all defences only: no controls");
    hostile->add_flag("--stop", hostile_.stop, "end at the first finding");
    hostile->add_option("--keep", hostile_.keep, "keep what was compiled here, for the next run")->type_name("DIR");
    hostile->callback([this] { line_.run = [this](context& in) { return bench_hostile(in, hostile_); }; });

    CLI::App* aa = command(*bench, "aa", "how often a candidate is called better than itself");
    aa->add_option("--trials", aa_.trials, "how many")->type_name("N");
    aa->add_option("--spec", aa_.spec, "which operator")->type_name("OPERATOR");
    aa->add_option("--workload", aa_.workloads, "only these workloads (default: the first)")->type_name("NAME")->expected(1, -1);
    aa->add_flag("--verify", aa_.verify, "as leaders are verified: the intervals that reports show");
    aa->add_flag("--neighbour", aa_.neighbour, "with a neighbour that keeps a core busy");
    aa->callback([this] { line_.run = [this](context& in) { return bench_aa(in, aa_); }; });
  }

  void add_survey(CLI::App& bench, const std::string& name, const std::string& what, result<int> (*run)(context&, const survey_options&), survey_options& into) {
    CLI::App* c = command(bench, name, what);
    if (name == "kernelbench") {
      c->add_option("DIR", into.directory, "a checkout, or a folder that holds level1, level2, …")->type_name("")->required();
      c->add_option("--level", into.levels, "only these levels")->type_name("N")->expected(1, -1);
      setting(*c, "--scale", "scale", "shrink the problems' sizes: cpu or a factor")->type_name("cpu|FACTOR");
    }
    c->add_option("--problems", into.problems, name == "kernelbench" ? "only these, by number or name" : "only these operators")->type_name("LIST")->delimiter(',')->expected(1, -1);
    setting(*c, "--time", "time", "for each: 60s, 5m")->type_name("TIME");
    setting(*c, "--evaluations", "evaluations", "for each, at most")->type_name("N");
    setting(*c, "--policy", "policy", "how the next tree node is chosen: greedy, mcts or evolve")->type_name("NAME");
    setting(*c, "--seed", "seed", "of all random draws")->type_name("S");
    add_host_settings(*c);
    c->callback([this, run, &into] {
      std::error_code failure;
      into.executable = std::filesystem::read_symlink("/proc/self/exe", failure).string();
      into.flags.insert(line_.flags.begin(), line_.flags.end());
      line_.run = [run, &into](context& in) { return run(in, into); };
    });
  }

  CLI::App& app_;
  command_line& line_;
  optimize_options optimize_;
  verify_options verify_;
  kill_options kill_;
  aa_options aa_;
  doctor_options doctor_;
  serve_options serve_;
  submit_options submit_;
  launch_options launch_;
  keys_options keys_;
  std::string agents_action_ = "list", agent_, output_;
  hostile_options hostile_;
  landscape_options landscape_;
  replay_options replay_;
  train_options train_;
  compounding_options compounding_;
  engine_options engine_;
  scale_options scale_;
  simulate_options simulate_;
  llm_options llm_;
  survey_options kernelbench_, operators_;
  bool conversation_ = false;
  documents_options documents_;
  trajectory_options trajectories_;
  std::string session_action_ = "list", session_, explained_, flags_, operator_, kb_action_ = "list", directory_;
  bool repair_ = false;
};

} // namespace

parsed_line parse_command_line(int argc, const char* const* argv) {
  parsed_line parsed;
  // Owned by `run`, which refers to the options inside.
  auto line = std::make_shared<command_line>();
  auto app = std::make_shared<CLI::App>("kevolve: makes compute kernels faster by search", "kevolve");
  auto rules = std::make_shared<grammar>(*app, *line);
  rules->build();
  if (argc <= 1 || std::string(argv[1]) == "help") {
    parsed.exit = argc <= 1 ? 2 : 0;
    parsed.text = app->help();
    return parsed;
  }
  try {
    app->parse(argc, argv);
  } catch (const CLI::CallForAllHelp&) {
    parsed.exit = 0;
    parsed.text = app->help("", CLI::AppFormatMode::All);
  } catch (const CLI::CallForHelp&) {
    const CLI::App* innermost = app.get();
    while (!innermost->get_subcommands().empty())
      innermost = innermost->get_subcommands().front();
    parsed.exit = 0;
    parsed.text = innermost->help();
  } catch (const CLI::CallForVersion&) {
    parsed.exit = 0;
    parsed.text = std::string("kevolve ") + version;
  } catch (const CLI::ParseError& failure) {
    parsed.exit = 2; // CLI11's own codes begin at 100
    parsed.text = fmt::format("kevolve: {}; kevolve {}--help lists what there is", failure.what(), argc > 1 && argv[1][0] != '-' ? std::string(argv[1]) + " " : "");
  }
  parsed.line = *line;
  if (line->run)
    parsed.line.run = [run = line->run, rules, app, line](context& in) { return run(in); };
  return parsed;
}

} // namespace kevolve::scheduler
