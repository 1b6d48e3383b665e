// The commands, one function each: options in, exit code or error out. What they share is in context.hpp. Each is called once, by main.
#pragma once

#include "protocol/result.hpp"
#include "protocol/event.hpp"
#include "actors/runtime.hpp"
#include "scheduler/context.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kevolve::scheduler {

struct optimize_options {
  std::string spec;                   // empty with `resume`
  std::string resume;                 // session or the beginning of its id
  std::vector<std::string> workloads;
  std::vector<std::string> devices;   // files that describe them
};
result<int> optimize(context& in, const optimize_options& options);

result<int> list_sessions(context& in);
result<int> show_session(context& in, const std::string& session);
/// Follows a session of any process until it ends.
result<int> watch_session(context& in, const std::string& session);
result<int> pause_session(context& in, const std::string& session);
result<int> cancel_session(context& in, const std::string& session);

/// A candidate (or the beginning of its id), or a session: then its best.
/// `conversation`: also what its model was told and said.
result<int> explain(context& in, const std::string& what, bool conversation = false);

struct verify_options {
  std::string what;                   // candidate, Solution .json or .cpp
  std::string operator_spec;          // needed for a .cpp
  std::vector<std::string> workloads;
  std::vector<std::string> flags;     // of a .cpp
  std::vector<std::string> against;   // candidates of the store that it is timed beside
};
result<int> verify(context& in, const verify_options& options);

result<int> show_leaders(context& in, const std::string& operator_name);
result<int> export_leader(context& in, const std::string& operator_name, const std::string& directory);

struct trajectory_options {
  std::string format;                 // sft, dpo, kto, grpo, verl or sts
  std::string output;                 // .zst: compressed; a folder: a file for each session; empty: stdout
  std::vector<std::string> sessions;  // only these (ids, beginnings of ids, or last); empty: all
  std::vector<std::string> operators; // only these, by name; empty: all
  std::string split = "all";          // train, test or all
  std::vector<std::string> without_providers;
};
/// Sessions as data sets, a line each.
result<int> export_trajectories(context& in, const trajectory_options& options);

result<int> list_knowledge(context& in);
result<int> list_skills(context& in);
result<int> check_store(context& in, bool repair);
/// Seals every session that has ended; refused while a scheduler has the store, which does so by itself.
result<int> compact_store(context& in);
result<int> snapshot_store(context& in, const std::string& directory);

struct doctor_options {
  bool noise = false;                 // measure how small a gain this host can resolve
  std::uint32_t trials = 12;          // of each gain
};
result<int> doctor(context& in, const doctor_options& options = {});

struct kill_options {
  std::string spec = "rms_norm_h4096";
  std::vector<std::string> workloads;
  std::uint32_t rounds = 100;
  std::uint32_t evaluations = 8;
  std::uint64_t seed = 1;
  std::string executable;             // of the kevolve that is killed
  bool cluster = false;               // a scheduler and two agents instead of one host; beside pauses
  std::uint32_t stored = 0;           // results in the cluster's store to begin with
  bool failpoints = false;            // of the cluster's processes, in place of random moments; `rounds` of them
  bool lists_failpoints = false;      // no campaign
};
/// kill -9 at random moments, then resume: nothing lost, nothing twice.
result<int> bench_kill(context& in, const kill_options& options);
/// The same for a scheduler and two agents, killed or stopped for a while one at a time.
result<int> bench_kill_cluster(context& in, const kill_options& options);
/// The same, one death at each failpoint (protocol/failpoint.hpp).
result<int> bench_failpoints(context& in, const kill_options& options);
result<int> list_failpoints(context& in);

struct landscape_options {
  std::string spec;
  std::vector<std::string> workloads; // empty: the first
};
/// Records a search space, for --time or up to --evaluations points; goes on where it was.
result<int> bench_landscape(context& in, const landscape_options& options);

