// The vector forms of elementary functions against double, over all exponents and signs: the bounds that printed kernels state.
#include "actors/synthesis/generator.hpp"
#include "actors/synthesis/schedule_text.hpp"
#include "tests/synthesis/cases.hpp"
#include "tests/synthesis/workbench.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

using namespace kevolve;

namespace {

struct bound_of {
  const char* op;
  const char* schedule;
  double (*exact)(double);
  double relative, absolute; // an element passes with either
};

double exact_rsqrt(double x) { return 1 / std::sqrt(x); }

/// Every 4001st bit pattern: all exponents, both signs, subnormal numbers, infinities and NaN.
std::vector<float> patterns() {
  std::vector<float> out;
  for (std::uint64_t bits = 0; bits < (1ull << 32); bits += 4001) {
    const auto u = static_cast<std::uint32_t>(bits);
    float f;
    std::memcpy(&f, &u, 4);
    out.push_back(f);
  }
  for (float x = -110; x < 100; x += 0.00037f)
    out.push_back(x);
  while (out.size() % 16 != 0)
    out.push_back(1);
  return out;
}

} // namespace

TEST_CASE("elementary functions keep the error that printed kernels state") {
  const bound_of all[] = {
    {"exp", "vectorize(*)", std::exp, 2e-7, 1.5e-45},
    {"exp", "vectorize(*); approximate(exp)", std::exp, 3e-6, 1.2e-38},
    {"exp", "vectorize(*, width=8)", std::exp, 2e-7, 1.5e-45},
    {"log", "vectorize(*)", std::log, 2e-7, 1e-7},
    {"log1p", "vectorize(*)", std::log1p, 1e-6, 1e-44},
    {"expm1", "vectorize(*)", std::expm1, 2e-6, 1e-44},
    {"tanh", "vectorize(*)", std::tanh, 5e-7, 1e-44},
    {"erf", "vectorize(*)", std::erf, 0, 4e-7},
    {"rsqrt", "vectorize(*)", exact_rsqrt, 3e-7, 0},
    {"sqrt", "vectorize(*)", std::sqrt, 1e-7, 0},
  };
  const auto inputs = patterns();
  for (const auto& f : all) {
    cases::builder b(std::string("function_") + f.op);
    b.input("x", {"A", "B"});
    b.output(b.op(std::string("aten.") + f.op + ".default", {{"self", cases::tensor("x")}}, {"A", "B"}));
    const auto op = b.done();
    auto g = synthesis::generator::make({op, {}}, target{}, "g++");
    REQUIRE(g);
    const auto p = (*g)->print(*synthesis::schedule_from_text(f.schedule), {});
    std::string log;
    const auto k = workbench::compile({p->what}, log);
    REQUIRE_MESSAGE(!k.empty(), log);
    std::vector<workbench::bytes> in(1, workbench::bytes(inputs.size() * 4)), out;
    std::memcpy(in[0].data(), inputs.data(), in[0].size());
    REQUIRE(k[0].run(op, *bind_axes(op, {{"A", 1}, {"B", static_cast<std::int64_t>(inputs.size())}}), in, out) == 0);
    int wrong = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      float found;
      std::memcpy(&found, out[0].data() + 4 * i, 4);
      const double exact = f.exact(inputs[i]);
      const bool overflow = std::isinf(found) && std::abs(exact) > 3.4028e38 && std::signbit(found) == std::signbit(exact);
      const bool ok = std::isnan(exact) ? std::isnan(found) : found == exact || overflow || std::abs(found - exact) <= f.absolute || std::abs(found - exact) <= f.relative * std::abs(exact);
      if (!ok && ++wrong <= 3)
        MESSAGE(std::string(f.op), " (", std::string(f.schedule), ") of ", inputs[i], ": found ", found, ", exact ", exact);
    }
    CHECK_MESSAGE(wrong == 0, std::string(f.op), " under ", std::string(f.schedule));
  }
}
