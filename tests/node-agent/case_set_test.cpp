#include "node-agent/case_set.hpp"
#include "node-agent/channel.hpp"
#include "tests/node-agent/graph_builder.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <set>

using namespace kevolve;
using namespace kevolve::agent;
using namespace kevolve::test;

namespace {

/// y[M, 64] = x[M, 64] * 2 and z[M] = the rows' sums, M from the workloads.
problem doubled(std::vector<std::int64_t> rows = {100, 40}) {
  problem p;
  p.op.name = "doubled";
  p.op.axes = {{"M", axis_kind::variable, 0, {}, {}}, {"H", axis_kind::constant, 64, {}, {}}};
  p.op.inputs = {{"x", false, {"M", "H"}, dtype::float32, {}}};
  p.op.outputs = {{"y", false, {"M", "H"}, dtype::float32, {}}, {"z", false, {"M"}, dtype::float32, {}}};
  graph g;
  g.inputs = {{"x", dtype::float32, {"M", "H"}}};
  g.nodes = {{"aten.mul.Tensor", {{"self", of("x")}, {"other", number(2)}}, {{"y", dtype::float32, {"M", "H"}}}},
             {"aten.sum.dim_IntList", {{"self", of("x")}, {"dim", wholes({1})}, {"keepdim", flag(false)}}, {{"z", dtype::float32, {"M"}}}}};
  g.outputs = {"y", "z"};
  p.op.traced = g;
  for (const std::int64_t m : rows)
    p.workloads.push_back({"rows-" + std::to_string(m), {}, {{"M", m}}, {}, std::nullopt});
  return p;
}

std::unique_ptr<case_set> cases(const problem& p, std::uint64_t seed = 1) {
  auto made = case_set::make(p, seed);
  REQUIRE_MESSAGE(made, (made ? std::string() : made.error().message));
  return std::move(*made);
}

float* floats(buffer_set& set, std::size_t i = 0) { return reinterpret_cast<float*>(set.data(i)); }

/// As an honest kernel does.
void compute(test_case& c) {
  const std::size_t rows = static_cast<std::size_t>(c.outputs->layout(1).shape[0]);
  for (std::size_t i = 0; i < rows; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < 64; ++j) {
      const float x = floats(*c.inputs)[i * 64 + j];
      floats(*c.outputs)[i * 64 + j] = x * 2;
      sum += x;
    }
    floats(*c.outputs, 1)[i] = static_cast<float>(sum);
  }
}

test_case& ready(case_set& set, test_case& c) {
  REQUIRE(set.expect(c));
  compute(c);
  return c;
}

} // namespace

TEST_CASE("each workload has two input sets of other content in other memory, each case a slot of its own") {
  const auto p = doubled();
  auto set = cases(p);
  REQUIRE(set->workloads() == 2);
  CHECK(set->of(1).uuid == "rows-40");
  std::set<std::uint32_t> slots;
  std::size_t all = set->adversarial().size();
  for (std::size_t w = 0; w < 2; ++w) {
    auto& sets = set->timed(w);
    REQUIRE(sets.size() == 2);
    all += 2;
    for (test_case& c : sets) {
      ready(*set, c);
      CHECK(c.inputs->layout(0).shape == std::vector<std::int64_t>{p.workloads[w].axes[0].second, 64});
      CHECK(c.drawn.workload == p.workloads[w].uuid);
      CHECK(c.longest_reduction == 64);
      slots.insert(c.slot);
    }
    CHECK(std::memcmp(sets[0].inputs->data(0), sets[1].inputs->data(0), sets[0].inputs->layout(0).bytes()) != 0);
    CHECK(sets[0].inputs->data(0) != sets[1].inputs->data(0));
  }
  for (const test_case& c : set->adversarial()) {
    slots.insert(c.slot);
    CHECK(c.drawn.workload.empty());
  }
  CHECK(set->adversarial().size() > 5);
  CHECK(slots.size() == all);
  CHECK(*slots.begin() == 1);
  CHECK(*slots.rbegin() < channel::slots - 1); // the last one is for inputs never seen
}

