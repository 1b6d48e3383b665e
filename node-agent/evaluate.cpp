#include "node-agent/evaluate.hpp"

#include "node-agent/compile.hpp"
#include "node-agent/described_device.hpp"
#include "node-agent/device_lock.hpp"
#include "node-agent/diagnose.hpp"
#include "node-agent/golden.hpp"
#include "node-agent/hardware.hpp"
#include "node-agent/instruction_sets.hpp"
#include "node-agent/judge_link.hpp"
#include "node-agent/oracle.hpp"
#include "node-agent/roofs.hpp"
#include "node-agent/trace.hpp"
#include "node-agent/workspace.hpp"
#include "node-agent/yardstick.hpp"
#include "protocol/codec.hpp"
#include "protocol/digest.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <optional>
#include <sched.h>
#include <set>
#include <unistd.h>
#include <utility>

namespace fs = std::filesystem;

namespace kevolve::agent {
namespace {

constexpr double judge_silence_s = 600; // the oracle may think long over a large workload; a judge that died is seen at once
constexpr double compile_only_s = 120;  // nvcc takes ten
constexpr double waiting_share = 0.5;   // of an attempt's limit: for other processes that use these cores, before we measure beside them
constexpr double waiting_to_calibrate_s = 120;
constexpr double waiting_to_check_s = 20; // evaluations wait as long: the device is held meanwhile
constexpr double golden_silence_s = 60;   // a run takes half a second, ten on a host that is held back to a twentieth
constexpr std::size_t slots_of_baselines = 0; // baseline hosts live with the first judge only

std::vector<int> usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(i, &set))
        cores.push_back(i);
  return cores.empty() ? std::vector<int>{0} : cores;
}

double load_average() {
  std::ifstream in("/proc/loadavg");
  double load = 0;
  in >> load;
  return load;
}

std::int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

class host final : public host_evaluator {
public:
  explicit host(host_settings settings) : settings_(std::move(settings)), hardware_(hardware_key()) {}

  result<void> begin();
  std::vector<device_description> devices() const override;
  bool compiles() const override { return compiles_; }
  unsigned compile_slots() const override { return settings_.compile_slots; }
  void use(remote_compiler elsewhere) override { compilers_->use(std::move(elsewhere)); }
  std::vector<std::string> toolchains() override;
  program_host programs() const override { return this_host(); }
  result<made_for_another> compile_for(const compile_work& what, const std::atomic<bool>& cancelled) override {
    for (const auto& device : described_)
      if (device->compiles(what.what))
        return device->compile_for(what, cancelled);
    return compilers_->compile_for(what, cancelled);
  }
  result<host_roofs> roofs() override { return roofs(false); }
  result<golden_check> check_device(const std::atomic<bool>& cancelled) override;
  result<host_roofs> calibrate_again() override;
  result<evaluation> evaluate(const evaluate_work& what, const std::atomic<bool>& cancelled) override;
  result<std::string> compile_only(const candidate& what, const std::vector<std::string>& command, const std::atomic<bool>& cancelled) override {
    for (const auto& device : described_)
      if (command.empty() && device->compiles(what)) {
        KEVOLVE_TRY(made, device->compile(what, compile_only_s, cancelled));
        return made.good ? std::string() : made.log;
      }
    if (what.build.compiler.find('/') != std::string::npos)
      return error{errc::not_found, "no device for " + what.build.compiler + " on this host"};
    KEVOLVE_TRY(done, command.empty() ? compilers_->compile(what, compile_only_s, cancelled) : compilers_->check(what, command, compile_only_s, cancelled));
    return done.good ? std::string() : done.log.empty() ? std::string("the compiler failed without a message") : done.log;
  }
  result<problem> trace(const trace_work& what, const std::atomic<bool>& cancelled) override;
  void prepare_baselines(const problem& subject, const std::vector<std::string>& baselines) override;
  std::vector<std::pair<std::string, std::string>> self_test() override;

private:
  class device; // the right to use one judge
  result<host_roofs> roofs(bool afresh);
  result<std::string> toolchain_of_roofs();
  void note_facts(const host_roofs* roofs);
  result<void> build(const evaluate_work& what, const std::atomic<bool>& cancelled, judge_evaluate& to, evaluation& e);
  result<judge_verdict> judge(judge_evaluate& what, const std::atomic<bool>& cancelled, evaluation& e);
  std::optional<evaluation> still_holds(const evaluate_work& what, const environment& here);
  void conclude(const evaluate_work& what, judge_verdict verdict, evaluation& e);
  result<judge_described> confinement();
  result<void> demand_sandbox();

