#include "node-agent/diagnose.hpp"
#include "node-agent/hardware.hpp"
#include "node-agent/evaluate.hpp"
#include "tests/node-agent/graph_builder.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace kevolve;
using namespace kevolve::agent;
using namespace kevolve::test;

namespace {

constexpr double read_rate = 10e9, write_rate = 5e9, copy_rate = 8e9;

/// A host that reads 10, writes 5 and copies 8 GB/s at any size, and computes 100 GFLOP/s.
host_roofs plain_roofs() {
  host_roofs r;
  r.memory = {{1e3, read_rate, write_rate, copy_rate}, {1e12, read_rate, write_rate, copy_rate}};
  r.fma_flops_per_s = 100e9;
  return r;
}

/// y[M, 1024] = x[M, 1024] * x, float32, workloads of so many rows.
problem products(std::vector<std::int64_t> rows) {
  problem p;
  p.op.name = "products";
  p.op.axes = {{"M", axis_kind::variable, 0, {}, {}}, {"H", axis_kind::constant, 1024, {}, {}}};
  p.op.inputs = {{"x", false, {"M", "H"}, dtype::float32, {}}};
  p.op.outputs = {{"y", false, {"M", "H"}, dtype::float32, {}}};
  graph g;
  g.inputs = {{"x", dtype::float32, {"M", "H"}}};
  g.nodes = {{"aten.mul.Tensor", {{"self", of("x")}, {"other", of("x")}}, {{"y", dtype::float32, {"M", "H"}}}}};
  g.outputs = {"y"};
  p.op.traced = g;
  for (const std::int64_t m : rows)
    p.workloads.push_back({"rows-" + std::to_string(m), {}, {{"M", m}}, {}, std::nullopt});
  return p;
}

double bytes_each_way(std::int64_t rows) { return static_cast<double>(rows) * 1024 * 4; }
/// What the roofs allow for `products`: one read and one written byte at the copy's rate.
double memory_s(std::int64_t rows) { return 2 * bytes_each_way(rows) / copy_rate; }

evaluation timed(std::vector<std::pair<std::int64_t, double>> rows_and_seconds, bool vectorised = true) {
  evaluation e;
  e.result = outcome::passed;
  for (const auto& [rows, seconds] : rows_and_seconds) {
    workload_timing t;
    t.workload = "rows-" + std::to_string(rows);
    t.latency_s = seconds;
    e.timings.push_back(t);
  }
  if (vectorised)
    e.diagnosed.remarks = {"3: loop vectorized using 64 byte vectors"};
  return e;
}

bool hinted(const evaluation& e, const std::string& words) {
  return std::any_of(e.diagnosed.hints.begin(), e.diagnosed.hints.end(), [&](const std::string& h) { return h.find(words) != h.npos; });
}

} // namespace

TEST_CASE("bytes, operations and rates are sums over the workloads, the fraction of the roof is their geometric mean") {
  const auto p = products({1024, 4096});
  const auto roofs = plain_roofs();
  auto e = timed({{1024, memory_s(1024) * 2}, {4096, memory_s(4096) * 8}});
  diagnose(p, &roofs, e);
  const double seconds = memory_s(1024) * 2 + memory_s(4096) * 8;
  CHECK(e.diagnosed.bytes == 2 * bytes_each_way(1024 + 4096));
  CHECK(e.diagnosed.operations == 1024.0 * (1024 + 4096));
  CHECK(e.diagnosed.achieved_bytes_per_s == doctest::Approx(e.diagnosed.bytes / seconds));
  CHECK(e.diagnosed.achieved_flops == doctest::Approx(e.diagnosed.operations / seconds));
  CHECK(e.timings[0].roof_s == doctest::Approx(memory_s(1024)));
  CHECK(e.timings[0].roofline_fraction == doctest::Approx(0.5));
  CHECK(e.timings[1].roofline_fraction == doctest::Approx(0.125));
  CHECK(e.diagnosed.roofline_fraction == doctest::Approx(0.25));
  CHECK(e.result == outcome::passed);
}

