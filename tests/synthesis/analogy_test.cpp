// What won on one operator, said for another: nests are tuned as those that they are like, what does other work is left alone, and every step applies.
#include "actors/synthesis/analogy.hpp"
#include "actors/synthesis/lower.hpp"
#include "actors/synthesis/propose.hpp"
#include "actors/synthesis/schedule_edit.hpp"
#include "tests/synthesis/cases.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace kevolve;
using namespace kevolve::synthesis;

namespace {

problem problem_of(const std::string& name) {
  for (const auto& op : cases::all())
    if (op.name == name)
      return {op, {}};
  FAIL("no case called ", name);
  return {};
}

schedule first_of(const problem& subject) {
  const auto lowered = lower(subject.op);
  REQUIRE(lowered);
  return analytic_schedule(look_at(*lowered, subject, {}, "g++"));
}

plan plan_of(const problem& subject, const schedule& how) {
  const auto lowered = lower(subject.op);
  REQUIRE(lowered);
  return make_plan(*lowered, how, "g++");
}

/// The first schedule of `of`, tuned in a way that no rule of thumb has.
schedule tuned(const problem& of) {
  auto s = with(with(with(first_of(of), "unroll", "*", {{"factor", "8"}}), "accumulators", "*", {{"n", "2"}}), "prefetch", "*", {{"bytes", "16384"}});
  return with(with(s, "parallel", "*", {{"grain", "16"}}), "flag", "-funroll-loops");
}

} // namespace

TEST_CASE("a normalisation is tuned as another one that won, loops and tensors of other names") {
  const auto from = problem_of("layer_norm"), to = problem_of("rms_norm");
  const auto found = adapt(to, from, tuned(from), {}, "g++");
  REQUIRE(found);
  CHECK(found->unlikeness > 0);
  CHECK(found->unlikeness < 4);
  const auto how = plan_of(to, found->how);
  CHECK(how.skipped.empty());
  REQUIRE(!how.nests.empty());
  for (const auto& n : how.nests) {
    CHECK(n.unroll == 8);
    CHECK(n.accumulators == 2);
    CHECK(n.prefetch == 16384);
    CHECK(n.grain == 16);
  }
  CHECK(how.flags == std::vector<std::string>{"-funroll-loops"});
}

TEST_CASE("an operator is like itself, and what won on it stays as it was") {
  const auto subject = problem_of("layer_norm");
  const auto found = adapt(subject, subject, tuned(subject), {}, "g++");
  REQUIRE(found);
  CHECK(found->unlikeness == 0);
  const auto won = plan_of(subject, tuned(subject)), adapted = plan_of(subject, found->how);
  REQUIRE(adapted.nests.size() == won.nests.size());
  for (std::size_t i = 0; i < won.nests.size(); ++i) {
    CHECK(adapted.nests[i].unroll == won.nests[i].unroll);
    CHECK(adapted.nests[i].accumulators == won.nests[i].accumulators);
    CHECK(adapted.nests[i].prefetch == won.nests[i].prefetch);
    CHECK(adapted.nests[i].prefetch_rows == won.nests[i].prefetch_rows);
    CHECK(adapted.nests[i].grain == won.nests[i].grain);
  }
}

TEST_CASE("a product says nothing of how element-wise loops are tuned") {
  const auto to = problem_of("silu_and_mul"), from = problem_of("linear_gelu");
  auto won = tuned(from);
  won = without(without(won, "flag", "-funroll-loops"), "parallel", "*");
  const auto found = adapt(to, from, with(won, "parallel", "*"), {}, "g++");
  REQUIRE(found);
  CHECK(found->unlikeness >= 4);
  const auto first = plan_of(to, first_of(to)), adapted = plan_of(to, found->how);
  REQUIRE(adapted.nests.size() == first.nests.size());
  for (std::size_t i = 0; i < first.nests.size(); ++i) {
    CHECK(adapted.nests[i].unroll == first.nests[i].unroll);
    CHECK(adapted.nests[i].prefetch == first.nests[i].prefetch);
    CHECK(adapted.nests[i].grain == first.nests[i].grain);
  }
}

TEST_CASE("whatever won on whatever operator, every step of what is made of it applies") {
  const auto all = cases::all();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const problem to{all[i], {}}, from{all[(i * 7 + 3) % all.size()], {}};
    CAPTURE(to.op.name);
    CAPTURE(from.op.name);
    const auto found = adapt(to, from, tuned(from), {}, "g++");
    REQUIRE(found);
    CHECK(plan_of(to, found->how).skipped.empty());
  }
}
