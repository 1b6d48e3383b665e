#include "node-agent/oracle.hpp"
#include "tests/node-agent/graph_builder.hpp"

#include <array>
#include <cmath>
#include <doctest/doctest.h>
#include <limits>

using namespace kevolve;
using namespace kevolve::test;
using agent::interpret;
using agent::oracle_tensor;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// x * rsqrt(mean(x^2) + eps) * w over rows of H.
graph rms_norm_graph() {
  graph g;
  g.inputs = {{"x", dtype::float32, {"B", "H"}}, {"w", dtype::float32, {"H"}}};
  auto value = [](std::string name, std::vector<std::string> shape) { return graph_value{std::move(name), dtype::float32, std::move(shape)}; };
  g.nodes = {
      {"aten.pow.Tensor_Scalar", {{"self", of("x")}, {"exponent", whole(2)}}, {value("square", {"B", "H"})}},
      {"aten.mean.dim", {{"self", of("square")}, {"dim", wholes({-1})}, {"keepdim", flag(true)}}, {value("mean", {"B", "1"})}},
      {"aten.add.Tensor", {{"self", of("mean")}, {"other", number(1e-6)}, {"alpha", whole(1)}}, {value("shifted", {"B", "1"})}},
      {"aten.rsqrt.default", {{"self", of("shifted")}}, {value("scale", {"B", "1"})}},
      {"aten.mul.Tensor", {{"self", of("x")}, {"other", of("scale")}}, {value("normed", {"B", "H"})}},
      {"aten.mul.Tensor", {{"self", of("normed")}, {"other", of("w")}}, {value("out", {"B", "H"})}},
  };
  g.outputs = {"out"};
  return g;
}

} // namespace

TEST_CASE("a graph of six nodes runs under bound axes and equals the formula") {
  auto x = reals({2, 3}, {1, 2, 3, -4, 5, 6}), w = reals({3}, {1, 0.5, 2});
  auto out = interpret(rms_norm_graph(), {{"B", 2}, {"H", 3}}, {x, w});
  REQUIRE(out);
  REQUIRE(out->size() == 1);
  CHECK((*out)[0].shape == std::vector<std::int64_t>{2, 3});
  for (int r = 0; r < 2; ++r) {
    double squares = 0;
    for (int i = 0; i < 3; ++i)
      squares += x.reals[r * 3 + i] * x.reals[r * 3 + i];
    for (int i = 0; i < 3; ++i)
      CHECK((*out)[0].reals[r * 3 + i] == doctest::Approx(x.reals[r * 3 + i] / std::sqrt(squares / 3 + 1e-6) * w.reals[i]).epsilon(1e-14));
  }
}

TEST_CASE("inputs that do not fit the graph are refused by name") {
  auto out = interpret(rms_norm_graph(), {{"B", 2}, {"H", 4}}, {reals({2, 3}, {1, 2, 3, 4, 5, 6}), reals({3}, {1, 1, 1})});
  REQUIRE(!out);
  CHECK(out.error().message.find("input x") != std::string::npos);
  CHECK(out.error().message.find("[2, 4]") != std::string::npos);
}

TEST_CASE("an unknown operation is named by both the question and the refusal") {
  graph g = rms_norm_graph();
  CHECK(agent::unsupported_operations(g).empty());
  g.nodes[3].op = "aten.no_such_operation.default";
  CHECK(agent::unsupported_operations(g) == std::vector<std::string>{"aten.no_such_operation.default"});
  auto out = interpret(g, {{"B", 1}, {"H", 1}}, {reals({1, 1}, {1}), reals({1}, {1})});
  REQUIRE(!out);
  CHECK(out.error().message.find("aten.no_such_operation.default") != std::string::npos);
}

TEST_CASE("a result whose shape differs from the declared one is refused") {
  auto out = run_one("aten.relu.default", {{"self", of("a")}}, {made("y", {3})}, {reals({2}, {1, 2})});
  REQUIRE(!out);
  CHECK(out.error().message.find("[3]") != std::string::npos);
}

TEST_CASE("a graph may return its input, and the caller keeps it") {
  graph g;
  g.inputs = {made("x", {2})};
  g.outputs = {"x", "x"};
  std::vector<oracle_tensor> in{reals({2}, {1, 2})};
  auto out = interpret(g, {}, in);
  REQUIRE(out);
  CHECK((*out)[0].reals == std::vector<double>{1, 2});
  CHECK((*out)[1].reals == std::vector<double>{1, 2});
  CHECK(in[0].reals == std::vector<double>{1, 2});
}