  host_settings settings_;
  std::string hardware_;
  bool compiles_ = true;
  mutable std::mutex facts_mutex_;
  std::string facts_;
  pause_gate gate_;
  std::unique_ptr<compile_pool> compilers_;
  std::vector<std::unique_ptr<judge_link>> judges_;
  std::vector<std::unique_ptr<device_lock>> locks_; // one for each judge
  std::unique_ptr<neighbour_watch> neighbours_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::size_t> free_;
  std::mutex confinement_mutex_;
  judge_described confinement_;
  std::mutex roofs_mutex_;
  std::optional<host_roofs> roofs_;
  bool roofs_renewed_ = false;
  std::vector<std::unique_ptr<described_device>> described_;
};

class host::device {
public:
  device(host& h, bool with_baselines) : host_(h) {
    std::unique_lock lock(h.mutex_);
    h.changed_.wait(lock, [&] { return with_baselines ? h.free_.count(slots_of_baselines) > 0 : !h.free_.empty(); });
    slot_ = with_baselines ? slots_of_baselines : *h.free_.rbegin();
    h.free_.erase(slot_);
  }
  device(const device&) = delete;
  device& operator=(const device&) = delete;
  ~device() {
    quiet(false);
    lock().release();
    std::lock_guard lock(host_.mutex_);
    host_.free_.insert(slot_);
    host_.changed_.notify_all();
  }
  judge_link& judge() { return *host_.judges_[slot_]; }
  /// Waits until no other process uses these cores to judge; false where it would not end, or there is nothing to wait with.
  bool alone(double patience_s, const std::atomic<bool>& cancelled) { return lock().take(patience_s, cancelled); }
  /// Holds compilers still, ours and the neighbours', while it is on.
  void quiet(bool on) {
    if (on == std::exchange(quiet_, on))
      return;
    lock().measuring(on);
    host_.neighbours_->our_own(on);
    on ? host_.gate_.pause() : host_.gate_.resume();
  }

private:
  device_lock& lock() { return *host_.locks_[slot_]; }
  host& host_;
  std::size_t slot_ = 0;
  bool quiet_ = false;
};

result<void> host::begin() {
  std::error_code failed;
  fs::create_directories(settings_.cache, failed);
  if (failed)
    return error{errc::configuration, "cannot make the cache folder '" + settings_.cache.string() + "': " + failed.message()};
  if (settings_.executables.empty())
    settings_.executables = fs::read_symlink("/proc/self/exe", failed).parent_path();
  for (const char* name : {"kevolve-judge", "kevolve-harness"})
    if (!fs::exists(settings_.executables / name, failed))
      return error{errc::configuration, "'" + std::string(name) + "' was not found in '" + settings_.executables.string() + "'"};
  const auto cores = usable_cores();
  const unsigned slots = std::clamp<unsigned>(settings_.device_slots, 1, static_cast<unsigned>(cores.size()));
  settings_.device_slots = slots;
  if (settings_.compile_slots == 0)
    settings_.compile_slots = static_cast<unsigned>(cores.size());
  compiles_ = !settings_.compile_elsewhere && !find_command(settings_.compiler).empty();
  for (const char* prefix : {"kevolve-compile-", "kevolve-run-"})
    scratch::sweep(prefix);
  compilers_ = std::make_unique<compile_pool>(settings_.cache, settings_.cache_bytes, settings_.compile_slots, gate_, settings_.off, settings_.compile_elsewhere);
  for (unsigned i = 0; i < slots; ++i) {
    judge_setup setup;
    setup.harness = (settings_.executables / "kevolve-harness").string();
    setup.python = settings_.python.string();
    setup.baseline_script = find_beside_executable("node-agent/python/baseline.py").string();
    if (setup.baseline_script.empty())
      setup.baseline_script = find_beside_executable("python/baseline.py").string();
    setup.cache = fs::absolute(settings_.cache / "baselines").string();
    for (std::size_t core = i * cores.size() / slots; core < (i + 1) * cores.size() / slots; ++core)
      setup.cores.push_back(cores[core]);
    setup.slot = i;
    setup.defences_off = settings_.off.bits();
    locks_.push_back(std::make_unique<device_lock>("cpu", setup.cores));
    judges_.push_back(std::make_unique<judge_link>(settings_.executables / "kevolve-judge", setup));
    KEVOLVE_TRY_VOID(judges_.back()->start());
    free_.insert(i);
  }
  neighbours_ = std::make_unique<neighbour_watch>(gate_, "cpu", cores);
  note_facts(nullptr);
  for (target_description& each : settings_.described) {
    if (std::any_of(described_.begin(), described_.end(), [&](const auto& other) { return other->description().on == each.on; }))
      return error{errc::configuration, each.file.string() + ": the target " + to_string(each.on) + " is described twice"};
    described_.push_back(std::make_unique<described_device>(std::move(each), *compilers_, gate_, settings_.call_limit_s));
    KEVOLVE_TRY_VOID(described_.back()->begin(settings_.asks_elsewhere, settings_.compile_only));
  }
  return settings_.require_sandbox ? demand_sandbox() : result<void>();
}