TEST_CASE("cases take all slots that workloads leave but the last one") {
  std::vector<std::int64_t> rows;
  for (std::int64_t m = 1; m <= 126; ++m)
    rows.push_back(m);
  auto set = cases(doubled(rows));
  std::set<std::uint32_t> slots;
  for (std::size_t w = 0; w < set->workloads(); ++w)
    for (const test_case& c : set->timed(w))
      slots.insert(c.slot);
  CHECK(slots.size() == 252);
  for (const test_case& c : set->adversarial())
    slots.insert(c.slot);
  CHECK(slots.size() == channel::slots - 2); // from 1 on
  CHECK(*slots.rbegin() == channel::slots - 2);
}

TEST_CASE("very many workloads have one input set each, and too many are refused with their number") {
  std::vector<std::int64_t> rows(channel::slots - 2, 3);
  const auto p = doubled(rows);
  auto set = cases(p);
  std::set<std::uint32_t> slots;
  for (std::size_t w = 0; w < set->workloads(); ++w) {
    REQUIRE(set->timed(w).size() == 1);
    slots.insert(set->timed(w)[0].slot);
  }
  CHECK(slots.size() == channel::slots - 2);
  CHECK(*slots.rbegin() == channel::slots - 2);
  CHECK(set->adversarial().empty());
  rows.push_back(3);
  const auto more = case_set::make(doubled(rows), 1);
  REQUIRE(!more);
  CHECK(more.error().message.find("has 255 workloads; at most 254") != std::string::npos);
}

TEST_CASE("the seed decides the inputs") {
  auto one = cases(doubled(), 1), same = cases(doubled(), 1), other = cases(doubled(), 2);
  for (auto* set : {&one, &same, &other})
    REQUIRE((*set)->fill((*set)->timed(0)[0]));
  const auto bytes = [](const std::unique_ptr<case_set>& set) { return std::string(reinterpret_cast<const char*>(set->timed(0)[0].inputs->data(0)), 1000); };
  CHECK(bytes(one) == bytes(same));
  CHECK(bytes(one) != bytes(other));
}

TEST_CASE("workloads of more than a gigabyte of inputs get one input set") {
  CHECK(cases(doubled({4'000'000}))->timed(0).size() == 1);  // 1.024 GB
  CHECK(cases(doubled({3'900'000}))->timed(0).size() == 2);
}

TEST_CASE("a workload's own tolerance goes before the operator's, and its inputs are the workload's") {
  auto p = doubled({100});
  CHECK(cases(p)->timed(0)[0].tolerated == p.op.tolerated);
  p.workloads[0].tolerated = tolerance{0.5, 0.25, 1, false};
  auto set = cases(p);
  CHECK(set->timed(0)[0].tolerated == *p.workloads[0].tolerated);
  CHECK(set->adversarial()[0].tolerated == *p.workloads[0].tolerated);
  CHECK(set->timed(0)[0].given != nullptr);
  p.workloads.clear();
  CHECK(cases(p)->adversarial().size() > 5);
  CHECK(cases(p)->adversarial()[0].given == nullptr);
}

TEST_CASE("what cannot be judged is an error that says why") {
  auto p = doubled();
  p.op.traced.reset();
  auto made = case_set::make(p, 1);
  REQUIRE(!made);
  CHECK(made.error().message.find("'doubled' has no graph") != std::string::npos);
  p = doubled();
  p.workloads[1].axes.clear();
  made = case_set::make(p, 1);
  REQUIRE(!made);
  CHECK(made.error().message.find("workload 'rows-40'") != std::string::npos);
  p.workloads[1].name = "small";
  made = case_set::make(p, 1);
  REQUIRE(!made);
  CHECK(made.error().message.find("workload 'small'") != std::string::npos);
  auto set = cases(doubled({300'000'000})); // 77 GB
  const auto filled = set->fill(set->timed(0)[0]);
  REQUIRE(!filled);
  CHECK(filled.error().message.find("tensor 'x' has 76800000000 bytes") != std::string::npos);
}