struct replay_options {
  std::vector<std::string> files;     // of bench landscape, or kernel_tuner caches
  std::uint32_t seeds = 20;
  std::uint32_t evaluations = 60;     // of each search
  bool without_first_guess = false;   // from the plain loop nest alone
};
/// Policies and their parts on recorded search spaces.
result<int> bench_replay(context& in, const replay_options& options);

inline constexpr std::size_t fewest_edges = 50; // below which nothing is learnt

struct train_options {
  std::vector<std::string> stores;    // whose sessions are learnt from; empty: the data folder's, where it has any
  std::vector<std::string> landscapes; // files of bench landscape
  bool evaluate = false;              // on held-out families, against the rules
  std::uint32_t seeds = 20;
  std::uint32_t evaluations = 60;     // of each replayed search
  std::uint32_t trees = 100, depth = 3;
  double temperature = 0.02;
};
/// A learned policy for the generator, kept in the data folder.
result<int> train(context& in, const train_options& options);

struct compounding_options {
  std::string executable;             // kevolve itself
  std::map<std::string, std::string> flags; // settings given on the command line, passed on
  std::vector<std::string> operators; // empty: all that ship
  std::vector<std::string> landscapes; // in place of sessions: recorded by bench landscape
  std::uint32_t seeds = 5;
};
/// Does what other sessions learnt help a new one: cold and warm searches, each family held out in turn.
result<int> bench_compounding(context& in, const compounding_options& options);

struct aa_options {
  std::string spec = "rms_norm_h4096";
  std::vector<std::string> workloads;
  std::uint32_t trials = 300;
  bool neighbour = false;             // somebody keeps a core busy meanwhile
  bool verify = false;                // as leaders are verified: the intervals that reports show
};
/// A candidate against itself: how often is it called better.
result<int> bench_aa(context& in, const aa_options& options);

/// What a survey runs `kevolve optimize` on, each in a process of its own, and what each is given.
struct survey_options {
  std::string executable;                         // kevolve itself
  std::map<std::string, std::string> flags;       // settings given on the command line, passed on
  std::string directory;                          // kernelbench: a checkout, or a folder with level1, level2, …
  std::vector<std::string> levels, problems;      // kernelbench: only these; operators: only these names
};
/// A user's own KernelBench checkout, problem by problem; resumable; one table at the end.
result<int> bench_kernelbench(context& in, const survey_options& options);
/// The same for the operators that ship.
result<int> bench_operators(context& in, const survey_options& options);

/// How well the cost model ranks what the store's sessions measured.
result<int> bench_model(context& in);

struct serve_options {
  std::string listen = "tcp://127.0.0.1:7400"; // for agents; people's commands come to the next port
  std::string http;                   // HOST:PORT of /healthz, /readyz and /metrics; empty: none
  double standing_session_s = 60;     // of each session of the standing list
};
/// The scheduler as a daemon, until a signal.
result<int> serve(context& in, const serve_options& options);

struct keys_options {
  std::string action = "list";        // list, new, revoke
  std::string name, role = "agent", out;
};
result<int> manage_keys(context& in, const keys_options& options);

struct submit_options {
  std::vector<std::string> specs;
  std::vector<std::string> workloads;
  bool wait = false;                  // until the sessions have ended
  bool standing = false;              // goes on being optimised whenever nobody asks for anything else
  double weight = 1;                  // of a standing one: how much a gain is worth
  std::string weights;                // a file of lines "OPERATOR NUMBER"
};
/// Sessions for a running scheduler (--scheduler, --key).
result<int> submit(context& in, const submit_options& options);
/// `sessions ACTION` of a running scheduler.
result<int> remote_sessions(context& in, const std::string& action, const std::string& session);
/// `agents list|drain`.
result<int> manage_agents(context& in, const std::string& action, const std::string& agent);
/// `agents package`: the archive from which agents start on bare hosts.
result<int> package_agents(context& in, const std::string& output);

