#include "node-agent/compare.hpp"
#include "node-agent/storage.hpp"
#include "tests/node-agent/graph_builder.hpp"

#include <cmath>
#include <doctest/doctest.h>
#include <limits>

using namespace kevolve;
using namespace kevolve::test;
using namespace kevolve::agent;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

std::vector<std::byte> bytes_of(dtype type, const std::vector<double>& values) {
  std::vector<std::byte> out(values.size() * size_of(type));
  encode(type, std::span<const double>(values), out.data());
  return out;
}

expected_output expecting(std::vector<double> values, dtype type = dtype::float32) {
  auto count = static_cast<std::int64_t>(values.size());
  return {reals({count}, std::move(values), type), {}, 1, {}, 0};
}

const tolerance strict{1e-4, 1e-4, 1, false};

} // namespace

TEST_CASE("an element fails only past both tolerances, and the first one is named with its place") {
  expected_output e{reals({2, 3}, {1, 1000, 0, 1, 1, 1}), {}, 1, {}, 0};
  auto near = compare(e, bytes_of(dtype::float32, {1.00009, 1000.09, 0.00009, 1, 1, 1}), strict);
  CHECK(near.agrees);
  CHECK(near.compared == 6);
  CHECK(near.max_absolute_error == doctest::Approx(0.09).epsilon(0.01));
  auto far = compare(e, bytes_of(dtype::float32, {1, 1000, 0, 1, 1.001, 2}), strict);
  CHECK_FALSE(far.agrees);
  CHECK(far.failed == 2);
  CHECK(far.first_failure.find("element [1, 1] (4)") != std::string::npos);
  CHECK(far.first_failure.find("expected 1") != std::string::npos);
}