/// What confines candidates here, as the first judge found it and as compilers have it. Asked once.
result<judge_described> host::confinement() {
  std::lock_guard lock(confinement_mutex_);
  if (!confinement_.layers.empty())
    return confinement_;
  std::atomic<bool> never{false};
  device mine(*this, true);
  judge_describe ask{mine.judge().next_number()};
  KEVOLVE_TRY(reply, mine.judge().ask(ask, ask.number, never, 60, [](const std::string&) {}));
  auto* described = std::get_if<judge_described>(&reply);
  if (!described)
    return error{errc::infrastructure, "the judge answered something else"};
  described->layers.push_back({std::string(to_string(defence::compile_jail)), compilers_->jail().holds(), compilers_->jail().detail()});
  return confinement_ = std::move(*described);
}

result<void> host::demand_sandbox() {
  KEVOLVE_TRY(found, confinement());
  std::string missing;
  for (const judge_layer& l : found.layers)
    if (!l.holds)
      missing += (missing.empty() ? "" : "; ") + l.name + " (" + l.detail + ")";
  if (missing.empty())
    return {};
  return error{errc::configuration, "the full sandbox is required, and this host lacks: " + missing};
}

std::vector<device_description> host::devices() const {
  std::lock_guard lock(facts_mutex_);
  std::vector<device_description> all{{"cpu0", hardware_, {"cpu", host_architecture(), "cpp"}, settings_.device_slots, facts_}};
  for (const auto& each : described_)
    all.push_back(each->device(0));
  return all;
}

/// What results of this device depend on besides its hardware key: when it changes, leaders are worth another look.
void host::note_facts(const host_roofs* roofs) {
  const auto compiler = compilers_->version(settings_.compiler);
  std::string text = (compiler ? *compiler + (compiles_ ? "" : " elsewhere") : compiles_ ? settings_.compiler : "no compiler") + ", judge " + judge_version;
  if (roofs) {
    char numbers[96];
    const double copy = roofs->memory.empty() ? 0 : roofs->memory.back().copy_bytes_per_s;
    std::snprintf(numbers, sizeof numbers, ", copies %.3g GB/s, computes %.3g GFLOP/s", copy * 1e-9, roofs->fma_flops_per_s * 1e-9);
    text += numbers;
  }
  std::lock_guard lock(facts_mutex_);
  facts_ = std::move(text);
}

result<void> host::build(const evaluate_work& what, const std::atomic<bool>& cancelled, judge_evaluate& to, evaluation& e) {
  KEVOLVE_TRY(mine, compilers_->compile(what.what, what.limit_s, cancelled));
  e.stages.compile_s = mine.wall_s;
  e.stages.queued_s = mine.queued_s;
  e.stages.cpu_s = mine.cpu_s;
  e.where.toolchain = mine.toolchain;
  e.log = mine.log;
  e.diagnosed.remarks = mine.remarks;
  if (!mine.good) {
    e.result = outcome::compile_error;
    return {};
  }
  to.what = {what.what.id, mine.artifact.string()};
  for (const candidate& anchor : what.anchors) {
    KEVOLVE_TRY(other, compilers_->compile(anchor, what.limit_s, cancelled));
    if (anchor.build.compiler == what.what.build.compiler && other.good && other.toolchain != mine.toolchain)
      return error{errc::infrastructure, "the candidate was compiled by " + mine.toolchain + " and what it is compared with by " + other.toolchain + ": the hosts that compile have changed"};
    if (other.good)
      to.anchors.push_back({anchor.id, other.artifact.string()});
    e.stages.cpu_s += other.cpu_s;
  }
  if (what.how == effort::verify) {
    KEVOLVE_TRY(host_best, roofs());
    KEVOLVE_TRY(roof, compilers_->compile(yardstick(settings_.compiler, what.subject.op.inputs.size(), what.subject.op.outputs.size(), host_best.streams_from_bytes), what.limit_s, cancelled));
    if (roof.good)
      to.yardstick = {"yardstick", roof.artifact.string()};
    e.stages.cpu_s += roof.cpu_s;
  }
  e.result = outcome::passed;
  return {};
}