struct launch_options {
  std::vector<std::string> hosts;     // by ssh
  bool slurm = false;
  std::string package;                // an archive; empty: made now
  std::string directory;              // where it lies on the hosts; empty: ~/.cache/kevolve-agent, for root /var/cache/kevolve-agent
  std::vector<std::string> agent_options;
  std::string ssh_config;
  double timeout_s = 60;              // for copying, and for an agent to be heard
  unsigned nodes = 1;                 // Slurm
  std::string time, partition;
  std::vector<std::string> sbatch;
  unsigned drain_s = 60;
  bool again = false, write_only = false;
};
/// `agents launch`: agents on hosts behind ssh, or as a Slurm job. Exit 1 where a host failed.
result<int> launch_agents(context& in, const launch_options& options);
/// Gives a session the weights and limits that are configured for the models among its synthesizers, and splits NAME@LABEL into who writes and where:
/// a model that is not configured here is looked for among `agents`. Errors: a name that is none, or that nobody of that label offers.
result<void> take_models(session_settings& to, const model_configuration& from, const std::vector<agent_status>& agents = {});
/// What the settings say of a session. Errors name the setting.
result<session_settings> session_settings_of(const settings& from, std::vector<std::string> baselines);

/// The Model Context Protocol on stdin and stdout, until stdin ends.
result<int> mcp(context& in);

struct documents_options {
  std::vector<std::string> what;      // words to search for; files and folders to add
  std::string target;                 // of a search: only what applies there
  std::vector<std::string> signals;   // of a search: "bound:memory", …
  std::size_t limit = 5;
  std::string platform, language;     // of added documents that do not say so themselves
};
/// `kb documents|search|add`: the knowledge base's documents.
result<int> work_on_documents(context& in, const std::string& action, const documents_options& options);

struct hostile_options {
  std::uint32_t repeat = 1;           // how often each attack meets all defences
  std::vector<std::string> only;      // these programs and honest kernels; empty: all
  bool quick = false;                 // without each defence alone, and without what takes gigabytes
  bool defended = false;              // without switching any defence off
  bool stop = false;                  // at the first finding
  std::filesystem::path keep;         // keeps what was compiled and calibrated for the next run; empty: nothing is kept
};
/// The attack suite of tests/hostile/ and its honest corpus.
result<int> bench_hostile(context& in, const hostile_options& options);

struct llm_options {
  std::string format = "openai-chat"; // or openai-responses, anthropic
  std::uint32_t steps = 6000, in_flight = 64; // of a model that answers at once
  std::uint32_t waiting = 200;        // requests at once to one that takes `latency_s`
  double latency_s = 30;
};
/// Steps from prompt to candidate a second, and requests in flight, against a made-up model server.
result<int> bench_llm(context& in, const llm_options& options);

struct simulate_options {
  std::uint64_t seeds = 500, from = 1;
  std::optional<std::uint64_t> replay; // this one alone, with its trace
};
/// Simulated clusters under faults, one a seed: invariants after every step.
result<int> bench_simulate(context& in, const simulate_options& options);

struct scale_options {
  std::string executable;             // kevolve itself: the fleet is a process of its own
  std::vector<std::uint32_t> agents = {10, 100, 1000};
  std::uint32_t evaluations = 30'000; // of each run
  std::uint32_t sessions = 10, in_flight = 2'500;
  std::uint32_t source_bytes = 8'000; // of a candidate
  std::optional<double> rate;         // evaluations a second that the agents can do; 0: they answer at once; none: a run of each
  std::string fleet;                  // this process is the fleet that this file describes
};
/// One scheduler and many agents whose evaluations are simulated: rate, dispatch latency, memory, descriptors, cost per evaluation.
result<int> bench_scale(context& in, const scale_options& options);

struct engine_options {
  std::uint32_t candidates = 100'000;
  std::uint32_t in_flight = 128;
};
result<int> bench_engine(context& in, const engine_options& options);

} // namespace kevolve::scheduler
