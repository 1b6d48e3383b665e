#include "node-agent/compare.hpp"
#include "node-agent/expectation.hpp"
#include "node-agent/storage.hpp"
#include "tests/node-agent/graph_builder.hpp"

#include <cmath>
#include <doctest/doctest.h>
#include <set>

using namespace kevolve;
using namespace kevolve::test;
using namespace kevolve::agent;

namespace {

/// x[M, H] * scale + 1 for any M, H = 64; scale from a uniform distribution.
problem scaled_problem() {
  problem p;
  p.op.name = "scaled";
  p.op.axes = {{"M", axis_kind::variable, 0, {}, {}}, {"H", axis_kind::constant, 64, {}, {}}};
  p.op.inputs = {{"x", false, {"M", "H"}, dtype::float32, {}}, {"scale", false, {"H"}, dtype::float32, {}}};
  p.op.outputs = {{"y", false, {"M", "H"}, dtype::float32, {}}};
  p.op.distributions = {{"scale", distribution_kind::uniform, 0.5, 1.5}};
  graph g;
  g.inputs = {{"x", dtype::float32, {"M", "H"}}, {"scale", dtype::float32, {"H"}}};
  g.nodes = {{"aten.mul.Tensor", {{"self", of("x")}, {"other", of("scale")}}, {{"y", dtype::float32, {"M", "H"}}}}};
  g.outputs = {"y"};
  p.op.traced = g;
  p.workloads = {{"id-1", "small", {{"M", 100}}, {}, std::nullopt}, {"id-2", "large", {{"M", 1000}}, {}, std::nullopt}};
  return p;
}

oracle_tensor drawn(const problem& p, case_kind kind, std::uint64_t seed, std::size_t input = 0, std::int64_t rows = 100) {
  auto axes = bind_axes(p.op, {{"M", rows}});
  REQUIRE(axes);
  auto layout = layouts(p.op.inputs, *axes);
  REQUIRE(layout);
  check_case what{{{"M", rows}}, kind, seed, 1, false, {}};
  auto bytes = make_inputs(p.op, *layout, what, {});
  REQUIRE(bytes);
  return to_oracle((*layout)[input].type, (*layout)[input].shape, (*bytes)[input]);
}

} // namespace

TEST_CASE("the plan covers every workload, odd sizes and every kind, and fresh seeds give fresh cases") {
  auto p = scaled_problem();
  auto plan = plan_cases(p, 1);
  std::set<std::string> workloads;
  std::set<case_kind> kinds;
  std::set<std::int64_t> rows;
  for (const auto& c : plan) {
    kinds.insert(c.kind);
    rows.insert(c.variable_axes[0].second);
    if (!c.workload.empty())
      workloads.insert(c.workload);
  }
  CHECK(workloads == std::set<std::string>{"id-1", "id-2"});
  CHECK(kinds.size() == enum_max(case_kind{}) + 1);
  for (std::int64_t odd : {1, 7, 17, 37, 65})
    CHECK(rows.count(odd) == 1);
  CHECK(plan_cases(p, 1)[0].seed == plan[0].seed);
  CHECK(plan_cases(p, 2)[0].seed != plan[0].seed);
}

TEST_CASE("odd sizes respect the constraints") {
  auto p = scaled_problem();
  p.op.constraints = {"M % 8 == 0 and M < 40"};
  for (const auto& c : plan_cases(p, 1))
    if (c.workload.empty())
      CHECK(c.variable_axes[0].second % 8 == 0);
}

TEST_CASE("inputs are a function of the seed and look like their distribution") {
  auto p = scaled_problem();
  auto a = drawn(p, case_kind::random, 5), b = drawn(p, case_kind::random, 5), c = drawn(p, case_kind::random, 6);
  CHECK(a.reals == b.reals);
  CHECK(a.reals != c.reals);
  auto x = drawn(p, case_kind::random, 7, 0, 4000).reals;
  double sum = 0, squares = 0, fourth = 0, beyond = 0;
  for (double v : x) {
    sum += v;
    squares += v * v;
    fourth += v * v * v * v;
    beyond += std::abs(v) > 3;
  }
  auto n = static_cast<double>(x.size());
  CHECK(std::abs(sum / n) < 0.01);
  CHECK(squares / n == doctest::Approx(1).epsilon(0.01));
  CHECK(fourth / n == doctest::Approx(3).epsilon(0.05));
  CHECK(beyond / n == doctest::Approx(0.0027).epsilon(0.2));
  for (double v : drawn(p, case_kind::random, 7, 1).reals) {
    CHECK(v >= 0.5);
    CHECK(v < 1.5);
  }
}