TEST_CASE("what is drawn and expected is so once") {
  auto set = cases(doubled());
  test_case& c = ready(*set, set->timed(0)[0]);
  const unsigned char* memory = c.inputs->data(0);
  floats(*c.inputs)[0] = 12345;
  REQUIRE(set->expect(c));
  REQUIRE(set->fill(c));
  CHECK(c.inputs->data(0) == memory);
  CHECK(floats(*c.inputs)[0] == 12345);
}

TEST_CASE("what the oracle cannot compute is an error that names the case, and an odd size that it refuses is skipped") {
  auto p = doubled();
  p.op.traced->nodes[0].op = "aten.no_such_operation";
  auto set = cases(p);
  test_case& c = set->timed(0)[0];
  auto found = set->expect(c);
  REQUIRE(!found);
  CHECK(found.error().message.find(c.name) != std::string::npos);
  CHECK(found.error().message.find("aten.no_such_operation") != std::string::npos);
  CHECK_FALSE(c.skipped);
  auto unseen = set->unseen(0, 5);
  CHECK(!unseen);
  c.drawn.optional = true;
  CHECK(set->expect(c));
  CHECK(c.skipped);
  CHECK(c.expected.empty());
  CHECK(set->expect(c));
}

TEST_CASE("an honest kernel's outputs pass every case and a wrong element is named with its output") {
  auto set = cases(doubled());
  std::size_t compared = 0;
  for (auto* group : {&set->timed(0), &set->timed(1), &set->adversarial()})
    for (test_case& c : *group) {
      CAPTURE(c.name);
      REQUIRE(set->expect(c));
      if (c.skipped)
        continue;
      compute(c);
      CHECK(set->compare(c).result == outcome::passed);
      ++compared;
    }
  CHECK(compared > 8);
  test_case& c = set->timed(0)[1];
  CHECK(set->compare(c).max_absolute_error < 1e-3);
  floats(*c.outputs, 1)[7] += 1;
  const case_verdict v = set->compare(c);
  CHECK(v.result == outcome::incorrect_numerical);
  CHECK(v.detail.find("output z: 1 of 100 elements wrong; element [7] (7)") != std::string::npos);
  CHECK(v.max_absolute_error == doctest::Approx(1).epsilon(1e-3));
  CHECK(v.max_relative_error > 0);
  floats(*c.outputs)[64] += 1;
  CHECK(set->compare(c).detail.find("output y: 1 of 6400 elements wrong; element [1, 0] (64)") != std::string::npos); // the first is named
}

TEST_CASE("exchanging leaves the pointers and swaps all that belongs to the content") {
  auto set = cases(doubled());
  test_case &a = ready(*set, set->timed(0)[0]), &b = ready(*set, set->timed(0)[1]);
  a.name = "one", b.name = "other";
  const auto seed = a.drawn.seed, other_seed = b.drawn.seed;
  const auto* memory = a.inputs->data(0);
  const std::vector<float> before(floats(*a.inputs), floats(*a.inputs) + 6400), theirs(floats(*b.inputs), floats(*b.inputs) + 6400);
  const auto slot = a.slot;
  case_set::exchange(a, b);
  CHECK(a.inputs->data(0) == memory);
  CHECK(a.slot == slot);
  CHECK(std::equal(before.begin(), before.end(), floats(*b.inputs)));
  CHECK(std::equal(theirs.begin(), theirs.end(), floats(*a.inputs)));
  CHECK(a.name == "other");
  CHECK(b.name == "one");
  CHECK(a.drawn.seed == other_seed);
  CHECK(b.drawn.seed == seed);
  CHECK(set->compare(a).result == outcome::incorrect_numerical); // outputs of the content before
  compute(a);
  CHECK(set->compare(a).result == outcome::passed);
}

