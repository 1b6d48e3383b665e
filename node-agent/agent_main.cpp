// kevolve-agent: the daemon on a host with devices. Serves a scheduler with the host's evaluator until it is told to stop: SIGTERM drains (nothing
// new, what is under way is finished), a second one ends at once. An agent that loses its scheduler finishes what it holds and delivers it when
// the scheduler is back; what it has answered lies in its spool until it is counted. Links neither CAF nor the cluster's store.
#include "actors/agent_service.hpp"
#include "actors/answer_spool.hpp"
#include "node-agent/agent_daemon.hpp"
#include "node-agent/devices.hpp"
#include "node-agent/evaluate.hpp"
#include "node-agent/golden_watch.hpp"
#include "node-agent/process.hpp"
#include "node-agent/service_manager.hpp"
#include "protocol/failpoint.hpp"
#include "protocol/host_selection.hpp"
#include "scheduler/host_models.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/target_description.hpp"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/signalfd.h>
#include <thread>
#include <unistd.h>

namespace {

using namespace kevolve;

int failed(const error& why) {
  std::fprintf(stderr, "kevolve-agent: %s\n", why.message.c_str());
  return exit_code(why.code);
}

void say(const std::string& text) { std::fprintf(stderr, "kevolve-agent: %s\n", text.c_str()); }

bool calibrate(agent::host_evaluator& host) {
  const auto roofs = host.roofs();
  if (!roofs)
    say("calibration: " + roofs.error().message + "; it is tried again with the first evaluation");
  return roofs.has_value();
}

void introduce(agent::host_evaluator& host, const std::string& name, const std::string& scheduler, bool compile_only) {
  const auto devices = compile_only ? std::vector<device_description>() : host.devices();
  for (const auto& device : devices)
    say(name + " serves " + to_string(device.on) + " (" + device.hardware + (device.hardware == devices.front().hardware ? "" : ": " + device.facts) + "), scheduler " + scheduler);
  if (!compile_only)
    return;
  std::string with;
  for (const auto& toolchain : host.toolchains())
    with += (with.empty() ? "" : ", ") + toolchain;
  say(name + " compiles for other agents with " + with + ", scheduler " + scheduler);
}

std::string host_name() {
  char name[256] = "host";
  (void)::gethostname(name, sizeof name - 1);
  return name;
}

} // namespace