TEST_CASE("one wrong element among very many is found wherever it is") {
  std::vector<double> values(100'003);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = std::sin(static_cast<double>(i));
  auto e = expecting(values);
  CHECK(compare(e, bytes_of(dtype::float32, values), strict).agrees);
  for (std::size_t at : {std::size_t{0}, std::size_t{2047}, std::size_t{2048}, std::size_t{77'777}, values.size() - 1}) {
    auto wrong = values;
    wrong[at] += 0.01;
    auto verdict = compare(e, bytes_of(dtype::float32, wrong), strict);
    CHECK(verdict.failed == 1);
    CHECK(verdict.first_failure.find("(" + std::to_string(at) + ")") != std::string::npos);
    auto part = compare_part(e, at, 1, std::span<const std::byte>(bytes_of(dtype::float32, {wrong[at]})), strict);
    CHECK_FALSE(part.agrees);
  }
}

TEST_CASE("one wrong integer among very many is found wherever it is, of any width") {
  for (const dtype type : {dtype::int64, dtype::int32, dtype::int8, dtype::boolean}) {
    CAPTURE(to_string(type));
    std::vector<std::int64_t> values(5000);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<std::int64_t>(i % 2);
    const expected_output e{integers({5000}, values, type), {}, 1, {}, 0};
    const auto bytes = [&](const std::vector<std::int64_t>& v) {
      std::vector<std::byte> out(v.size() * size_of(type));
      encode(type, std::span<const std::int64_t>(v), out.data());
      return out;
    };
    const auto right = compare(e, bytes(values), strict);
    CHECK(right.agrees);
    CHECK(right.compared == 5000);
    CHECK(right.max_absolute_error == 0);
    for (const std::size_t at : {0, 1, 2047, 2048, 4095, 4096, 4999}) {
      auto wrong = values;
      wrong[at] = 1 - wrong[at];
      const auto found = compare(e, bytes(wrong), strict);
      CHECK_FALSE(found.agrees);
      CHECK(found.failed == 1);
      CHECK(found.first_failure == "element [" + std::to_string(at) + "] (" + std::to_string(at) + "): found " + std::to_string(wrong[at]) + ", expected " + std::to_string(values[at]));
      CHECK(found.max_absolute_error == 1);
      CHECK(compare_part(e, at, 1, std::span<const std::byte>(bytes({wrong[at]})), strict).failed == 1);
      CHECK(compare_part(e, at, 1, std::span<const std::byte>(bytes({values[at]})), strict).agrees);
      CHECK(compare(e, bytes(wrong), tolerance{1, 1, 0.9998, false}).agrees); // the share that may differ
      CHECK_FALSE(compare(e, bytes(wrong), tolerance{1, 1, 0.9999, false}).agrees);
      CHECK_FALSE(compare(e, bytes(wrong), tolerance{1, 1, 0.5, true}).agrees); // not where it is to be bitwise
    }
  }
}

TEST_CASE("parts and tails of blocks are compared where they lie, in every type and bit by bit") {
  std::vector<double> values(5000);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<double>(i % 100) + 1;
  for (const dtype type : {dtype::float32, dtype::float16})
    for (const tolerance& allowed : {strict, tolerance{0, 0, 1, true}}) {
      const auto e = expecting(values, type);
      const auto whole = compare(e, bytes_of(type, values), allowed);
      CHECK(whole.agrees);
      CHECK(whole.compared == 5000);
      const auto part = compare_part(e, 150, 3, std::span<const std::byte>(bytes_of(type, {51, 52, 53})), allowed);
      CHECK(part.agrees);
      CHECK(part.compared == 3);
      CHECK(compare_part(e, 150, 3, std::span<const std::byte>(bytes_of(type, {51, 52, 54})), allowed).failed == 1);
    }
}

TEST_CASE("NaN must meet NaN and Inf an Inf of the same sign, whatever the matched ratio") {
  auto e = expecting({not_a_number, infinity, -infinity, 1});
  CHECK(compare(e, bytes_of(dtype::float32, {not_a_number, infinity, -infinity, 1}), strict).agrees);
  tolerance loose{1, 1, 0.1, false};
  for (auto wrong : std::vector<std::vector<double>>{
           {0, infinity, -infinity, 1}, {not_a_number, -infinity, -infinity, 1}, {not_a_number, infinity, 3e38, 1},
           {not_a_number, infinity, -infinity, infinity}})
    CHECK_FALSE(compare(e, bytes_of(dtype::float32, wrong), loose).agrees);
}

TEST_CASE("an expected value past the type's range counts as infinite") {
  CHECK(compare(expecting({1e39}), bytes_of(dtype::float32, {infinity}), strict).agrees);
  CHECK(compare(expecting({70000}, dtype::float16), bytes_of(dtype::float16, {infinity}), strict).agrees);
  CHECK_FALSE(compare(expecting({1e39}), bytes_of(dtype::float32, {3e38}), strict).agrees);
}

TEST_CASE("the matched ratio forgives the share that it says") {
  std::vector<double> zeros(100, 0), wrong(100, 0);
  wrong[3] = wrong[50] = 1;
  auto e = expecting(zeros);
  CHECK(compare(e, bytes_of(dtype::float32, wrong), {1e-4, 1e-4, 0.98, false}).agrees);
  CHECK_FALSE(compare(e, bytes_of(dtype::float32, wrong), {1e-4, 1e-4, 0.985, false}).agrees);
}

TEST_CASE("bitwise operators and integers must be equal") {
  CHECK_FALSE(compare(expecting({1}), bytes_of(dtype::float32, {1 + 0x1p-23}), {1, 1, 1, true}).agrees);
  CHECK(compare(expecting({0.1}), bytes_of(dtype::float32, {0.1}), {1, 1, 1, true}).agrees);
  expected_output e{integers({3}, {1, -5, 7}, dtype::int32), {}, 1, {}, 0};
  std::vector<std::byte> bytes(12);
  encode(dtype::int32, std::span<const std::int64_t>(e.exact.integers), bytes.data());
  CHECK(compare(e, bytes, strict).agrees);
  bytes[4] = std::byte{0};
  auto verdict = compare(e, bytes, strict);
  CHECK_FALSE(verdict.agrees);
  CHECK(verdict.first_failure.find("expected -5") != std::string::npos);
}

TEST_CASE("undetermined elements are left out and slack widens its own row only") {
  auto e = expecting({1, 1, 1, 1});
  e.undetermined = {0, 1, 0, 0};
  auto verdict = compare(e, bytes_of(dtype::float32, {1, 99, 1, 1}), strict);
  CHECK(verdict.agrees);
  CHECK(verdict.compared == 3);
  expected_output rows{reals({2, 2}, {1, 1, 1, 1}), {0.5, 0}, 2, {}, 0};
  CHECK(compare(rows, bytes_of(dtype::float32, {1.4, 1, 1, 1}), strict).agrees);
  CHECK_FALSE(compare(rows, bytes_of(dtype::float32, {1, 1, 1.4, 1}), strict).agrees);
}

TEST_CASE("bytes of another size are refused, not read") {
  auto verdict = compare(expecting({1, 2}), bytes_of(dtype::float32, {1}), strict);
  CHECK_FALSE(verdict.agrees);
  CHECK(verdict.first_failure.find("8") != std::string::npos);
}

TEST_CASE("numbers of every type survive writing and reading, and rounding is to nearest even") {
  for (auto type : {dtype::float64, dtype::float32, dtype::float16, dtype::bfloat16, dtype::float8_e5m2, dtype::float8_e4m3fn}) {
    CAPTURE(to_string(type));
    std::vector<double> values{0, 1, -1.5, 2, 0.25, -448, format_of(type).smallest_normal, format_of(type).smallest, format_of(type).largest};
    std::vector<double> back(values.size());
    decode(type, bytes_of(type, values), back.data());
    CHECK(back == values);
    double up = 1 + format_of(type).epsilon();
    CHECK(round_to(type, 1 + format_of(type).epsilon() / 2) == 1);
    CHECK(round_to(type, up + format_of(type).epsilon() / 2) == 1 + 2 * format_of(type).epsilon());
    CHECK(std::signbit(round_to(type, -0.0)));
  }
  std::vector<double> back(1);
  decode(dtype::float16, bytes_of(dtype::float16, {65520}), back.data());
  CHECK(back[0] == infinity);
  decode(dtype::bfloat16, bytes_of(dtype::bfloat16, {not_a_number}), back.data());
  CHECK(std::isnan(back[0]));
}

TEST_CASE("in a row that holds NaN more of it is honest, finite numbers and other rows are not excused") {
  expected_output expected;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  expected.exact = {dtype::float32, {2, 3}, {0, nan, 0, 1, 2, 3}, {}};
  const auto agrees = [&](std::vector<float> found, bool bitwise = false) {
    tolerance allowed;
    allowed.bitwise = bitwise;
    return compare(expected, std::as_bytes(std::span(found)), allowed).agrees;
  };
  const float n = std::numeric_limits<float>::quiet_NaN();
  CHECK(agrees({0, n, 0, 1, 2, 3}));
  CHECK(agrees({n, n, n, 1, 2, 3}));
  CHECK_FALSE(agrees({0, 0, 0, 1, 2, 3})); // finite where NaN is expected
  CHECK_FALSE(agrees({5, n, 0, 1, 2, 3}));
  CHECK_FALSE(agrees({n, n, n, n, 2, 3})); // another row
  CHECK_FALSE(agrees({n, n, n, 1, 2, 3}, true));
}