TEST_CASE("each kind stresses what it says and leaves bounded domains alone") {
  auto p = scaled_problem();
  for (auto kind : {case_kind::zeros, case_kind::negative, case_kind::denormal, case_kind::not_finite}) {
    CAPTURE(to_string(kind));
    for (double v : drawn(p, kind, 3, 1).reals) { // scale is uniform
      CHECK(v >= 0.5);
      CHECK(v < 1.5);
    }
  }
  for (double v : drawn(p, case_kind::zeros, 3).reals)
    CHECK(v == 0);
  for (double v : drawn(p, case_kind::negative, 3).reals)
    CHECK(v < 0);
  std::size_t subnormal = 0, nans = 0, infinite = 0;
  for (double v : drawn(p, case_kind::denormal, 3).reals)
    subnormal += v != 0 && std::abs(v) < 0x1p-126;
  for (double v : drawn(p, case_kind::not_finite, 3).reals) {
    nans += std::isnan(v);
    infinite += std::isinf(v);
  }
  CHECK(subnormal > 1000);
  CHECK(nans > 10);
  CHECK(infinite > 10);
}

TEST_CASE("integers stay in their range in every case") {
  auto p = scaled_problem();
  p.op.inputs.push_back({"index", false, {"M"}, dtype::int64, {}});
  p.op.distributions.push_back({"index", distribution_kind::integers, 3, 11});
  for (std::uint64_t k = 0; k <= enum_max(case_kind{}); ++k) {
    std::set<std::int64_t> seen;
    for (auto v : drawn(p, static_cast<case_kind>(k), 9, 2).integers)
      seen.insert(v);
    CHECK(*seen.begin() == 3);
    CHECK(*seen.rbegin() == 10);
  }
}

TEST_CASE("every case's expectation accepts a float32 kernel and refuses one that is off") {
  auto p = scaled_problem();
  for (const auto& what : plan_cases(p, 11)) {
    CAPTURE(what.describe());
    auto e = expect(p.op, what, {});
    REQUIRE(e);
    auto axes = *bind_axes(p.op, what.variable_axes);
    auto layout = *layouts(p.op.inputs, axes);
    const auto* x = reinterpret_cast<const float*>(e->inputs[0].data());
    const auto* scale = reinterpret_cast<const float*>(e->inputs[1].data());
    std::vector<float> y(layout[0].bytes / 4);
    for (std::size_t i = 0; i < y.size(); ++i)
      y[i] = x[i] * scale[i % 64];
    auto bytes = std::as_bytes(std::span(y));
    auto right = compare(e->outputs[0], bytes, p.op.tolerated);
    CHECK_MESSAGE(right.agrees, right.first_failure);
    if (what.kind == case_kind::random || what.kind == case_kind::negative || what.kind == case_kind::large) {
      y[y.size() / 2] *= 1.01f;
      CHECK_FALSE(compare(e->outputs[0], bytes, p.op.tolerated).agrees);
    }
  }
}

TEST_CASE("large inputs are as large as the operator bears: squares of them stay finite in float32") {
  auto p = scaled_problem();
  auto& node = p.op.traced->nodes[0];
  node = {"aten.mul.Tensor", {{"self", of("x")}, {"other", of("x")}}, {{"square", dtype::float32, {"M", "H"}}}};
  p.op.traced->nodes.push_back({"aten.sum.dim_IntList", {{"self", of("square")}, {"dim", wholes({1})}, {"keepdim", flag(true)}},
                                {{"total", dtype::float32, {"M", "1"}}}});
  p.op.traced->nodes.push_back({"aten.div.Tensor", {{"self", of("x")}, {"other", of("total")}}, {{"y", dtype::float32, {"M", "H"}}}});
  auto e = expect(p.op, {{{"M", 7}}, case_kind::large, 4, 1, false, {}}, {});
  REQUIRE(e);
  CHECK(e->what.magnitude == 1e15); // 64 * (4e15)^2 = 1e33
  p.op.traced->nodes[0].op = "aten.exp.default";
  p.op.traced->nodes[0].arguments = {{"self", of("x")}};
  e = expect(p.op, {{{"M", 7}}, case_kind::large, 4, 1, false, {}}, {});
  REQUIRE(e);
  CHECK(e->what.magnitude == 10); // exp(40) is finite, exp(400) is not
}

