// kevolve agents package and agents launch: the agent's archive, and agents started from it on hosts behind ssh or by Slurm. Hosts are worked on beside
// each other; each step has a deadline; what is there already is left alone, so that launching again is how one looks after a fleet.
#include "scheduler/launch.hpp"

#include "actors/keys.hpp"
#include "node-agent/compile.hpp"
#include "node-agent/process.hpp"
#include "protocol/digest.hpp"
#include "scheduler/agent_package.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/table.hpp"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <unistd.h>

extern char** environ;

namespace fs = std::filesystem;

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;

constexpr std::size_t hosts_at_once = 16;
constexpr double connect_limit_s = 20, slurm_limit_s = 60;
constexpr int ssh_itself_failed = 255;

fs::path own_folder() {
  std::error_code failed;
  return fs::read_symlink("/proc/self/exe", failed).parent_path();
}

std::vector<std::string> our_environment() {
  std::vector<std::string> all; // ssh needs HOME and the agent's socket, sbatch its settings
  for (char** each = environ; *each; ++each)
    all.emplace_back(*each);
  return all;
}

/// The archive that is named, or one that is made now.
result<agent_package> package_of(context& in, const launch_options& options) {
  if (!options.package.empty()) {
    KEVOLVE_TRY(bytes, contents_of(options.package));
    return agent_package{options.package, "", sha256_hex(bytes), bytes.size(), "", {}};
  }
  std::error_code failed;
  const fs::path folder = in.configured.cache / "packages";
  fs::create_directories(folder, failed);
  return make_agent_package(own_folder(), folder);
}

struct host_end {
  std::string host, state, failure; // connected, started, running; empty where it failed
  int pid = 0;
  bool unpacked = false;
};

class ssh_launch {
public:
  ssh_launch(const launch_options& options, std::string scheduler, std::string key, std::string hash, std::string archive)
      : options_(options), key_(std::move(key)), hash_(std::move(hash)), archive_(std::move(archive)), environment_(our_environment()) {
    agent_.insert(agent_.end(), {"--scheduler", scheduler});
    agent_.insert(agent_.end(), options.agent_options.begin(), options.agent_options.end());
    for (const char c : scheduler) // one agent of a scheduler on a host
      instance_ += std::isalnum(static_cast<unsigned char>(c)) || c == '.' ? c : '-';
  }

  host_end on(const std::string& host) const {
    host_end end{host, "", "", 0, false};
    const auto failed = [&](const error& why) {
      end.failure = why.message;
      return end;
    };
    auto there = step(host, "looking for the package", {"check"}, "", connect_limit_s);
    if (!there)
      return failed(there.error());
    if (!there->starts_with("present")) {
      if (auto unpacked = step(host, "copying and unpacking the package", {"unpack"}, archive_, options_.timeout_s); !unpacked)
        return failed(unpacked.error());
      end.unpacked = true;
    }
    std::vector<std::string> start{"start", std::to_string(static_cast<int>(options_.timeout_s))};
    auto said = step(host, "starting the agent", start, key_, options_.timeout_s + connect_limit_s + 60);
    if (!said)
      return failed(said.error());
    std::istringstream words(*said);
    if (!(words >> end.state >> end.pid))
      return failed({errc::infrastructure, "starting the agent: found '" + *said + "', expected its state and process"});
    return end;
  }

private:
  /// `words`: the action, then what follows the fixed arguments.
  result<std::string> step(const std::string& host, const std::string& doing, const std::vector<std::string>& words, const std::string& input, double limit_s) const {
    std::vector<std::string> all{"sh", "-c", host_script, "kevolve", words[0], hash_, options_.directory, instance_};
    all.insert(all.end(), words.begin() + 1, words.end());
    if (words[0] == "start")
      all.insert(all.end(), agent_.begin(), agent_.end());
    std::string line;
    for (const std::string& word : all)
      line += (line.empty() ? "" : " ") + shell_word(word);
    agent::command ssh;
    ssh.arguments = {"ssh"};
    if (!options_.ssh_config.empty())
      ssh.arguments.insert(ssh.arguments.end(), {"-F", options_.ssh_config});
    ssh.arguments.insert(ssh.arguments.end(), {"-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=10", "--", host, line});
    ssh.environment = environment_;
    ssh.input = input;
    ssh.limits.wall_s = limit_s;
    KEVOLVE_TRY(end, agent::run(ssh));
    if (end.good())
      return end.output.substr(0, end.output.find('\n'));
    std::string said = end.errors.substr(0, end.errors.find_last_not_of('\n') + 1);
    if (end.fate == agent::process_fate::exited && end.status == ssh_itself_failed)
      return error{errc::infrastructure, fmt::format("ssh could not {}: {}", doing == "looking for the package" ? "come in" : "go on (" + doing + ")", said)};
    return error{errc::infrastructure, fmt::format("{}: {}", doing, end.fate == agent::process_fate::exited ? said.empty() ? agent::describe(end) : said : "ssh " + agent::describe(end))};
  }

