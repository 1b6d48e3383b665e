#include "node-agent/described_device.hpp"

#include "node-agent/described_timing.hpp"
#include "node-agent/diagnose.hpp"
#include "node-agent/hardware.hpp"
#include "node-agent/workspace.hpp"
#include "protocol/codec.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace fs = std::filesystem;

namespace kevolve::agent {
namespace {

constexpr std::uint64_t command_memory = 8ull << 30, file_slack = 16ull << 20, artifact_bytes = 64ull << 20;
constexpr std::size_t message_bytes = 4000;      // of a command, kept as a reason
constexpr std::size_t report_bytes = 8000, report_lines = 16, line_bytes = 200;
constexpr std::size_t cases_kept = 2;            // the search's and one that verifies
constexpr double search_budget_s = 6, verify_budget_s = 15;
constexpr double check_share = 0.5;              // of an attempt's time: what is left is for timing
constexpr double waiting_share = 0.5;            // of the same, for other processes that use the device

std::string in_jail(const char* name) { return std::string("/work/") + name; }

void replace_all(std::string& text, std::string_view what, const std::string& with) {
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

std::vector<std::string> filled(std::vector<std::string> command, const target_description& d, std::uint32_t iterations) {
  for (std::string& argument : command) {
    replace_all(argument, "{source}", in_jail(d.source.c_str()));
    replace_all(argument, "{artifact}", in_jail(foreign_compiler::artifact));
    replace_all(argument, "{inputs}", in_jail("inputs"));
    replace_all(argument, "{outputs}", in_jail("outputs"));
    replace_all(argument, "{report}", in_jail("outputs/report"));
    replace_all(argument, "{iterations}", std::to_string(iterations));
    replace_all(argument, "{here}", d.file.parent_path().string());
  }
  return command;
}

nlohmann::ordered_json described(const std::vector<tensor_spec>& specs, const buffer_set& buffers) {
  auto all = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const buffer_layout& layout = buffers.layout(i);
    std::vector<std::int64_t> strides(layout.shape.size(), 1);
    for (std::size_t d = strides.size(); d-- > 1;)
      strides[d - 1] = strides[d] * layout.shape[d];
    all.push_back({{"name", specs[i].name}, {"file", std::to_string(i) + ".bin"}, {"dtype", to_string(layout.type)}, {"shape", layout.shape}, {"strides", strides}});
  }
  return all;
}

std::string_view bytes_of(const buffer_set& set, std::size_t i) { return {reinterpret_cast<const char*>(set.data(i)), set.layout(i).bytes()}; }

} // namespace

struct described_device::attempt {
  const evaluate_work& what;
  const std::atomic<bool>& cancelled;
  evaluation& e;
  case_set& cases;
  fs::path artifact;
  std::vector<opponent> anchors = {};
  double began_s = now_s();
  std::uint32_t not_positive = 0;

