// What a policy is judged by, how it is kept, who is given it; and what cold and warm searches come to.
#include "scheduler/compounding.hpp"
#include "scheduler/held_out.hpp"
#include "scheduler/policy_file.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

using namespace kevolve;
using namespace kevolve::scheduler;

namespace {

constexpr double never = std::numeric_limits<double>::infinity();

struct folder {
  std::filesystem::path at;
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "kevolve-train-XXXXXX").string();
    at = mkdtemp(name.data());
  }
  ~folder() {
    std::error_code ignored;
    std::filesystem::remove_all(at, ignored);
  }
};

kept_policy some_policy(double leaf, std::int64_t at_ms) {
  kept_policy p;
  p.policy.value.trees = {{{0, 1, 0.5}, {-1, 0, leaf}, {-1, 0, 2}}};
  p.id = policy_id(p.policy);
  p.at_ms = at_ms;
  p.hardware = {"this-host"};
  return p;
}

held_out_row row(const std::string& name, std::vector<double> rules, std::vector<double> learned) { return {name, 100, std::move(rules), std::move(learned)}; }

} // namespace

TEST_CASE("families of which one's name contains the other's are kept together") {
  CHECK(are_related("rms_norm_h4096", "rms_norm_h8192"));
  CHECK(are_related("rms_norm_h4096", "fused_add_rms_norm_h4096"));
  CHECK(are_related("softmax_backward_n4096", "softmax_n32000"));
  CHECK(!are_related("layer_norm_h1024", "rms_norm_h4096"));
}

TEST_CASE("a policy beats the rules by 0.7 and surely, or not at all; runs that never got there count the budget") {
  held_out_result half;
  for (int i = 0; i < 6; ++i)
    half.rows.push_back(row("a", {20, 20, 20, 20, 20, 20}, {10, 10, 10, 10, 10, 10}));
  judge(half, 60);
  CHECK(half.ratio == doctest::Approx(0.5));
  CHECK(half.beats_rules());
  auto failing = half;
  for (auto& r : failing.rows)
    r.learned = {10, never, 10, never, 10, never};
  judge(failing, 60);
  CHECK(failing.ratio == doctest::Approx(35.0 / 20));
  CHECK(!failing.beats_rules());
  auto slight = half;
  for (auto& r : slight.rows)
    r.learned = {15, 15, 15, 15, 15, 15};
  judge(slight, 60);
  CHECK(slight.ratio_ci95.high < 1);
  CHECK(!slight.beats_rules()); // surely better, and not by enough
  held_out_result lucky;
  lucky.rows = {row("a", {60, 60, 60}, {2, 2, 2}), row("b", {10, 10, 10}, {12, 12, 12}), row("c", {10, 10, 10}, {12, 12, 12})};
  judge(lucky, 60);
  CHECK(lucky.ratio < good_enough);
  CHECK(!lucky.beats_rules()); // one operator did it all
  CHECK(!held_out_result{}.beats_rules());
}

TEST_CASE("a policy is kept whole, the newest counts, and only a winner is used by default") {
  const folder data;
  std::string remark;
  CHECK(!*newest_policy(data.at));
  CHECK(policy_for_session(data.at, "on", "this-host", remark).empty());
  auto loser = some_policy(1, 1000), winner = some_policy(3, 2000);
  winner.beats_rules = true;
  REQUIRE(keep_policy(data.at, loser));
  CHECK(policy_for_session(data.at, "auto", "this-host", remark).empty());
  CHECK(policy_for_session(data.at, "on", "this-host", remark) == synthesis::to_bytes(loser.policy));
  REQUIRE(keep_policy(data.at, winner));
  const auto newest = newest_policy(data.at);
  REQUIRE(newest);
  CHECK((*newest)->policy == winner.policy);
  CHECK((*newest)->id == winner.id);
  CHECK(policy_for_session(data.at, "auto", "this-host", remark) == synthesis::to_bytes(winner.policy));
  CHECK(policy_for_session(data.at, "auto", "another-host", remark).empty());
  CHECK(policy_for_session(data.at, "off", "this-host", remark).empty());
  CHECK(remark.empty());
  const folder snapshot;
  REQUIRE(copy_policies(data.at, snapshot.at));
  CHECK((*newest_policy(snapshot.at))->id == winner.id);
}

TEST_CASE("a damaged policy is named and nobody is given it") {
  const folder data;
  auto text = to_json(some_policy(1, 1000));
  text["policy"]["trees"][0][0][1] = 7;
  std::filesystem::create_directories(data.at / "policies");
  std::ofstream(data.at / "policies" / "0000000001000-x.json") << text.dump();
  std::string remark;
  CHECK(policy_for_session(data.at, "on", "this-host", remark).empty());
  CHECK(remark.find("0000000001000-x.json") != std::string::npos);
  CHECK(remark.find("points outside") != std::string::npos);
  text["policy"].erase("trees");
  const auto refused = policy_of_json(text);
  REQUIRE(!refused);
  CHECK(refused.error().message.find("policy.trees: found nothing") != std::string::npos);
}

TEST_CASE("what a search believed of its leaders gives way to what they come to side by side") {
  const course believed{{1, 2, 3, 3.5}, {1, 1, 2, 2}, {"", "a", "b", "c"}};
  const auto again = measured_again(believed, {{"a", 0.97}, {"b", 0.9}, {"c", 1.0}});
  CHECK(again.best == std::vector<double>{0, 0.97, 0.9, 1.0}); // the root is no gain; a leader may have been luck
  CHECK(again.strategies == believed.strategies);
  CHECK(again.needed(0.95) == 2);
  CHECK(measured_again(believed, {}).best == std::vector<double>(4, 0));
}

TEST_CASE("cold and warm searches are compared at the cold one's best and at equal numbers of evaluations") {
  compounding_runs runs{"a", {}, {}};
  runs.cold = {{{1, 1, 2, 3, 4, 4}, {1, 1, 2, 3, 4, 5}}, {{1, 2, 4}, {1, 2, 3}}};
  runs.warm = {{{1, 3.9, 4.1}, {1, 2, 2}}, {{1, 2, 2, 2}, {1, 1, 1, 1}}};
  const auto all = compounding_summary({runs});
  const auto& row = all["operators"][0];
  CHECK(row["runs"] == 2);
  CHECK(row["never"] == 1);          // the second warm run stayed at half of what the cold one found
  CHECK(row["a_fifth_or_five"] == 1);
  CHECK(row["cold_evaluations"].get<double>() == doctest::Approx(std::sqrt(5.0 * 3.0)));
  CHECK(row["warm_evaluations"].get<double>() == doctest::Approx(std::sqrt(2.0 * 4.0)));
  CHECK(row["best_ratio"]["value"].get<double>() == doctest::Approx(std::sqrt(4.1 / 4 * 0.5)));
  CHECK(row["strategies_ratio"]["value"].get<double>() == doctest::Approx(std::sqrt(2.0 / 2 * 1.0 / 3)));
  CHECK(compounding_table(all, {}).find("published") != std::string::npos);
  CHECK(compounding_summary({})["all"].is_null());
  const auto back = course_of_json(to_json(runs.cold[0]));
  CHECK(back.best == runs.cold[0].best);
  CHECK(back.strategies == runs.cold[0].strategies);
  CHECK(course_of_json(to_json({{1}, {1}, {"abc"}})).leaders == std::vector<candidate_id>{"abc"});
}