  const launch_options& options_;
  std::vector<std::string> agent_;
  std::string instance_, key_, hash_, archive_;
  std::vector<std::string> environment_;
};

std::vector<host_end> on_all(const ssh_launch& launch, const std::vector<std::string>& hosts) {
  std::vector<host_end> ends(hosts.size());
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < std::min(hosts_at_once, hosts.size()); ++i)
    workers.emplace_back([&] {
      for (std::size_t mine = next++; mine < hosts.size(); mine = next++)
        ends[mine] = launch.on(hosts[mine]);
    });
  for (auto& worker : workers)
    worker.join();
  return ends;
}

std::string told(const host_end& end) {
  if (!end.failure.empty())
    return "failed: " + end.failure;
  const std::string package = end.unpacked ? ", package unpacked" : "";
  if (end.state == "running")
    return fmt::format("runs already (process {})", end.pid);
  if (end.state == "started")
    return fmt::format("started (process {}){}; its scheduler has not been heard yet", end.pid, package);
  return fmt::format("started (process {}){}, its scheduler is there", end.pid, package);
}

result<int> launch_by_ssh(context& in, const launch_options& options, const agent_package& package, const std::string& key) {
  if (agent::find_command("ssh").empty())
    return error{errc::configuration, "ssh is not on PATH (Debian: openssh-client)"};
  std::vector<std::string> hosts;
  for (const std::string& host : options.hosts) {
    if (host.empty() || host[0] == '-')
      return error{errc::usage, fmt::format("--ssh: found '{}', expected hosts as ssh takes them, joined by commas", host)};
    if (std::find(hosts.begin(), hosts.end(), host) == hosts.end())
      hosts.push_back(host);
  }
  KEVOLVE_TRY(archive, contents_of(package.file));
  const ssh_launch launch(options, in.configured.scheduler, key, package.sha256, std::move(archive));
  const auto ends = on_all(launch, hosts);
  object rows = object::array();
  table shown({{"host"}, {"agent"}});
  int failures = 0;
  for (const host_end& end : ends) {
    failures += !end.failure.empty();
    shown.add({end.host, told(end)});
    object row{{"host", end.host}, {"state", end.failure.empty() ? end.state : "failed"}, {"unpacked", end.unpacked}};
    if (end.failure.empty())
      row["pid"] = end.pid;
    else
      row["failure"] = end.failure;
    rows.push_back(std::move(row));
  }
  in.out.answer(object{{"package", package.sha256}, {"hosts", rows}}.dump(2));
  in.out.say(shown.render(in.look()));
  return failures == 0 ? 0 : 1;
}

/// Never half a file under its name.
result<void> put(const fs::path& file, const std::string& contents, fs::perms mode) {
  std::error_code failed;
  fs::create_directories(file.parent_path(), failed);
  const fs::path partial = file.string() + ".part" + std::to_string(::getpid());
  std::ofstream(partial).close();
  fs::permissions(partial, mode, failed);
  std::ofstream out(partial, std::ios::binary);
  out << contents;
  out.close();
  if (!out || (fs::rename(partial, file, failed), failed))
    return error{errc::io, fmt::format("'{}' cannot be written", file.string())};
  return {};
}