  [[nodiscard]] bool good() const { return e.result == outcome::passed; }
  void fail(outcome result, std::string log) {
    e.result = result;
    e.log = std::move(log);
  }
  [[nodiscard]] double left_s() const { return what.limit_s - (now_s() - began_s); }
};

described_device::described_device(target_description what, compile_pool& compilers, pause_gate& compiling, double call_limit_s)
    : what_(std::move(what)), compilers_(compilers), compiling_(compiling), call_limit_s_(call_limit_s),
      hardware_(std::string(what_.emulated ? "emulated-" : "described-") + slug(what_.name) + "-" + digest_digits(what_)), view_{what_.folders, what_.nodes}, jail_(defences_off()), lock_(hardware_, {0}),
      secret_((std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()) {
  iterates_ = std::any_of(what_.run.begin(), what_.run.end(), [](const std::string& a) { return a.find("{iterations}") != a.npos; });
}

result<void> described_device::begin(bool asks_elsewhere, bool compile_only) {
  const std::string file = what_.file.string();
  for (const compile_jail* jail : std::initializer_list<const compile_jail*>{&jail_, &compilers_.jail()})
    if (!jail->holds())
      return error{errc::configuration, file + ": what candidates compile to is not run without a jail, and there is none here: " + jail->detail()};
  for (const auto* command : {&what_.compile, &what_.run, &what_.profile}) {
    const std::string program = command->empty() ? "" : filled({command->front()}, what_, 1).front();
    if (command == &what_.compile ? asks_elsewhere : compile_only)
      continue;
    if (!command->empty() && find_command(program).empty())
      return error{errc::configuration, file + ": commands: found '" + program + "', expected a program of this host by its path ({here}/… is beside the description) or its name in PATH"};
  }
  KEVOLVE_TRY(folder, scratch::make("kevolve-run-"));
  scratch gone_afterwards(folder);
  ::chmod(folder.c_str(), 0755);
  command look;
  look.arguments = {"/bin/sh", "-c", "for f in \"$@\"; do ls \"$f\" >/dev/null || exit 1; done", "sh"};
  for (const fs::path& each : what_.folders)
    look.arguments.push_back(each.string());
  look.environment = plain_environment();
  look.directory = folder;
  look.limits.wall_s = 10;
  jail_.confine(look, folder, 0, view_);
  KEVOLVE_TRY(end, run(look));
  if (!end.good())
    return error{errc::configuration, file + ": folders: found one that the user of the commands cannot read; expected folders (and those above them) that everybody may read: " +
                                          end.errors.substr(0, 300)};
  return {};
}

std::string described_device::standing() const {
  return "described by " + what_.file.filename().string() + ", not verified by kevolve" + (what_.emulated ? "; emulated: no such hardware was measured" : "");
}

device_description described_device::device(std::size_t number) const {
  return {what_.on.platform + std::to_string(number), hardware_, what_.on, 1, what_.name + ", " + standing() + ", judge " + judge_version};
}

bool described_device::serves(const target& on) const {
  return on.platform == what_.on.platform && on.language == what_.on.language && (on.architecture.empty() || on.architecture == what_.on.architecture);
}

result<compiled> described_device::compile(const candidate& c, double limit_s, const std::atomic<bool>& cancelled) {
  return compilers_.make(c, {filled(what_.compile, what_, 1), view_, toolchain(), what_.source}, limit_s, cancelled);
}

bool described_device::compiles_here() const { return compilers_.is_here(filled({what_.compile.front()}, what_, 1).front()); }

result<made_for_another> described_device::compile_for(const compile_work& what, const std::atomic<bool>& cancelled) {
  if (!compiles_here() || what.toolchain != toolchain())
    return error{errc::infrastructure, "this host compiles " + toolchain() + (compiles_here() ? "" : " nowhere") + ", asked for was " + scrub(what.toolchain, 200)};
  if (candidate_hash(what.what) != what.what.id)
    return error{errc::infrastructure, "the candidate to compile is not the one that its id names"};
  KEVOLVE_TRY(built, compile(what.what, what.limit_s, cancelled));
  return for_another(what.what, built);
}

result<case_set*> described_device::cases_of(const problem& subject, std::uint64_t seed) {
  const std::string shared = encode(subject), key = std::to_string(seed);
  if (problem_ != shared || (cases_.size() >= cases_kept && !cases_.contains(key)))
    cases_.clear();
  problem_ = shared;
  if (const auto known = cases_.find(key); known != cases_.end())
    return known->second.get();
  KEVOLVE_TRY(made, case_set::make(subject, seed));
  return (cases_[key] = std::move(made)).get();
}

/// One run of a command in a folder of its own. What comes back has passed where the command ended well and left outputs of the right size, which
/// are then in the case's buffers.
result<described_device::ran> described_device::execute(attempt& a, const std::vector<std::string>& template_of, const fs::path& artifact, test_case& c, std::uint32_t iterations) {
  KEVOLVE_TRY(folder, scratch::make("kevolve-run-"));
  scratch gone_afterwards(folder);
  ::chmod(folder.c_str(), 0755);
  const operator_definition& op = a.what.subject.op;
  nlohmann::ordered_json manifest{{"operator", op.name}};
  for (const auto& [name, value] : c.axes)
    manifest["axes"][name] = value;
  manifest["inputs"] = described(op.inputs, *c.inputs);
  manifest["outputs"] = described(op.outputs, *c.outputs);
  KEVOLVE_TRY_VOID(write_file(folder / "inputs" / "manifest.json", manifest.dump(1) + "\n"));
  for (std::size_t i = 0; i < c.inputs->size(); ++i)
    KEVOLVE_TRY_VOID(write_file(folder / "inputs" / (std::to_string(i) + ".bin"), bytes_of(*c.inputs, i)));
  KEVOLVE_TRY(made, read_made(artifact, artifact_bytes));
  KEVOLVE_TRY_VOID(write_file(folder / foreign_compiler::artifact, made));
  ::chmod((folder / foreign_compiler::artifact).c_str(), 0755);
  const fs::path outputs = folder / "outputs";
  std::error_code failed;
  if (!fs::create_directory(outputs, failed))
    return error{errc::io, "cannot make '" + outputs.string() + "': " + failed.message()};
  jail_.own(outputs, 0);

  std::uint64_t largest = 0;
  for (std::size_t i = 0; i < c.outputs->size(); ++i)
    largest = std::max<std::uint64_t>(largest, c.outputs->layout(i).bytes());
  command what;
  what.arguments = filled(template_of, what_, iterations);
  what.environment = plain_environment();
  what.directory = folder;
  what.limits = {.wall_s = call_limit_s_, .cpu_s = 0, .memory_bytes = command_memory, .file_bytes = 2 * largest + file_slack};
  what.output_bytes = message_bytes;
  jail_.confine(what, folder, 0, view_);
  const double began = now_s();
  KEVOLVE_TRY(end, run(what, &a.cancelled));
  ran done;
  done.seconds = now_s() - began;
  a.e.stages.cpu_s += end.cpu_s;
  if (end.fate == process_fate::cancelled)
    return error{errc::interrupted, "cancelled while running"};
  if (!end.good()) {
    done.result = end.fate == process_fate::timed_out ? outcome::timeout : outcome::runtime_error;
    done.log = scrub("the command " + describe(end) + " (" + c.name + ")" + (end.errors.empty() && end.output.empty() ? "" : ": ") + end.errors + end.output, message_bytes);
    return done;
  }
  if (auto report = read_made_in(outputs, "report", report_bytes))
    done.report = scrub(*report, report_bytes);
  else
    done.report = scrub(end.output, report_bytes);
  c.outputs->poison();
  for (std::size_t i = 0; i < c.outputs->size() && &template_of != &what_.profile; ++i) {
    const std::size_t wanted = c.outputs->layout(i).bytes();
    auto bytes = read_made_in(outputs, std::to_string(i) + ".bin", wanted + 1);
    if (!bytes || bytes->size() != wanted) {
      done.result = outcome::incorrect_shape;
      done.log = "output " + op.outputs[i].name + " (" + c.name + "): found " + (bytes ? std::to_string(bytes->size()) + " bytes" : std::string("no file, or a larger one")) + ", expected " +
                 std::to_string(wanted) + " bytes in outputs/" + std::to_string(i) + ".bin";
      return done;
    }
    std::memcpy(c.outputs->data(i), bytes->data(), wanted);
  }
  return done;
}

result<described_device::ran> described_device::execute_and_compare(attempt& a, const fs::path& artifact, test_case& c, std::uint32_t iterations) {
  KEVOLVE_TRY(done, execute(a, what_.run, artifact, c, iterations));
  if (done.result != outcome::passed)
    return done;
  const case_verdict found = a.cases.compare(c);
  if (artifact == a.artifact) {
    auto& correct = a.e.correct;
    ++correct.cases;
    correct.max_absolute_error = std::max(correct.max_absolute_error, found.max_absolute_error);
    correct.max_relative_error = std::max(correct.max_relative_error, found.max_relative_error);
  }
  if (found.result != outcome::passed) {
    done.result = found.result;
    done.log = c.name + ", " + found.detail;
  }
  return done;
}

result<void> described_device::check(attempt& a) {
  std::vector<test_case*> all;
  for (test_case& c : a.cases.adversarial())
    all.push_back(&c);
  for (std::size_t w = 0; w < a.cases.workloads(); ++w)
    for (test_case& c : a.cases.timed(w))
      all.push_back(&c);
  for (test_case* c : all) {
    KEVOLVE_TRY_VOID(a.cases.expect(*c));
    if (c->skipped)
      continue;
    if (a.left_s() < (1 - check_share) * a.what.limit_s)
      return a.fail(outcome::timeout, "checking took more than half of the attempt's " + std::to_string(static_cast<int>(a.what.limit_s)) + " s"), result<void>();
    KEVOLVE_TRY(done, execute_and_compare(a, a.artifact, *c, 1));
    if (done.result != outcome::passed) {
      if (done.result != outcome::runtime_error && done.result != outcome::timeout)
        a.e.correct.failed_case = done.log;
      return a.fail(done.result, done.log), result<void>();
    }
  }
  return {};
}

result<void> described_device::measure_against(attempt& a, std::size_t w, const opponent* anchor, workload_timing& into) {
  auto& sets = a.cases.timed(w);
  std::optional<error> broken;
  std::string anchors_fault;
  const auto timed = [&](const fs::path& artifact) {
    return [&, artifact](std::uint32_t iterations, std::size_t set) -> std::optional<double> {
      auto done = execute_and_compare(a, artifact, sets[set], iterations);
      if (!done)
        return broken = done.error(), std::nullopt;
      if (done->result == outcome::passed)
        return done->seconds;
      if (artifact != a.artifact)
        anchors_fault = done->log;
      else if (done->result == outcome::timeout || done->result == outcome::runtime_error)
        a.fail(done->result, done->log + " (while timed, " + std::to_string(iterations) + " iterations)");
      else
        a.fail(outcome::reward_hack, "gave another result in a timed run of " + std::to_string(iterations) + " iterations than when it was checked: " + done->log);
      return std::nullopt;
    };
  };
  const timed_command mine = timed(a.artifact), theirs = timed(anchor ? anchor->second : fs::path());
  command_settings s;
  s.iterates = iterates_;
  s.verify = a.what.how == effort::verify;
  s.sets = sets.size();
  s.longest_s = 0.2 * call_limit_s_;
  s.budget_s = std::max(0.5, std::min(s.verify ? verify_budget_s : search_budget_s, 0.8 * a.left_s())) / static_cast<double>(a.cases.workloads());
  s.unanimous_budget_s = std::max(s.budget_s, 0.8 * a.left_s() / static_cast<double>(a.cases.workloads() - w));
  s.clock = now_s;
  const command_measurement m = measure_commands(mine, anchor ? &theirs : nullptr, s, rng(secret_()));
  if (broken)
    return *broken;
  if (!a.good())
    return {};
  if (!m.found.anchor.good() || m.found.candidate_s.empty()) {
    a.e.log += "anchor " + (anchor ? anchor->first.substr(0, 12) : std::string()) + " could not be timed: " + anchors_fault + "\n";
    return {};
  }
  a.not_positive += m.not_positive;
  workload_timing one = timing_of(m.found, a.cases.of(w).uuid);
  one.comparisons = std::move(into.comparisons);
  if (anchor)
    one.comparisons.push_back(compare_of(m.found, anchor->first));
  into = std::move(one);
  return {};
}

result<void> described_device::measure(attempt& a) {
  for (std::size_t w = 0; w < a.cases.workloads() && a.good(); ++w) {
    workload_timing timing;
    timing.workload = a.cases.of(w).uuid;
    for (const opponent& anchor : a.anchors)
      if (a.good())
        KEVOLVE_TRY_VOID(measure_against(a, w, &anchor, timing));
    if (a.good() && timing.samples == 0)
      KEVOLVE_TRY_VOID(measure_against(a, w, nullptr, timing));
    if (a.good() && timing.samples == 0)
      return error{errc::infrastructure, "workload " + timing.workload + " could not be timed"};
    a.e.timings.push_back(std::move(timing));
  }
  if (a.not_positive > 0)
    a.e.log += std::to_string(a.not_positive) + " samples in which twice as many iterations took no longer: the times are rough\n";
  return {};
}

result<void> described_device::profile(attempt& a) {
  if (what_.profile.empty() || !a.good())
    return {};
  KEVOLVE_TRY(done, execute(a, what_.profile, a.artifact, a.cases.timed(0)[0], 1));
  if (done.result != outcome::passed) {
    a.e.log += "the profile command did not end well: " + done.log + "\n"; // not the candidate's fault: it passed
    return {};
  }
  std::istringstream lines(done.report);
  std::size_t taken = 0;
  for (std::string line; taken < report_lines && std::getline(lines, line);)
    if (line.find_first_not_of(" \t") != line.npos) {
      a.e.diagnosed.hints.push_back("profile: " + scrub(line, line_bytes));
      ++taken;
    }
  return {};
}

result<void> described_device::evaluate(const evaluate_work& what, const std::atomic<bool>& cancelled, evaluation& e) {
  e.where.hardware = hardware_;
  e.where.device = what_.name + " (" + standing() + ")";
  e.where.toolchain = "by " + what_.file.filename().string() + ", " + what_.digest.substr(0, 12);
  e.where.sandbox = "a described device's: " + jail_.detail() + ", no network; no system call filter";
  e.where.clock = iterates_ ? "CLOCK_MONOTONIC of the agent around commands: (time of 2N iterations - time of N) / N" : "CLOCK_MONOTONIC of the agent around whole commands, their start included";
  KEVOLVE_TRY(built, compile(what.what, what.limit_s, cancelled));
  e.stages.compile_s = built.wall_s;
  e.stages.queued_s = built.queued_s;
  e.stages.cpu_s = built.cpu_s;
  e.log = built.log;
  if (!built.good) {
    e.result = outcome::compile_error;
    return {};
  }
  std::vector<opponent> anchors; // now: compilers stand still while a device measures
  for (const candidate& anchor : what.anchors) {
    KEVOLVE_TRY(other, compile(anchor, what.limit_s, cancelled));
    if (other.good)
      anchors.emplace_back(anchor.id, other.artifact);
    else
      e.log += "anchor " + anchor.id.substr(0, 12) + " does not compile here\n";
  }
  const double asked = now_s();
  std::unique_lock mine(device_, std::defer_lock);
  while (!mine.try_lock()) {
    if (cancelled)
      return error{errc::interrupted, "cancelled"};
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (!lock_.take(waiting_share * what.limit_s, cancelled) && lock_.trouble().empty())
    e.log += "other processes used this device all the time: measured beside them\n";
  const struct releasing {
    device_lock& lock;
    ~releasing() { lock.release(); }
  } afterwards{lock_};
  e.stages.queued_s += now_s() - asked;
  KEVOLVE_TRY(cases, cases_of(what.subject, what.seed));
  attempt a{what, cancelled, e, *cases, built.artifact, std::move(anchors)};
  e.result = outcome::passed;
  const double checking = now_s();
  KEVOLVE_TRY_VOID(check(a));
  e.stages.check_s = now_s() - checking;
  if (!a.good())
    return {};
  const double measuring = now_s();
  compiling_.pause();
  auto measured = measure(a);
  compiling_.resume();
  e.stages.measure_s = now_s() - measuring;
  if (!measured)
    return measured;
  const double profiling = now_s();
  KEVOLVE_TRY_VOID(profile(a));
  if (a.good()) {
    std::vector<std::string> reported = std::move(e.diagnosed.hints);
    diagnose(what.subject, nullptr, e);
    e.diagnosed.hints.insert(e.diagnosed.hints.begin(), reported.begin(), reported.end());
  }
  e.stages.profile_s = now_s() - profiling;
  return {};
}

} // namespace kevolve::agent