TEST_CASE("a time is too good to be true only below the roof's margin, and the workload is named") {
  const auto p = products({1024});
  const auto roofs = plain_roofs();
  auto e = timed({{1024, memory_s(1024) * (roof_margin + 0.01)}});
  diagnose(p, &roofs, e);
  CHECK(e.result == outcome::passed);
  CHECK(e.log == "");
  e = timed({{1024, memory_s(1024) * (roof_margin - 0.01)}});
  diagnose(p, &roofs, e);
  CHECK(e.result == outcome::quarantined);
  CHECK(e.log.find("workload rows-1024 took 724 us") != std::string::npos);
  CHECK(e.log.find("allow no less than 1.05e+03 us") != std::string::npos);
}

TEST_CASE("arithmetic has a roof, too: the higher of the measured and the theoretical peak") {
  const auto p = products({1024});
  auto roofs = plain_roofs();
  roofs.memory = {{1e3, 1e15, 1e15, 1e15}, {1e12, 1e15, 1e15, 1e15}};
  roofs.fma_flops_per_s = 1e9;
  const double compute_s = 1024.0 * 1024 / 1e9;
  auto e = timed({{1024, compute_s * 2}});
  diagnose(p, &roofs, e);
  CHECK(e.timings[0].roof_s == doctest::Approx(compute_s));
  CHECK(e.diagnosed.limited_by == bound::compute);
  CHECK(hinted(e, "compute at 50%"));
  e = timed({{1024, compute_s * 0.6}});
  diagnose(p, &roofs, e);
  CHECK(e.result == outcome::quarantined);
  roofs.theoretical_flops_per_s = 2e9;
  e = timed({{1024, compute_s * 0.6}});
  diagnose(p, &roofs, e);
  CHECK(e.result == outcome::passed);
  CHECK(e.timings[0].roof_s == doctest::Approx(compute_s / 2));
}

TEST_CASE("a yardstick measured beside the candidate is the memory's roof from a megabyte on, and only where all inputs are read") {
  const auto roofs = plain_roofs();
  const auto roof_of = [&](std::int64_t rows, const problem& p) {
    auto e = timed({{rows, 1.0}});
    e.timings[0].roof_s = 0.5;
    diagnose(p, &roofs, e);
    return e.timings[0].roof_s;
  };
  CHECK(roof_of(1024, products({1024})) == 0.5);
  CHECK(roof_of(128, products({128})) == 0.5);                             // a megabyte, read and written bytes together
  CHECK(roof_of(127, products({127})) == doctest::Approx(memory_s(127)));
  auto two = products({1024});
  two.op.inputs.push_back({"unread", false, {"H"}, dtype::float32, {}}); // 0.1% of the bytes
  two.op.traced->inputs.push_back({"unread", dtype::float32, {"H"}});
  CHECK(roof_of(1024, two) == 0.5);
  two.op.inputs[1].shape = {"M", "H"};
  two.op.traced->inputs[1].shape = {"M", "H"};
  CHECK(roof_of(1024, two) == doctest::Approx(memory_s(1024)));
  auto e = timed({{1024, memory_s(1024) * 0.9}});
  e.timings[0].roof_s = memory_s(1024) * 100; // a yardstick that was disturbed quarantines nobody
  diagnose(products({1024}), &roofs, e);
  CHECK(e.result == outcome::passed);
}

TEST_CASE("what limits a kernel is the resource that explains its time") {
  const auto p = products({1024});
  const auto roofs = plain_roofs();
  const auto at = [&](double times, bool vectorised = true) {
    auto e = timed({{1024, memory_s(1024) * times}}, vectorised);
    diagnose(p, &roofs, e);
    return e;
  };
  CHECK(at(1.1).diagnosed.limited_by == bound::memory);
  CHECK(hinted(at(1.1), "memory at 91% of the host's bandwidth for this working set: near the roof"));
  CHECK(hinted(at(1.25), "memory at 80% of the host's bandwidth for this working set: move each byte once"));
  CHECK(at(3.9).diagnosed.limited_by == bound::memory); // 26%
  CHECK(at(4.1).diagnosed.limited_by == bound::latency);
  CHECK(hinted(at(10), "neither memory (10%) nor compute (0%)"));
  CHECK(!hinted(at(10), "no vectorised loop"));
  CHECK(hinted(at(10, false), "no vectorised loop"));
  CHECK(!hinted(at(10), "bound by"));
  CHECK(!hinted(at(1.1), "explains"));
}