result<int> launch_by_slurm(context& in, const launch_options& options, const agent_package& package, const std::string& key) {
  slurm_job job;
  job.hash = package.sha256;
  const std::string home = in.env("HOME").value_or("/tmp"), cache = in.env("XDG_CACHE_HOME").value_or(home + "/.cache");
  job.directory = fs::absolute(options.directory.empty() ? fs::path(cache) / "kevolve-agent" : fs::path(options.directory)).string();
  if (job.directory.find_first_of(" \t\n%\\") != std::string::npos)
    return error{errc::usage, fmt::format("--dir: found '{}', expected a folder without blanks, '%' and '\\', which mean something to sbatch", job.directory)};
  const fs::path at = fs::path(job.directory) / "slurm";
  job.key = (at / "key").string();
  job.scheduler = in.configured.scheduler;
  job.agent_options = options.agent_options;
  job.nodes = options.nodes, job.time = options.time, job.partition = options.partition;
  job.sbatch = options.sbatch, job.drain_s = options.drain_s, job.again = options.again;
  KEVOLVE_TRY(archive, contents_of(package.file));
  const fs::path kept = fs::path(job.directory) / "packages" / (package.sha256 + ".tar.gz");
  std::error_code failed;
  if (!fs::exists(kept, failed))
    KEVOLVE_TRY_VOID(put(kept, archive, static_cast<fs::perms>(0644)));
  KEVOLVE_TRY_VOID(put(job.key, key, static_cast<fs::perms>(0600)));
  const std::string script = (at / "agents.sh").string();
  KEVOLVE_TRY_VOID(put(script, slurm_script(job), static_cast<fs::perms>(0755)));
  object answer{{"package", package.sha256}, {"script", script}, {"job", nullptr}};
  if (options.write_only) {
    in.out.answer(answer.dump(2));
    in.out.say(fmt::format("{}\nsubmit it with sbatch {}\n", script, script));
    return 0;
  }
  if (agent::find_command("sbatch").empty())
    return error{errc::configuration, fmt::format("sbatch is not on PATH: start this where Slurm is, or there: sbatch {}", script)};
  agent::command submit;
  submit.arguments = {"sbatch", "--parsable", script};
  submit.environment = our_environment();
  submit.limits.wall_s = slurm_limit_s;
  KEVOLVE_TRY(end, agent::run(submit));
  if (!end.good())
    return error{errc::infrastructure, fmt::format("sbatch {} {}: {}", script, agent::describe(end), end.errors)};
  const std::string job_id = end.output.substr(0, end.output.find_first_of(";\n"));
  answer["job"] = job_id;
  in.out.answer(answer.dump(2));
  in.out.say(fmt::format("job {}: {} agent{}, as {}; logs in {}; they show in kevolve agents list once they run\n", job_id, job.nodes, job.nodes == 1 ? "" : "s", script, at.string()));
  return 0;
}

} // namespace

result<int> package_agents(context& in, const std::string& output) {
  KEVOLVE_TRY(made, make_agent_package(own_folder(), output));
  in.out.answer(object{{"package", made.file.string()}, {"sha256", made.sha256}, {"bytes", made.bytes}, {"glibc", made.glibc}, {"libraries", made.libraries}}.dump(2));
  in.out.say(fmt::format("{}: {:.1f} MB, {} libraries, for glibc {} or newer; sha256 {}\n"
                         "on a host: tar xzf {} && {}/kevolve-agent --scheduler tcp://HOST:PORT --key FILE\n",
                         made.file.string(), static_cast<double>(made.bytes) / 1e6, made.libraries.size(), made.glibc, made.sha256, made.file.filename().string(), made.name));
  return 0;
}

result<int> launch_agents(context& in, const launch_options& options) {
  if (options.hosts.empty() == !options.slurm)
    return error{errc::usage, "agents launch: found " + std::string(options.slurm ? "both --ssh and --slurm" : "neither --ssh nor --slurm") + ", expected one of them"};
  if (in.configured.scheduler.empty() || in.configured.key.empty())
    return error{errc::usage, "agents launch: expected --scheduler tcp://HOST:PORT and --key FILE (an agent's key: kevolve keys new NAME --role agent)"};
  KEVOLVE_TRY(key, read_key(in.configured.key));
  if (key.role != key_role::agent)
    return error{errc::configuration, fmt::format("key file '{}': it is a {}'s, expected an agent's", in.configured.key.string(), to_string(key.role))};
  KEVOLVE_TRY(text, contents_of(in.configured.key));
  KEVOLVE_TRY(package, package_of(in, options));
  return options.slurm ? launch_by_slurm(in, options, package, text) : launch_by_ssh(in, options, package, text);
}

} // namespace kevolve::scheduler