int main(int argc, char** argv) {
  if (agent::answer_device_search(argc, argv))
    return 0;
  std::string scheduler, key_path, cache, python, compiler = "g++", name, sandbox = "any", golden_every = "10m";
  unsigned compile_slots = 0, device_slots = 1, cache_gib = 4, piece_kib = limits::piece_bytes >> 10, writing_slots = 1;
  bool compile_elsewhere = false, compile_only = false;
  std::vector<std::string> described, labels;
  scheduler::host_models_options writes;
  CLI::App app("Serves a kevolve scheduler with this host's devices.", "kevolve-agent");
  app.add_option("--scheduler", scheduler, "where it listens")->type_name("tcp://HOST:PORT")->required();
  app.add_option("--key", key_path, "an agent's key file (kevolve keys new NAME --role agent)")->type_name("FILE")->required();
  app.add_option("--cache", cache, "artifacts and calibration")->type_name("DIR");
  app.add_option("--cache-gib", cache_gib, "of artifacts; those used longest ago go (0: no bound)")->type_name("N")->capture_default_str();
  app.add_option("--python", python, "a Python with torch: baselines and tracing")->type_name("PATH");
  app.add_option("--compiler", compiler, "what calibration is compiled with; where it is missing, other agents compile")->type_name("NAME");
  app.add_flag("--compile-elsewhere", compile_elsewhere, "use no compiler of this host: other agents compile");
  app.add_flag("--compile-only", compile_only, "offer no device: this host compiles for those that have none")->excludes("--compile-elsewhere");
  app.add_option("--piece-kib", piece_kib, "of programs that come from other agents, asked for at once")->type_name("N")->check(CLI::Range(1u, static_cast<unsigned>(limits::piece_bytes >> 10)))->capture_default_str();
  app.add_option("--name", name, "what it is called behind its key's name (default: the host's)")->type_name("NAME");
  app.add_option("--compile-slots", compile_slots, "compilers at once (0: one per core)")->type_name("N");
  app.add_option("--device-slots", device_slots, "measurements at once: cores are shared out")->type_name("N");
  app.add_option("--golden-every", golden_every, "how often the device is checked against its calibration, half a second each (0: never)")->type_name("TIME")->capture_default_str();
  app.add_option("--require-sandbox", sandbox, "full: refuse to start where a layer is missing")->check(CLI::IsMember({"any", "full"}));
  app.add_option("--device", described, "a device that kevolve does not know, by the file that describes it; may be given again")->type_name("FILE.toml")->expected(1)->take_all();
  app.add_option("--models", writes.file, "models that write candidates on this host: [llm.providers.X] and [[llm.models]] as in config.toml; their keys stay here")->type_name("FILE.toml");
  app.add_flag("--generator", writes.generator, "the generator writes on this host, too");
  app.add_option("--writing-slots", writing_slots, "candidates that they write at once")->type_name("N")->check(CLI::Range(1, 256))->capture_default_str();
  app.add_option("--label", labels, "what sessions may choose this agent by (--target TARGET@LABEL, --synthesizer NAME@LABEL), besides its name; may be given again")->type_name("LABEL")->expected(1)->take_all();
  CLI11_PARSE(app, argc, argv);

  if (auto armed = arm_failpoint_of_environment(); !armed)
    return failed(armed.error());
  const auto every_s = scheduler::duration_from_string(golden_every);
  if (!every_s)
    return failed({errc::usage, "--golden-every: " + every_s.error().message});

  // Before any thread: judges are forked first, and every thread blocks what one of them waits for.
  sigset_t stops;
  sigemptyset(&stops);
  sigaddset(&stops, SIGTERM);
  sigaddset(&stops, SIGINT);
  ::sigprocmask(SIG_BLOCK, &stops, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  const int told = ::signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);

  auto manager = agent::service_manager::of_environment();
  auto key = read_key(key_path);
  if (!key)
    return failed(key.error());
  if (key->role != key_role::agent)
    return failed({errc::configuration, "key file '" + key_path + "': it is a " + std::string(to_string(key->role)) + "'s, expected an agent's"});
  for (const std::string& label : labels)
    if (auto good = check_label(label); !good)
      return failed(good.error());
  agent::host_settings settings;
  const char* home = std::getenv("HOME");
  settings.cache = !cache.empty() ? cache : std::string(home && *home ? home : "/tmp") + "/.cache/kevolve-agent";
  settings.cache_bytes = std::uint64_t{cache_gib} << 30;
  settings.python = python;
  settings.compiler = compiler;
  settings.compile_elsewhere = compile_elsewhere;
  settings.compile_only = compile_only;
  settings.asks_elsewhere = !compile_only;
  settings.compile_slots = compile_slots;
  settings.device_slots = device_slots;
  settings.require_sandbox = sandbox == "full";
  for (const std::string& file : described) {
    auto read = scheduler::open_target_description(file);
    if (!read)
      return failed(read.error());
    settings.described.push_back(std::move(*read));
  }
  auto host = agent::host_evaluator::start(settings);
  if (!host)
    return failed(host.error());
  const bool bare = !compile_only && !(*host)->compiles();
  if (bare)
    say((compile_elsewhere ? "compilers of this host are not used" : "compiler '" + compiler + "' is not on PATH") + ": other agents of the scheduler compile for this one; while there is none it is given nothing that has to be compiled");
  const bool calibrated = !compile_only && (bare ? (*host)->roofs().has_value() : calibrate(**host)); // a bare host may know its roofs from an earlier life
  if (compile_only && (*host)->toolchains().empty())
    return failed({errc::configuration, "this host was to compile for others and has no compiler: looked for " + compiler + ", g++ and clang++"});
  std::string whole = key->name + "." + (name.empty() ? host_name() : name);
  auto found = agent::find_devices();
  for (const auto& each : found)
    say(each.name + ": " + agent::describe(each));
  std::string remark; // after the judges were forked: nothing of LMDB crosses a fork
  auto spool = open_free_spool(std::filesystem::path(settings.cache) / "spool", whole, remark);
  if (!spool)
    return failed(spool.error());
  if (!remark.empty())
    say("spool: " + remark);
  if (const std::size_t kept = (*spool)->prints().size())
    say("spool: " + std::to_string(kept) + " answers that no scheduler has counted");
  writes.slots = writing_slots;
  const auto env = [](const std::string& variable) -> std::optional<std::string> {
    const char* value = std::getenv(variable.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
  auto writer = scheduler::open_host_models(writes, env, **host);
  if (!writer)
    return failed(writer.error());
  if (*writer)
    for (const auto& each : (*writer)->offers())
      say(whole + " writes candidates as " + each.name + (each.provider.empty() ? "" : " (" + each.provider + ")"));
  std::jthread calibration; // ends after the service, which ends what it waits for
  const std::shared_ptr<answer_spool> kept = std::move(*spool);
  const auto serve = [&] {
    return agent_service::start(**host, scheduler, nullptr, whole, *key, kept, found, agent_terms{!compile_only, std::uint64_t{piece_kib} << 10}, {*writer, labels});
  };
  agent::agent_daemon daemon(serve, manager, settings.cache, told, say);
  if (auto served = daemon.begin(); !served)
    return failed(served.error());
  if (bare && !calibrated)
    calibration = std::jthread([&host = **host] {
      if (calibrate(host))
        say("calibrated, by a kernel that was compiled elsewhere");
    });
  introduce(**host, whole, scheduler, compile_only);
  std::optional<agent::golden_watch> watch;
  if (!compile_only && *every_s > 0) {
    agent::device_health::settings how;
    how.every_s = *every_s;
    const std::string checked = (*host)->devices().front().name; // the one that is calibrated
    watch.emplace(**host, how, [checked](const std::string& text) { say(checked + ": " + text); });
    daemon.hold_back(checked, [&] { return watch->why_suspended(); });
  }
  manager.ready("serves " + scheduler + " as " + whole);
  const auto ended = daemon.run();
  return ended ? *ended : failed(ended.error());
}
