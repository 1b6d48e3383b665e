// Events as a session makes them, for the store's tests: deterministic in (seed, number), every field filled where it matters.
#pragma once

#include "protocol/event.hpp"
#include "protocol/rng.hpp"

namespace kevolve::kb::samples {

inline session_opened opened(const session_id& session, const std::string& definition = "rms_norm_h4096") {
  session_opened e;
  e.session = session;
  e.subject.op.name = definition;
  e.subject.op.op_type = "rmsnorm";
  e.subject.op.axes = {{"M", axis_kind::variable, 0, "", "rows"}, {"H", axis_kind::constant, 4096, "", ""}};
  e.subject.op.inputs = {{"x", false, {"M", "H"}, dtype::float32, ""}};
  e.subject.op.outputs = {{"y", false, {"M", "H"}, dtype::float32, ""}};
  e.subject.op.reference = "def run(x):\n  return x\n";
  e.subject.workloads = {{"w-1", "small", {{"M", 16}}, {}, {}}};
  e.on = {"cpu", "x86-64-v4", "cpp"};
  e.hardware = "cpu-x86_64-avx512";
  e.at_ms = 1'790'000'000'000;
  return e;
}

inline candidate made(std::uint64_t seed, std::uint64_t number, std::size_t source_bytes = 3'000) {
  candidate c;
  c.definition = "rms_norm_h4096";
  c.author = "generator";
  c.description = "row loop parallel, hidden vectorised by 16";
  c.build.flags = {"-O3", "-march=native"};
  std::string code = "// candidate " + std::to_string(seed) + "/" + std::to_string(number) + "\n";
  rng draw(seed, number, "source");
  while (code.size() < source_bytes)
    code += "  acc" + std::to_string(draw.below(16)) + " += x[i + " + std::to_string(draw.below(4096)) + "] * scale;\n";
  c.sources = {{"kernel.cpp", code}};
  c.printed_from = schedule{1, {{"vectorize", "hidden", {{"width", "16"}}}, {"parallel", "row", {{"grain", std::to_string(number % 64)}}}}};
  c.id = candidate_hash(c);
  return c;
}

inline proposal_made proposed(node_number number) {
  return {number, number ? std::vector<node_number>{number / 2} : std::vector<node_number>{}, memory_operator::siblings, number, number % 4,
          "", "generator"};
}

inline candidate_added added(node_number number, candidate c) {
  return {number, std::move(c), {"vectorize", "vectorize hidden by 16", "bound by compute at 12% of peak"}};
}

inline evaluation measured(const candidate_id& id, outcome result = outcome::passed, double latency_s = 1e-3,
                           const std::vector<double>& baselines_s = {2e-3, 1.5e-3}) {
  evaluation e;
  e.candidate = id;
  e.definition = "rms_norm_h4096";
  e.result = result;
  e.correct = {1e-7, 2e-6, 12, ""};
  if (result == outcome::passed) {
    workload_timing t;
    t.workload = "w-1";
    t.latency_s = latency_s;
    t.latency_ci95 = {latency_s * 0.99, latency_s * 1.01};
    t.samples_s = {latency_s * 1.01, latency_s, latency_s * 0.99, latency_s};
    t.samples = 24;
    t.roof_s = latency_s * 0.8;
    t.roofline_fraction = 0.8;
    const std::vector<std::string> names{"eager", "compile"};
    for (std::size_t i = 0; i < baselines_s.size() && i < names.size(); ++i)
      t.comparisons.push_back({names[i], baselines_s[i] / latency_s, {1.9, 2.1}, baselines_s[i], 400, 12});
    e.timings = {t};
  }
  e.diagnosed.limited_by = bound::memory;
  e.diagnosed.bytes = 33'554'432;
  e.diagnosed.hints = {"use non-temporal stores", "raise the row grain"};
  e.where = {"cpu-x86_64-avx512", "cpu0", "g++ 12.2.0", "judge-1", "process", "tsc", 0.2, "local", "oracle-1"};
  e.stages = {0.4, 0.02, 0.05, 0, 0.001, 0.45};
  e.at_ms = 1'790'000'000'500;
  return e;
}

inline evaluation_recorded recorded(node_number number, evaluation what) { return {number, 1, std::string(64, '0'), std::move(what)}; }

inline leader_verified verified(node_number number, evaluation what, bool holds = true, double speedup = 1.5) {
  return {number, holds, std::move(what), speedup, {speedup * 0.98, speedup * 1.02}, "compile"};
}

} // namespace kevolve::kb::samples
