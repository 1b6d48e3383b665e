// Baseline hosts: PyTorch in a process of its own, on the same memory, obeying the same channel as a harness, checked against the same
// oracle. They are the user's own reference, not a candidate: no other identity, but never a descriptor or variable of ours.
#include "node-agent/attempt.hpp"
#include "protocol/codec.hpp"

#include <fstream>
#include <unistd.h>

namespace fs = std::filesystem;

namespace kevolve::agent {
namespace {

constexpr double compile_patience_s = 240; // torch.compile on two busy cores at the lowest priority
constexpr double load_patience_s = 60;

std::vector<std::string> python_environment(const judge_setup& setup) {
  const std::string threads = std::to_string(std::max<std::size_t>(setup.cores.size(), 1));
  auto e = plain_environment();
  for (auto& variable : e)
    if (variable.starts_with("HOME="))
      variable = "HOME=" + setup.cache;
  for (const std::string& variable : {
           "OMP_NUM_THREADS=" + threads, "MKL_NUM_THREADS=" + threads, std::string("OMP_WAIT_POLICY=passive"), std::string("KMP_BLOCKTIME=0"),
           std::string("OMP_PROC_BIND=true"),
           // Without these glibc gives large outputs back to the kernel after each call and faults every page anew in the next: a weak
           // baseline that nobody who tunes would run.
           std::string("MALLOC_MMAP_THRESHOLD_=17179869184"), std::string("MALLOC_TRIM_THRESHOLD_=68719476736"), std::string("MALLOC_TOP_PAD_=268435456"),
           "TORCHINDUCTOR_CACHE_DIR=" + setup.cache + "/inductor", std::string("TORCHINDUCTOR_COMPILE_THREADS=1"), std::string("TORCHINDUCTOR_FX_GRAPH_CACHE=1"),
           std::string("PYTHONDONTWRITEBYTECODE=1"), std::string("PYTHONNOUSERSITE=1")})
    e.push_back(variable);
  return e;
}

std::string tail_of(const fs::path& file) {
  std::ifstream in(file);
  std::string line, last;
  while (std::getline(in, line))
    if (!line.empty())
      last = line;
  return scrub(last, 300);
}

} // namespace

void judge::fail_baseline(hosted& h, const std::string& why) {
  h.why_not = why;
  h.process.reset();
}

judge::hosted& judge::baseline(const std::string& kind, const problem& subject) {
  auto known = baselines_.find(kind);
  if (known != baselines_.end())
    return known->second;
  hosted& h = baselines_[kind];
  if (kind != "eager" && kind != "compile")
    return h.why_not = "expected 'eager' or 'compile'", h;
  if (setup_.python.empty())
    return h.why_not = "no Python", h;
  if (setup_.baseline_script.empty())
    return h.why_not = "baseline.py was not found beside this executable", h;
  if (subject.op.reference.empty())
    return h.why_not = "the operator has no Python reference", h;
  std::error_code ignored;
  fs::create_directories(setup_.cache, ignored);
  const std::string base = setup_.cache + "/baseline-" + std::to_string(::getpid()) + "-" + kind;
  std::ofstream(base + ".py") << subject.op.reference;
  program_settings s;
  s.arguments = {setup_.python, setup_.baseline_script, kind, base + ".py"};
  for (const axis& x : subject.op.axes)
    s.arguments.push_back(x.name);
  s.environment = python_environment(setup_);
  s.cores.assign(setup_.cores.begin(), setup_.cores.end());
  // Prepares behind everything else. Only root can raise it again before it is measured, and a baseline that is held back then is a false one.
  s.nice = ::geteuid() == 0 ? 19 : 0;
  s.log = base + ".log";
  auto started = program::start(s, stop_);
  if (!started)
    return h.why_not = started.error().message, h;
  h.process = std::move(*started);
  return h;
}

void judge::start_baselines(const problem& subject, const std::vector<std::string>& kinds, case_set& cases) {
  for (const std::string& kind : kinds) {
    hosted& h = baseline(kind, subject);
    if (h.cases == &cases || !h.process)
      continue;
    h.cases = &cases;
    for (std::size_t w = 0; w < cases.workloads() && h.process; ++w)
      for (test_case& c : cases.timed(w)) {
        auto filled = cases.fill(c);
        const call_end e = filled ? h.process->post_map(c.slot, c.axes, *c.inputs, *c.outputs) : call_end{misbehaviour::unavailable, filled.error().message};
        if (!e.good()) {
          fail_baseline(h, e.detail);
          break;
        }
      }
  }
}

void judge::prepare(const judge_prepare& what) {
  // Any input sets of the problem will do: only their shapes matter to a compiler.
  const bool some = problem_key_ == encode(what.subject) && !cases_order_.empty();
  auto cases = some ? result<case_set*>(cases_[cases_order_.back()].get()) : cases_of(what.subject, what.seed);
  if (cases)
    start_baselines(what.subject, what.baselines, **cases);
}

call_end judge::check_baseline(hosted& h, case_set& cases, test_case& c) {
  c.outputs->poison();
  call_end e = h.process->call(c.slot, 1 | 1u << 31, load_patience_s); // the high bit asks for the result in the shared outputs
  if (!e.good())
    return e;
  const case_verdict found = cases.compare(c);
  if (found.result != outcome::passed)
    return {misbehaviour::failed, "its result is not the oracle's: " + c.name + ", " + found.detail};
  return e;
}

void judge::ready_baselines(attempt& a) {
  start_baselines(a.what.subject, a.what.baselines, a.cases);
  for (const std::string& kind : a.what.baselines) {
    hosted& h = baseline(kind, a.what.subject);
    call_end e = h.process ? h.process->settle(compile_patience_s) : call_end{};
    if (h.process && e.good() && h.process->pending() > 0)
      e = {misbehaviour::hung, "was not ready after " + std::to_string(static_cast<int>(compile_patience_s)) + " s"};
    for (std::size_t w = 0; w < a.cases.workloads() && h.process && e.good(); ++w)
      for (test_case& c : a.cases.timed(w))
        if (e.good())
          e = check_baseline(h, a.cases, c);
    if (h.process && !e.good()) {
      std::string why = e.detail;
      if (e.what == misbehaviour::crashed)
        why += ": " + tail_of(setup_.cache + "/baseline-" + std::to_string(::getpid()) + "-" + kind + ".log");
      fail_baseline(h, why);
    }
    if (!h.process)
      a.verdict.notes.push_back("baseline " + kind + " is unavailable: " + h.why_not);
  }
}

judge_probed judge::probe(const judge_probe& what) {
  stillness quiet(baselines_);
  judge_probed answer;
  answer.number = what.number;
  const auto buffers = [](const std::vector<std::int64_t>& sizes) {
    std::vector<buffer_layout> tensors;
    for (const auto n : sizes)
      tensors.push_back({dtype::float32, false, {n}});
    return buffer_set::make(std::move(tensors));
  };
  auto inputs = buffers(what.inputs), outputs = buffers(what.outputs);
  auto host = launch_candidate(what.what, 0);
  if (!inputs || !outputs || !host || !host->process) {
    answer.problem = !inputs ? inputs.error().message : !outputs ? outputs.error().message : !host ? host.error().message : host->why_not;
    return answer;
  }
  for (std::size_t i = 0; i < (*inputs)->size(); ++i)
    std::fill_n(reinterpret_cast<float*>((*inputs)->data(i)), (*inputs)->layout(i).elements(), 1.0f);
  measure_settings settings;
  settings.fewest_blocks = settings.most_blocks = what.repeats;
  settings.slots = {1};
  contestant one;
  one.call = [&](std::uint32_t slot, std::uint32_t n) { return host->process->call(slot, n, 10); };
  for (const auto& values : what.axes) {
    axis_binding axes;
    for (const auto value : values)
      axes.emplace_back("axis", value);
    const call_end mapped = host->process->map(1, axes, **inputs, **outputs, load_limit_s);
    const measurement m = mapped.good() ? measure(one, nullptr, settings, rng(secret_())) : measurement{};
    answer.problem = mapped.good() ? m.candidate.detail : mapped.detail;
    if (!answer.problem.empty() || m.candidate_s.empty())
      return answer;
    answer.least_s.push_back(*std::min_element(m.candidate_s.begin(), m.candidate_s.end()));
  }
  return answer;
}

} // namespace kevolve::agent