TEST_CASE("inputs never seen come in the last slot with what is expected of them, other ones each time") {
  auto set = cases(doubled());
  auto one = set->unseen(1, 77);
  REQUIRE(one);
  CHECK((*one)->slot == channel::slots - 1);
  CHECK((*one)->name.find("never seen") != std::string::npos);
  CHECK((*one)->drawn.workload == "rows-40");
  CHECK((*one)->drawn.seed == 77);
  const std::vector<float> first(floats(*(*one)->inputs), floats(*(*one)->inputs) + 64);
  compute(**one);
  CHECK(set->compare(**one).result == outcome::passed);
  auto other = set->unseen(1, 78);
  REQUIRE(other);
  CHECK_FALSE(std::equal(first.begin(), first.end(), floats(*(*other)->inputs)));
}

TEST_CASE("spots are rows of every output, all over it and never outside") {
  auto set = cases(doubled());
  test_case& c = ready(*set, set->timed(0)[0]);
  rng secret(5);
  std::set<std::size_t> rows[2];
  for (int i = 0; i < 200; ++i) {
    const auto spots = case_set::draw_spots(c, secret);
    std::size_t of_output[2] = {};
    for (const auto& s : spots) {
      REQUIRE(s.output < 2);
      ++of_output[s.output];
      rows[s.output].insert(s.row);
    }
    CHECK(of_output[0] == 8); // 8 rows of 64
    CHECK(of_output[1] == 1); // one row of 100
  }
  CHECK(rows[0].size() == 100);
  CHECK(*rows[0].rbegin() == 99);
  CHECK(*rows[1].begin() == 0);
  CHECK(*rows[1].rbegin() == 0);
}

TEST_CASE("a row of very many elements is one spot, and an output without elements none") {
  auto p = doubled({3});
  auto set = cases(p);
  test_case& c = ready(*set, set->timed(0)[0]);
  rng secret(6);
  CHECK(case_set::draw_spots(c, secret).size() == 3 + 1); // no more rows than there are
  const auto spots_of = [&](std::vector<std::int64_t> shape) {
    test_case odd;
    auto made = buffer_set::make({{dtype::float32, false, std::move(shape)}});
    REQUIRE(made);
    odd.outputs = std::move(*made);
    return case_set::draw_spots(odd, secret).size();
  };
  CHECK(spots_of({100, 2000}) == 4); // some 8192 elements
  CHECK(spots_of({100, 9000}) == 1);
  CHECK(spots_of({100, 0}) == 0);
  CHECK(spots_of({}) == 1);
}

TEST_CASE("poisoned spots are seen as unwritten when nobody writes them, and as wrong when somebody writes something else") {
  auto set = cases(doubled());
  test_case& c = ready(*set, set->timed(0)[0]);
  rng secret(7);
  for (int i = 0; i < 20; ++i) {
    const auto spots = case_set::draw_spots(c, secret);
    CHECK(set->inspect_spots(c, spots).result == outcome::passed);
    case_set::poison_spots(c, spots, secret);
    const case_verdict v = set->inspect_spots(c, spots);
    CHECK(v.result == outcome::reward_hack);
    CHECK(v.detail.find("output y, row " + std::to_string(spots[0].row)) != std::string::npos);
    CHECK(v.detail.find("left unwritten") != std::string::npos);
    compute(c);
    CHECK(set->inspect_spots(c, spots).result == outcome::passed);
    const auto& last = spots.back();
    REQUIRE(last.output == 1);
    floats(*c.outputs, 1)[99] += 1;
    const case_verdict wrong = set->inspect_spots(c, spots);
    CHECK(wrong.result == outcome::incorrect_numerical);
    CHECK(wrong.detail.find("output z, row 0: element [99]") != std::string::npos);
    CHECK(wrong.detail.find("unwritten") == std::string::npos);
    compute(c);
  }
}