result<judge_verdict> host::judge(judge_evaluate& what, const std::atomic<bool>& cancelled, evaluation& e) {
  const double asked = now_s();
  device mine(*this, !what.baselines.empty());
  const bool alone = mine.alone(waiting_share * what.limit_s, cancelled);
  e.stages.queued_s += now_s() - asked;
  if (cancelled)
    return error{errc::interrupted, "cancelled"};
  if (!alone && locks_.front()->trouble().empty())
    e.log += "other processes measured on these cores all the time: measured beside them\n";
  e.where.load = load_average();
  what.number = mine.judge().next_number();
  KEVOLVE_TRY(reply, mine.judge().ask(what, what.number, cancelled, judge_silence_s, [&](const std::string& stage) { mine.quiet(stage == "measuring"); }));
  if (auto* verdict = std::get_if<judge_verdict>(&reply))
    return std::move(*verdict);
  return error{errc::infrastructure, "the judge answered something else"};
}

void host::conclude(const evaluate_work& what, judge_verdict verdict, evaluation& e) {
  e.result = verdict.result;
  e.correct = std::move(verdict.correct);
  e.timings = std::move(verdict.timings);
  e.diagnosed.counters = std::move(verdict.counters);
  if (!verdict.log.empty())
    e.log += (e.log.empty() || e.log.back() == '\n' ? "" : "\n") + verdict.log;
  for (const std::string& note : verdict.notes)
    e.log += (e.log.empty() || e.log.back() == '\n' ? "" : "\n") + note;
  e.where.sandbox = verdict.sandbox + (compilers_->jail().holds() ? "" : "; compilers without a jail (" + compilers_->jail().detail() + ")");
  if (verdict.handshake_s > 0) {
    char text[80];
    std::snprintf(text, sizeof text, ", least hand-shake of %.1f us subtracted", verdict.handshake_s * 1e6);
    e.where.clock += text;
  }
  e.stages.check_s = verdict.check_s;
  e.stages.measure_s = verdict.measure_s;
  e.stages.queued_s += verdict.prepare_s;
  e.stages.cpu_s += verdict.cpu_s;
  if (e.result != outcome::passed)
    return; // measuring the roofs takes seconds once: nobody who failed waits for it
  const double began = now_s();
  auto known = roofs();
  diagnose(what.subject, known ? &*known : nullptr, e);
  if (!settings_.off.on(defence::physics))
    e.result = outcome::passed;
  if (e.result == outcome::quarantined && !roofs_renewed_) { // perhaps the roofs were measured on a busy host: once, look again
    known = roofs(true);
    e.result = outcome::passed;
    e.log.clear();
    e.diagnosed = {.counters = e.diagnosed.counters, .remarks = e.diagnosed.remarks};
    diagnose(what.subject, known ? &*known : nullptr, e);
  }
  e.stages.profile_s = now_s() - began;
}

/// What was found of this candidate before, where it still answers the question: the same problem, toolchain and oracle; a time also by the same
/// judge on the same hardware, and against the anchor that is asked for. A verification asks for none of it.
std::optional<evaluation> host::still_holds(const evaluate_work& what, const environment& here) {
  if (what.how != effort::search || what.known.empty())
    return std::nullopt;
  const auto toolchain = compilers_->version(what.what.build.compiler);
  for (const evaluation& e : what.known) {
    const bool same = toolchain && e.candidate == what.what.id && e.where.problem == here.problem && e.where.toolchain == *toolchain &&
                      e.where.oracle_version == here.oracle_version;
    const bool timed = e.where.hardware == here.hardware && e.where.judge_version == here.judge_version && !e.timings.empty() &&
                       std::all_of(e.timings.begin(), e.timings.end(), [&](const workload_timing& t) {
                         return std::all_of(what.anchors.begin(), what.anchors.end(), [&](const candidate& anchor) {
                           return std::any_of(t.comparisons.begin(), t.comparisons.end(), [&](const comparison& c) { return c.anchor == anchor.id; });
                         });
                       });
    if (!same || (e.result == outcome::passed && !timed))
      continue;
    evaluation again = e;
    again.stages = {};
    again.cached = true;
    return again;
  }
  return std::nullopt;
}

