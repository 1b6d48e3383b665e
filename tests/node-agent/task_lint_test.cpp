#include "node-agent/task_lint.hpp"
#include "protocol/trace_format.hpp"
#include "tests/node-agent/graph_builder.hpp"

#include <doctest/doctest.h>

#include <filesystem>

using namespace kevolve;
using namespace kevolve::agent;

namespace {

const std::filesystem::path source = KEVOLVE_SOURCE_DIR;

/// Root mean square normalisation of 100 columns, with one more operation behind it.
problem rows_and(const std::string& op, const test::arguments& args) {
  auto p = read_problem(source / "tests/hostile/operators/rows.json");
  REQUIRE(p);
  graph& g = *p->op.traced;
  g.nodes.push_back({op, args, {{"changed", dtype::float32, {"M", "100"}}}});
  g.outputs = {"changed"};
  return std::move(*p);
}

std::string objections_to(const problem& p) {
  const auto found = lint(p);
  REQUIRE(found);
  std::string all;
  for (const auto& each : found->objections)
    all += each + "\n";
  return all;
}

} // namespace

TEST_CASE("an operator whose output is the same for all inputs is objected to") {
  CHECK(objections_to(rows_and("aten.mul.Tensor", {{"self", test::of("out")}, {"other", test::number(0)}})).find("output 'out' is the same for other inputs") != std::string::npos);
}

TEST_CASE("an operator whose output is below its tolerance is objected to") {
  CHECK(objections_to(rows_and("aten.mul.Tensor", {{"self", test::of("out")}, {"other", test::number(1e-9)}})) != "");
}

TEST_CASE("an input that makes no difference is objected to by name; one that holds next to nothing is remarked on") {
  auto p = read_problem(source / "tests/hostile/operators/rows.json");
  REQUIRE(p);
  p->op.inputs.push_back({"other", false, {"M", "H"}, dtype::float32, ""});
  p->op.traced->inputs.push_back({"other", dtype::float32, {"M", "H"}});
  p->op.traced->outputs = {p->op.traced->nodes[p->op.traced->nodes.size() - 2].outputs.front().name}; // before the weight comes in
  const auto found = lint(*p);
  REQUIRE_MESSAGE(found, found.error().message);
  REQUIRE(found->objections.size() == 1);
  CHECK(found->objections[0].find("input 'other' makes no difference") == 0);
  REQUIRE(found->remarks.size() == 1);
  CHECK(found->remarks[0].find("input 'weight' makes no difference") == 0);
}

TEST_CASE("an operator without a graph cannot be looked at, and says so") {
  auto p = read_problem(source / "tests/hostile/operators/rows.json");
  REQUIRE(p);
  p->op.traced.reset();
  CHECK(!lint(*p));
}

TEST_CASE("there is nothing to object to in the operators that ship") {
  std::size_t seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source / "kb/operators")) {
    if (entry.path().extension() != ".json")
      continue;
    CAPTURE(entry.path().filename().string());
    const auto p = read_problem(entry.path());
    REQUIRE(p);
    CHECK(objections_to(*p) == "");
    ++seen;
  }
  CHECK(seen > 30);
}

TEST_CASE("an objection is dropped only for a size that the operator accepts, odd ones among them") {
  // Columns beyond the first are left out where there are as many rows as the workload has: only other sizes show that 'x' matters.
  auto p = read_problem(source / "tests/hostile/operators/rows.json");
  REQUIRE(p);
  for (auto& w : p->workloads)
    w.axes = {{"M", 1}};
  graph& g = *p->op.traced;
  // out - mean over rows: nothing is left of it with one row, something with several.
  g.nodes.push_back({"aten.mean.dim", {{"self", test::of("out")}, {"dim", test::wholes({0})}, {"keepdim", test::flag(true)}}, {{"mean_of_rows", dtype::float32, {"1", "100"}}}});
  g.nodes.push_back({"aten.sub.Tensor", {{"self", test::of("out")}, {"other", test::of("mean_of_rows")}}, {{"changed", dtype::float32, {"M", "100"}}}});
  g.outputs = {"changed"};
  CHECK(objections_to(*p) == "");
}