TEST_CASE("one element left unwritten is seen wherever in its row it is") {
  auto set = cases(doubled());
  test_case& c = ready(*set, set->timed(0)[0]);
  for (const std::size_t at : {0, 1, 63}) {
    std::memset(c.outputs->data(0) + (5 * 64 + at) * 4, channel::poison_byte, 4);
    CHECK(set->inspect_spots(c, {{0, 5}}).result == outcome::reward_hack);
    compute(c);
  }
}

TEST_CASE("poison lies in the spots' rows alone, in up to sixteen elements of each") {
  auto set = cases(doubled());
  test_case& c = ready(*set, set->timed(0)[0]);
  rng secret(8);
  const std::vector<case_set::spot> spots{{0, 3}, {0, 99}, {1, 0}};
  case_set::poison_spots(c, spots, secret);
  std::size_t in_row[100] = {}, sums = 0;
  for (std::size_t i = 0; i < 6400; ++i)
    in_row[i / 64] += std::isnan(floats(*c.outputs)[i]);
  for (std::size_t i = 0; i < 100; ++i)
    sums += std::isnan(floats(*c.outputs, 1)[i]);
  for (std::size_t row = 0; row < 100; ++row) {
    if (row == 3 || row == 99) {
      CHECK(in_row[row] > 8); // some of sixteen draws meet
      CHECK(in_row[row] <= 16);
    } else {
      CHECK(in_row[row] == 0);
    }
  }
  CHECK(sums > 8);
  CHECK(sums <= 16);
}

TEST_CASE("rows that a harness poked are looked at: the last call's always, three more of a long sample") {
  auto set = cases(doubled());
  test_case& c = ready(*set, set->timed(0)[0]);
  const auto added = [&](std::uint64_t seed, std::uint32_t calls) {
    std::vector<case_set::spot> spots;
    case_set::add_poked(c, spots, seed, calls);
    return spots;
  };
  const auto place = [&](std::uint64_t seed, std::uint64_t call) { // channel.hpp
    const std::uint64_t where = channel::poked(seed, call);
    const std::size_t output = where % 2, elements = output ? 100 : 6400;
    return std::pair(output, (where >> 8) % elements / (output ? 100 : 64));
  };
  CHECK(added(0, 10).empty()); // nothing was poked
  for (std::uint64_t seed = 1; seed < 50; ++seed) {
    for (const auto& [calls, looked_at] : std::vector<std::pair<std::uint32_t, std::vector<std::uint64_t>>>{{1, {0}}, {3, {2, 2, 2}}, {4, {3, 2, 1, 0}}, {400, {399, 299, 199, 99}}}) {
      const auto spots = added(seed, calls);
      REQUIRE(spots.size() == looked_at.size());
      for (std::size_t i = 0; i < spots.size(); ++i)
        CHECK(std::pair(spots[i].output, spots[i].row) == place(seed, looked_at[i]));
    }
  }
}

TEST_CASE("a matched ratio is halved in a spot, where allowed failures may lie close together") {
  auto p = doubled({100});
  p.workloads[0].tolerated = tolerance{1e-4, 1e-4, 0.9, false};
  auto set = cases(p);
  test_case& c = ready(*set, set->timed(0)[0]);
  for (int i = 0; i < 34; ++i) // 53% wrong
    floats(*c.outputs)[i] += 1;
  CHECK(set->inspect_spots(c, {{0, 0}}).result == outcome::passed);
  floats(*c.outputs)[34] += 1;
  floats(*c.outputs)[35] += 1; // 56%
  CHECK(set->inspect_spots(c, {{0, 0}}).result == outcome::incorrect_numerical);
  CHECK(set->inspect_spots(c, {{0, 1}}).result == outcome::passed);
}