TEST_CASE("a call that takes no longer than starting threads is bound by its launch") {
  const auto roofs = plain_roofs();
  const auto limit = [&](double seconds) {
    auto e = timed({{1, seconds}});
    diagnose(products({1}), &roofs, e);
    CHECK(hinted(e, "use fewer threads") == (e.diagnosed.limited_by == bound::launch));
    return e.diagnosed.limited_by;
  };
  CHECK(limit(9.5e-6) == bound::launch);
  CHECK(limit(10.5e-6) == bound::latency);
  auto e = timed({{1, 9e-6}, {2, 12e-6}}); // a mean of more than 10 us
  diagnose(products({1, 2}), &roofs, e);
  CHECK(e.diagnosed.limited_by == bound::latency);
}

TEST_CASE("compute is told from memory by which explains more, and plain code by its own peak") {
  const auto p = products({1024});
  auto roofs = plain_roofs();
  const double flops = 1024.0 * 1024;
  const auto limit = [&](double memory, double compute, bool vectorised = true) { // shares of a second
    const double rate = 2 * bytes_each_way(1024) / memory;
    roofs.memory = {{1e3, rate, rate, rate}, {1e12, rate, rate, rate}};
    roofs.fma_flops_per_s = flops / compute;
    auto e = timed({{1024, 1.0}}, vectorised);
    diagnose(p, &roofs, e);
    return e.diagnosed.limited_by;
  };
  CHECK(limit(0.55, 0.6) == bound::compute);
  CHECK(limit(0.6, 0.55) == bound::memory);
  CHECK(limit(0.3, 0.2) == bound::latency);  // neither is twice the other
  CHECK(limit(0.3, 0.14) == bound::memory);
  CHECK(limit(0.3, 0.26) == bound::compute);
  CHECK(limit(0.01, 0.26) == bound::compute);
  CHECK(limit(0.01, 0.24) == bound::latency);
  const double lanes = widest_fma().lanes; // scalar code near its own peak
  CHECK(limit(0.01, 0.36 / lanes, false) == bound::compute);
  CHECK(limit(0.01, 0.34 / lanes, false) == bound::latency);
  CHECK(limit(0.01, 0.36 / lanes) == bound::latency);
}

TEST_CASE("without roofs there are rates and nothing else, and what is unknown is left alone") {
  const auto p = products({1024});
  auto e = timed({{1024, 1e-9}, {55, 1.0}, {1024, 0}});
  diagnose(p, nullptr, e);
  CHECK(e.result == outcome::passed);
  CHECK(e.diagnosed.bytes == 2 * bytes_each_way(1024)); // of the known workload, once
  CHECK(e.diagnosed.achieved_bytes_per_s == doctest::Approx(e.diagnosed.bytes / 1e-9));
  CHECK(e.diagnosed.limited_by == bound::unknown);
  CHECK(e.diagnosed.roofline_fraction == 0);
  CHECK(e.timings[0].roof_s == 0);
  evaluation nothing;
  const auto roofs = plain_roofs();
  diagnose(p, &roofs, nothing);
  CHECK(nothing.diagnosed.limited_by == bound::unknown);
  CHECK(nothing.diagnosed.achieved_bytes_per_s == 0);
}

TEST_CASE("a host whose peak is unknown has no roof of arithmetic") {
  auto roofs = plain_roofs();
  roofs.fma_flops_per_s = 0;
  auto e = timed({{1024, memory_s(1024)}});
  diagnose(products({1024}), &roofs, e);
  CHECK(e.result == outcome::passed);
  CHECK(e.timings[0].roof_s == doctest::Approx(memory_s(1024)));
  roofs.memory.clear();
  e = timed({{1024, 1e-3}});
  diagnose(products({1024}), &roofs, e);
  CHECK(e.timings[0].roof_s == 0);
  CHECK(e.diagnosed.roofline_fraction == 0);
  CHECK(e.diagnosed.limited_by == bound::latency);
}

TEST_CASE("only a remark of a vectorised loop says that one was vectorised") {
  const auto p = products({1024});
  const auto roofs = plain_roofs();
  for (const auto& [remark, plain] : {std::pair("3: loop vectorized using 64 byte vectors", false), std::pair("3: loop with 4 iterations completely unrolled", true)}) {
    auto e = timed({{1024, 1.0}}, false);
    e.diagnosed.remarks = {remark};
    diagnose(p, &roofs, e);
    CHECK(hinted(e, "no vectorised loop") == plain);
  }
}