result<evaluation> host::evaluate(const evaluate_work& what, const std::atomic<bool>& cancelled) {
  evaluation e;
  e.candidate = what.what.id;
  e.definition = what.subject.op.name;
  e.at_ms = unix_ms();
  e.where.hardware = hardware_;
  e.where.device = "cpu0";
  e.where.judge_version = judge_version;
  e.where.oracle_version = oracle_version;
  e.where.problem = sha256_hex(encode(what.subject));
  for (const auto& each : described_)
    if (each->serves(what.on)) {
      KEVOLVE_TRY_VOID(each->evaluate(what, cancelled, e));
      return e;
    }
  if (auto known = still_holds(what, e.where))
    return std::move(*known);
  e.where.clock = "CLOCK_MONOTONIC of the judge";
  judge_evaluate ask;
  KEVOLVE_TRY_VOID(build(what, cancelled, ask, e));
  if (e.result != outcome::passed)
    return e;
  ask.subject = what.subject;
  ask.baselines = what.baselines;
  ask.how = what.how;
  ask.seed = what.seed;
  ask.limit_s = std::max(what.limit_s - e.stages.compile_s, 0.1 * what.limit_s);
  ask.call_limit_s = std::min(settings_.call_limit_s, what.limit_s);
  KEVOLVE_TRY(verdict, judge(ask, cancelled, e));
  if (verdict.result == outcome::infrastructure)
    return error{errc::infrastructure, verdict.log};
  conclude(what, std::move(verdict), e);
  return e;
}

result<problem> host::trace(const trace_work& what, const std::atomic<bool>& cancelled) {
  return trace_specification({.python = settings_.python}, what, &cancelled);
}

void host::prepare_baselines(const problem& subject, const std::vector<std::string>& baselines) {
  device mine(*this, true);
  judge_prepare ask{mine.judge().next_number(), subject, baselines, 0};
  mine.judge().tell(ask);
}

result<host_roofs> host::roofs(bool afresh) {
  std::lock_guard lock(roofs_mutex_);
  if (roofs_ && (!afresh || roofs_renewed_))
    return *roofs_;
  roofs_renewed_ |= afresh;
  std::atomic<bool> never{false};
  const auto probe = [&](const candidate& kernel, const std::vector<std::int64_t>& inputs, const std::vector<std::int64_t>& outputs,
                         const std::vector<std::vector<std::int64_t>>& axes) -> result<std::vector<double>> {
    KEVOLVE_TRY(built, compilers_->compile(kernel, 60, never));
    if (!built.good)
      return error{errc::configuration, "the calibration kernel does not compile: " + built.log.substr(0, 400)};
    device mine(*this, false);
    (void)mine.alone(waiting_to_calibrate_s, never);
    mine.quiet(true);
    judge_probe ask{mine.judge().next_number(), {kernel.id, built.artifact.string()}, inputs, outputs, axes, 4};
    KEVOLVE_TRY(reply, mine.judge().ask(ask, ask.number, never, 60, [](const std::string&) {}));
    const auto* found = std::get_if<judge_probed>(&reply);
    if (!found || !found->problem.empty() || found->least_s.size() != axes.size())
      return error{errc::infrastructure, "calibration failed: " + (found ? found->problem : std::string("no answer"))};
    return found->least_s;
  };
  KEVOLVE_TRY(toolchain, toolchain_of_roofs());
  KEVOLVE_TRY(found, measure_roofs(settings_.cache, hardware_, toolchain, settings_.compiler, judges_[0]->setup().cores.size(), afresh, probe));
  note_facts(&found);
  return *(roofs_ = std::move(found));
}

result<host_roofs> host::calibrate_again() {
  {
    std::lock_guard lock(roofs_mutex_);
    roofs_renewed_ = false;
  }
  return roofs(true);
}