TEST_CASE("softmax is exact on large rows and NaN on a row of -inf") {
  auto out = run_one("aten._softmax.default", {{"self", of("a")}, {"dim", whole(-1)}, {"half_to_float", flag(false)}},
                     {made("y", {3, 2})}, {reals({3, 2}, {1e30, 1e30, -infinity, -infinity, 0, -infinity})});
  REQUIRE(out);
  const auto& y = (*out)[0].reals;
  CHECK(y[0] == 0.5);
  CHECK(std::isnan(y[2]));
  CHECK(std::isnan(y[3]));
  CHECK(y[4] == 1);
  CHECK(y[5] == 0);
}

TEST_CASE("NaN passes through relu, clamp, maximum and amax as in PyTorch") {
  auto in = reals({2}, {not_a_number, -1});
  for (auto [op, args] : std::vector<std::pair<std::string, arguments>>{
           {"aten.relu.default", {{"self", of("a")}}},
           {"aten.clamp.default", {{"self", of("a")}, {"min", number(0)}, {"max", number(1)}}},
           {"aten.maximum.default", {{"self", of("a")}, {"other", of("b")}}}}) {
    CAPTURE(op);
    auto out = run_one(op, args, {made("y", {2})}, {in, reals({2}, {0, 0})});
    REQUIRE(out);
    CHECK(std::isnan((*out)[0].reals[0]));
    CHECK((*out)[0].reals[1] == 0);
  }
  auto top = run_one("aten.amax.default", {{"self", of("a")}, {"dim", wholes({0})}}, {made("y", {})}, {reals({3}, {1, not_a_number, 5})});
  REQUIRE(top);
  CHECK(std::isnan((*top)[0].reals[0]));
}

TEST_CASE("matrix products agree with the triple loop for sizes around the blocking") {
  for (auto [m, n, k] : std::vector<std::array<std::int64_t, 3>>{{1, 1, 1}, {7, 9, 5}, {6, 8, 256}, {97, 17, 257}, {13, 2049, 3}}) {
    oracle_tensor a = reals({m, k}, {}), b = reals({n, k}, {});
    for (std::int64_t i = 0; i < m * k; ++i)
      a.reals.push_back(static_cast<double>((i * 7 + 3) % 11 - 5));
    for (std::int64_t i = 0; i < n * k; ++i)
      b.reals.push_back(static_cast<double>((i * 5 + 1) % 13 - 6));
    graph g;
    g.inputs = {made("a", {m, k}), made("b", {n, k})};
    g.nodes = {{"aten.t.default", {{"self", of("b")}}, {made("bt", {k, n})}},
               {"aten.mm.default", {{"self", of("a")}, {"mat2", of("bt")}}, {made("y", {m, n})}}};
    g.outputs = {"y"};
    auto out = interpret(g, {}, {a, b});
    REQUIRE(out);
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (std::int64_t p = 0; p < k; ++p)
          sum += a.reals[i * k + p] * b.reals[j * k + p];
        wrong += (*out)[0].reals[i * n + j] != sum; // small integers: exact
      }
    CHECK(wrong == 0);
  }
}

TEST_CASE("integers wrap to their width and division truncates or floors as asked") {
  auto wrapped = run_one("aten.add.Tensor", {{"self", of("a")}, {"other", whole(1)}}, {made("y", {1}, dtype::int8)},
                         {integers({1}, {127}, dtype::int8)});
  REQUIRE(wrapped);
  CHECK((*wrapped)[0].integers[0] == -128);
  auto floored = run_one("aten.div.Tensor_mode", {{"self", of("a")}, {"other", whole(2)}, {"rounding_mode", text("floor")}},
                         {made("y", {2}, dtype::int64)}, {integers({2}, {-7, 7})});
  REQUIRE(floored);
  CHECK((*floored)[0].integers == std::vector<std::int64_t>{-4, 3});
  auto by_zero = run_one("aten.remainder.Scalar", {{"self", of("a")}, {"other", whole(0)}}, {made("y", {1}, dtype::int64)},
                         {integers({1}, {1})});
  CHECK(!by_zero);
}
