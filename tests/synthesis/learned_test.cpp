// The learned policy: trees learn what there is to learn, the same from the same data; what they expect orders proposals, and their reasons say so.
#include "actors/synthesis/learned.hpp"
#include "tests/synthesis/cases.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace kevolve;
using namespace kevolve::synthesis;

namespace {

/// y = 2 where x0 > 0.5 and x1 > 0.5, else 0; x2 says nothing.
boosting_data both_count(std::size_t rows) {
  boosting_data data;
  rng draw(7);
  for (std::size_t i = 0; i < rows; ++i) {
    const float a = static_cast<float>(draw.uniform()), b = static_cast<float>(draw.uniform()), c = static_cast<float>(draw.uniform());
    data.rows.push_back({a, b, c});
    data.targets.push_back(a > 0.5f && b > 0.5f ? 2 : 0);
    data.weights.push_back(1);
  }
  return data;
}

std::unique_ptr<generator> writer_of(const std::string& name) {
  for (const auto& op : cases::all())
    if (op.name == name) {
      auto g = generator::make({op, {}}, target{}, "g++");
      REQUIRE(g);
      return std::move(*g);
    }
  FAIL("no case called ", name);
  return nullptr;
}

attempt parent_of(const generator& writer) {
  context root;
  root.parent = attempt{};
  root.parent->edge.kind = "root";
  attempt a;
  a.printed_from = writer.moves(root, rng(1)).front().first; // the first schedule by rules of thumb
  a.edge.kind = "analytic";
  a.diagnosed.limited_by = bound::memory;
  return a;
}

/// One stump: edges of this kind are expected to gain, all others to lose.
learned_policy fond_of(const std::string& verb) {
  const auto& names = proposal_features();
  const auto at = std::find(names.begin(), names.end(), "edit." + verb);
  REQUIRE(at != names.end());
  learned_policy p;
  p.temperature = 0.001;
  p.value.trees = {{{static_cast<std::int32_t>(at - names.begin()), 1, 0.5}, {-1, 0, -0.1}, {-1, 0, 0.2}}};
  return p;
}

} // namespace

TEST_CASE("boosted trees learn an interaction, and the same from the same data") {
  const auto data = both_count(2000);
  const auto model = boost(data);
  CHECK(model == boost(data));
  CHECK(model.predict({0.9f, 0.9f, 0.1f}) == doctest::Approx(2).epsilon(0.1));
  CHECK(std::abs(model.predict({0.9f, 0.1f, 0.9f})) < 0.15);
  CHECK(std::abs(model.predict({0.1f, 0.9f, 0.9f})) < 0.15);
}

TEST_CASE("rows count by their weight, and nothing to learn gives no trees") {
  boosting_data data{std::vector<std::vector<float>>(40, {1.f}), std::vector<double>(40, 1), std::vector<double>(40, 1)};
  for (std::size_t i = 0; i < 20; ++i)
    data.targets[i] = 0, data.weights[i] = 3;
  const auto flat = boost(data);
  CHECK(flat.trees.empty()); // the one feature never differs
  CHECK(flat.base == doctest::Approx(0.25));
  CHECK(boost({}).predict({1.f}) == 0);
}

TEST_CASE("trees that point outside of themselves are refused") {
  boosted_trees good;
  good.trees = {{{0, 1, 0.5}, {-1, 0, 1}, {-1, 0, 2}}};
  CHECK(check_trees(good, 1));
  for (const boosted_node bad : {boosted_node{0, 0, 0.5}, boosted_node{0, 2, 0.5}, boosted_node{1, 1, 0.5}, boosted_node{0, 1, NAN}}) {
    auto wrong = good;
    wrong.trees[0][0] = bad;
    CHECK(!check_trees(wrong, 1));
  }
}

TEST_CASE("a policy survives its bytes; others' bytes are errors") {
  const auto p = fond_of("unroll");
  const auto back = policy_from_bytes(to_bytes(p));
  REQUIRE(back);
  CHECK(*back == p);
  auto newer = p;
  newer.version = learned_policy::current + 1;
  const auto refused = policy_from_bytes(to_bytes(newer));
  REQUIRE(!refused);
  CHECK(refused.error().message.find("found version 2, expected 1") != std::string::npos);
  CHECK(!policy_from_bytes("not a policy"));
}

TEST_CASE("every proposal becomes a row of the features that are named") {
  const auto writer = writer_of("rms_norm");
  context given;
  given.parent = parent_of(*writer);
  const auto moves = writer->moves(given, rng(3));
  REQUIRE(moves.size() > 10);
  for (const auto& [to, edge] : moves) {
    const auto row = writer->describe(*given.parent, to, edge);
    CHECK(row.size() == proposal_features().size());
    CHECK(std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); }));
  }
}

TEST_CASE("what a policy expects comes first, history still counts, and the reason says who chose") {
  const auto writer = writer_of("rms_norm");
  context given;
  given.parent = parent_of(*writer);
  for (const std::string verb : {"unroll", "prefetch"}) {
    given.learned = std::make_shared<const learned_policy>(fond_of(verb));
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      const auto first = writer->moves(given, rng(seed)).front().second;
      CHECK(first.kind == verb);
      CHECK(first.reason.find("the learned policy expects 1.22x") != std::string::npos);
    }
  }
  auto soft = fond_of("unroll");
  soft.temperature = 10; // everything is as good as everything else: only what was tried here before counts less
  given.learned = std::make_shared<const learned_policy>(soft);
  const auto tried = writer->moves(given, rng(1)).front().second;
  int before = 0, after = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed)
    before += writer->moves(given, rng(seed)).front().second.summary == tried.summary;
  given.siblings.push_back({{}, tried, outcome::passed, 0.5, 0.5, {}});
  for (std::uint64_t seed = 1; seed <= 400; ++seed)
    after += writer->moves(given, rng(seed)).front().second.summary == tried.summary;
  CHECK(before > 0);
  CHECK(after < before);
}