TEST_CASE("where the operator itself is ill-conditioned the row's slack says so, and a flipped class is not compared") {
  auto p = scaled_problem();
  // x / sum(x * x): on subnormal inputs the squares vanish in float32 and do not in double.
  p.op.traced->nodes = {
      {"aten.mul.Tensor", {{"self", of("x")}, {"other", of("x")}}, {{"square", dtype::float32, {"M", "H"}}}},
      {"aten.sum.dim_IntList", {{"self", of("square")}, {"dim", wholes({1})}, {"keepdim", flag(true)}}, {{"total", dtype::float32, {"M", "1"}}}},
      {"aten.div.Tensor", {{"self", of("x")}, {"other", of("total")}}, {{"y", dtype::float32, {"M", "H"}}}}};
  auto e = expect(p.op, {{{"M", 7}}, case_kind::denormal, 4, 1, false, {}}, {});
  REQUIRE(e);
  CHECK((e->outputs[0].undetermined_ratio > 0.9 || std::isinf(round_to(dtype::float32, e->outputs[0].exact.reals[0]))));
  // (x + 1e4) - 1e4 loses what float32 loses
  p.op.traced->nodes = {
      {"aten.add.Tensor", {{"self", of("x")}, {"other", number(1e4)}, {"alpha", whole(1)}}, {{"up", dtype::float32, {"M", "H"}}}},
      {"aten.sub.Tensor", {{"self", of("up")}, {"other", number(1e4)}, {"alpha", whole(1)}}, {{"y", dtype::float32, {"M", "H"}}}}};
  e = expect(p.op, {{{"M", 7}}, case_kind::negative, 4, 1, false, {}}, {});
  REQUIRE(e);
  REQUIRE(!e->outputs[0].slack.empty());
  CHECK(e->outputs[0].slack[0] > 1e-4);
  CHECK(e->outputs[0].slack[0] < 1e-2);
}

TEST_CASE("sums whose parts the data say are allowed what a float32 sum of the longest part loses, in any order") {
  problem p;
  constexpr std::int64_t rows = 32'768, width = 4;
  p.op.name = "jagged_mean";
  p.op.axes = {{"B", axis_kind::variable, 0, {}, {}}, {"T", axis_kind::constant, rows, {}, {}}, {"D", axis_kind::constant, width, {}, {}}};
  p.op.inputs = {{"values", false, {"T", "D"}, dtype::float32, {}}, {"offsets", false, {"B + 1"}, dtype::int64, {}}};
  p.op.outputs = {{"out", false, {"B", "D"}, dtype::float32, {}}};
  p.op.distributions = {{"offsets", distribution_kind::ascending, 0, rows + 1}};
  p.op.tolerated = {1e-5, 1e-4, 1};
  graph g;
  g.inputs = {{"values", dtype::float32, {"T", "D"}}, {"offsets", dtype::int64, {"B + 1"}}};
  g.nodes = {{"aten.segment_reduce.default",
              {{"data", of("values")}, {"reduce", text("mean")}, {"offsets", of("offsets")}, {"axis", whole(0)}, {"unsafe", flag(true)}, {"initial", number(0)}},
              {{"out", dtype::float32, {"B", "D"}}}}};
  g.outputs = {"out"};
  p.op.traced = g;
  p.workloads = {{"id-1", "small", {{"B", 3}}, {}, std::nullopt}};
  for (const std::int64_t parts : {3, 257})
    for (const case_kind kind : {case_kind::random, case_kind::cancelling, case_kind::large})
      for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        CAPTURE(seed);
        auto e = expect(p.op, {{{"B", parts}}, kind, seed, 1, false, {}}, {});
        REQUIRE(e);
        const auto* values = reinterpret_cast<const float*>(e->inputs[0].data());
        const auto* offsets = reinterpret_cast<const std::int64_t*>(e->inputs[1].data());
        for (const std::int64_t accumulators : {1, 4, 64}) {
          std::vector<float> out(static_cast<std::size_t>(parts * width), 0.f);
          for (std::int64_t b = 0; b < parts; ++b)
            for (std::int64_t d = 0; d < width; ++d) {
              std::vector<float> sums(static_cast<std::size_t>(accumulators), 0.f);
              for (std::int64_t t = offsets[b]; t < offsets[b + 1]; ++t)
                sums[static_cast<std::size_t>((t - offsets[b]) % accumulators)] += values[t * width + d];
              float total = 0;
              for (const float sum : sums)
                total += sum;
              if (offsets[b + 1] > offsets[b])
                out[static_cast<std::size_t>(b * width + d)] = total / static_cast<float>(offsets[b + 1] - offsets[b]);
            }
          const auto right = compare(e->outputs[0], std::as_bytes(std::span(out)), p.op.tolerated);
          CHECK_MESSAGE(right.agrees, right.first_failure);
          if (kind == case_kind::random && offsets[2] - offsets[1] > 1) {
            out[static_cast<std::size_t>(width)] += 0.5f; // as if some of its rows were not there
            CHECK_FALSE(compare(e->outputs[0], std::as_bytes(std::span(out)), p.op.tolerated).agrees);
          }
        }
      }
}

TEST_CASE("the cost counts each input and output once, and only what is read") {
  auto p = scaled_problem();
  auto axes = *bind_axes(p.op, {{"M", 10}});
  auto cost = cost_of(p.op, axes);
  REQUIRE(cost);
  CHECK(cost->input_bytes == 10 * 64 * 4 + 64 * 4);
  CHECK(cost->output_bytes == 10 * 64 * 4);
  CHECK(cost->operations == 10 * 64);
  p.op.traced->nodes[0].arguments[1].second = of("x");
  cost = cost_of(p.op, axes);
  REQUIRE(cost);
  CHECK(cost->input_bytes == 10 * 64 * 4);
}
