#include "actors/made_up.hpp"

#include "protocol/rng.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace kevolve::made_up {
namespace {

constexpr std::size_t steps_kept = 4;
constexpr double root_latency_s = 1e-3;
constexpr double least_latency_s = 1e-4;
constexpr double eager_latency_s = 2e-3;
constexpr double relative_error = 0.01;

/// As large as a real kernel's text, and as hard to compress: statements with drawn numbers, the same for every candidate.
std::string statements(std::size_t bytes) {
  std::string text;
  rng draw(1, 0, "statements");
  while (text.size() < bytes)
    text += "  y[" + std::to_string(draw.below(4096)) + "] += x[" + std::to_string(draw.below(4096)) + "] * scale_" + std::to_string(draw.below(64)) + ";\n";
  return text;
}

candidate print(const schedule& s, const std::string& statements) {
  candidate c;
  c.definition = "made_up";
  c.author = "generator";
  c.description = "a made-up candidate";
  c.sources = {{"kernel.cpp", "// " + to_string(s) + "\n" + statements}};
  c.printed_from = s;
  c.id = candidate_hash(c);
  return c;
}

class made_up_generator final : public synthesis::generator {
public:
  explicit made_up_generator(std::size_t source_bytes) : statements_(statements(source_bytes)) {}
  result<synthesis::proposal> root() const override { return print({}, {"root", "the plain loop nest", ""}); }
  result<synthesis::proposal> print(const schedule& s, const transformation& edge) const override {
    return synthesis::proposal{made_up::print(s, statements_), edge, {}};
  }
  result<synthesis::proposal> propose(const synthesis::context& given, rng draw) const override {
    schedule s;
    if (given.parent)
      s = given.parent->printed_from;
    if (given.second_parent && !given.second_parent->printed_from.steps.empty())
      s.steps.push_back(given.second_parent->printed_from.steps.back());
    while (s.steps.size() >= steps_kept)
      s.steps.erase(s.steps.begin());
    // 40 bits: distinct in any run, however long.
    s.steps.push_back({"nudge", "x", {{"by", std::to_string(draw() >> 24)}}});
    return print(s, {given.second_parent ? "crossover" : "nudge", "nudge x", "made up"});
  }

private:
  const std::string statements_;
};

workload_timing timing(double latency, const evaluate_work& what) {
  workload_timing t;
  t.workload = what.subject.workloads.at(0).uuid;
  t.latency_s = latency;
  t.latency_ci95 = {latency * (1 - relative_error), latency * (1 + relative_error)};
  t.samples = 32;
  t.roof_s = least_latency_s / 2;
  t.roofline_fraction = t.roof_s / latency;
  auto compare = [&](std::string anchor, double anchor_s) {
    double ratio = anchor_s / latency;
    t.comparisons.push_back({std::move(anchor), ratio, {ratio * (1 - relative_error), ratio * (1 + relative_error)}, anchor_s,
                             ratio > 1 + 2 * relative_error ? 1000.0 : 0.5, 8});
  };
  for (const auto& anchor : what.anchors)
    compare(anchor.id, latency_s(anchor));
  for (const auto& baseline : what.baselines)
    compare(baseline, eager_latency_s);
  return t;
}

} // namespace

problem subject() {
  problem p;
  p.op.name = "made_up";
  p.op.op_type = "made_up";
  p.op.axes = {axis{"n", axis_kind::constant, 1024, "", ""}};
  p.op.inputs = {tensor_spec{"x", false, {"n"}, dtype::float32, ""}};
  p.op.outputs = {tensor_spec{"y", false, {"n"}, dtype::float32, ""}};
  workload w;
  w.uuid = "made-up-1";
  w.name = "only";
  p.workloads = {w};
  return p;
}

device_description device() { return {"cpu0", "cpu-made-up", target{"cpu", "made-up", "cpp"}, 1}; }

generator_factory generator(std::size_t source_bytes) {
  return [source_bytes](const problem&, const target&, const std::string&) -> result<std::unique_ptr<synthesis::generator>> {
    return std::unique_ptr<synthesis::generator>(std::make_unique<made_up_generator>(source_bytes));
  };
}

double latency_s(const candidate& c) {
  double latency = root_latency_s;
  if (c.printed_from)
    for (const auto& step : c.printed_from->steps)
      if (!step.parameters.empty())
        latency *= 0.85 + 0.25 * rng(std::strtoull(step.parameters[0].second.c_str(), nullptr, 10)).uniform();
  return std::max(latency, least_latency_s);
}

evaluation measure(const evaluate_work& what, unsigned fails_one_in) {
  evaluation e;
  e.candidate = what.what.id;
  e.definition = what.subject.op.name;
  e.where.hardware = device().hardware;
  e.where.judge_version = "made up";
  bool root = !what.what.printed_from || what.what.printed_from->steps.empty();
  if (!root && fails_one_in > 0 && rng(std::strtoull(what.what.id.substr(0, 15).c_str(), nullptr, 16)).below(fails_one_in) == 0) {
    e.result = outcome::incorrect_numerical;
    e.correct.failed_case = "made up";
    return e;
  }
  e.result = outcome::passed;
  e.correct.cases = 4;
  e.timings = {timing(latency_s(what.what), what)};
  e.diagnosed.limited_by = rng(what.what.id.size(), what.what.id.front(), "bound").chance(0.5) ? bound::memory : bound::compute;
  e.diagnosed.roofline_fraction = e.timings[0].roofline_fraction;
  return e;
}

} // namespace kevolve::made_up