result<golden_check> host::check_device(const std::atomic<bool>& cancelled) {
  std::optional<host_roofs> known;
  if (std::unique_lock lock(roofs_mutex_, std::try_to_lock); lock) // else it is being calibrated
    known = roofs_;
  if (!known || known->memory.empty())
    return error{errc::not_found, "the device is not calibrated yet"};
  KEVOLVE_TRY(built, compilers_->compile(roof_kernel(settings_.compiler), 60, cancelled));
  if (!built.good)
    return error{errc::configuration, "the golden kernel does not compile: " + built.log.substr(0, 400)};
  judge_golden ask = golden_request(*known, static_cast<std::uint64_t>(unix_ms()));
  ask.what = {roof_kernel(settings_.compiler).id, built.artifact.string()};
  device mine(*this, false);
  if (!mine.alone(waiting_to_check_s, cancelled) && (cancelled || locks_.front()->trouble().empty()))
    return error{errc::interrupted, "other processes measured on these cores all the time"};
  judge_describe first{mine.judge().next_number()}; // a judge may still think about what was cancelled: that is not the device's silence
  KEVOLVE_TRY(listens, mine.judge().ask(first, first.number, cancelled, judge_silence_s, [](const std::string&) {}));
  mine.quiet(true);
  ask.number = mine.judge().next_number();
  const double asked = now_s();
  golden_check found{{}, calibrated_rates(*known)};
  auto reply = mine.judge().ask(ask, ask.number, cancelled, golden_silence_s, [](const std::string&) {});
  if (!reply && reply.error().code == errc::interrupted)
    return reply.error();
  if (!reply) { // the judge has been replaced
    found.run = {now_s() - asked >= golden_silence_s ? golden_run::end::silent : golden_run::end::failed, {}, reply.error().message};
    return found;
  }
  const auto* done = std::get_if<judge_golden_done>(&*reply);
  if (!done)
    return error{errc::infrastructure, "the judge answered something else"};
  KEVOLVE_TRY(run, golden_run_of(*done, *known, judges_[0]->setup().cores.size()));
  found.run = std::move(run);
  return found;
}

/// What calibration's kernel is compiled with; elsewhere that is known once it was.
result<std::string> host::toolchain_of_roofs() {
  if (auto known = compilers_->version(settings_.compiler); known || compilers_->is_here(settings_.compiler))
    return known;
  std::atomic<bool> never{false};
  KEVOLVE_TRY(built, compilers_->compile(roof_kernel(settings_.compiler), 60, never));
  return built.good ? result<std::string>(built.toolchain) : result<std::string>(error{errc::configuration, "the calibration kernel does not compile: " + built.log.substr(0, 400)});
}

std::vector<std::string> host::toolchains() {
  std::vector<std::string> found;
  for (const std::string& name : {settings_.compiler, std::string("g++"), std::string("clang++")})
    if (compilers_->is_here(name))
      if (auto version = compilers_->version(name); version && std::find(found.begin(), found.end(), *version) == found.end())
        found.push_back(std::move(*version));
  for (const auto& device : described_)
    if (device->compiles_here())
      found.push_back(device->toolchain());
  return found;
}

std::vector<std::pair<std::string, std::string>> host::self_test() {
  std::vector<std::pair<std::string, std::string>> found;
  for (const char* name : {"g++", "clang++"}) {
    auto version = compilers_->version(name);
    found.emplace_back(std::string("compiler ") + name, version ? *version : "missing");
  }
  found.emplace_back("hardware", hardware_);
  found.emplace_back("python", settings_.python.empty() ? "missing: no PyTorch baselines, no tracing of .py files" : settings_.python.string());
  if (auto layers = confinement()) {
    std::size_t missing = 0;
    for (const judge_layer& l : layers->layers)
      missing += !l.holds;
    found.emplace_back("sandbox", missing == 0 ? "full" : "REDUCED: " + std::to_string(missing) + " of " + std::to_string(layers->layers.size()) + " layers are missing");
    for (const judge_layer& l : layers->layers)
      found.emplace_back("sandbox " + l.name, (l.holds ? "" : "MISSING: ") + l.detail);
  } else {
    found.emplace_back("sandbox", layers.error().message);
  }
  for (const auto& each : described_)
    found.emplace_back("device " + to_string(each->description().on), each->description().name + ", " + each->standing());
  found.emplace_back("one at a time", locks_.front()->trouble().empty() ? "processes of this host that measure on the same cores take turns, by " + locks_.front()->file().string()
                                                                        : "MISSING: other processes may measure at the same time: " + locks_.front()->trouble());
  found.emplace_back("device slots", std::to_string(settings_.device_slots));
  found.emplace_back("compile slots", std::to_string(settings_.compile_slots));
  return found;
}

} // namespace

result<std::unique_ptr<host_evaluator>> host_evaluator::start(host_settings settings) {
  auto made = std::make_unique<host>(std::move(settings));
  KEVOLVE_TRY_VOID(made->begin());
  return std::unique_ptr<host_evaluator>(std::move(made));
}

} // namespace kevolve::agent
