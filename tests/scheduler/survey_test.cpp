#include "scheduler/survey.hpp"

#include <doctest/doctest.h>

using namespace kevolve::scheduler;
using object = nlohmann::ordered_json;

namespace {

object answer_of(double eager, double compile) {
  return {{"session", "s"}, {"evaluations", 7}, {"wall_s", 3.5}, {"stopped_by", "time"}, {"tags", {"lint:constant_output"}},
          {"missing", object::array()},
          {"best", {{"verified", true}, {"latency_s", 1e-3}, {"roofline_fraction", 0.5}, {"bound", "memory"},
                    {"baselines", {{"eager", {{"speedup", eager}, {"speedup_ci", {eager * 0.9, eager * 1.1}}}},
                                   {"compile", {{"speedup", compile}, {"speedup_ci", {compile * 0.9, compile * 1.1}}}}}}}}};
}

} // namespace

TEST_CASE("a survey counts a problem as correct only with a verified leader, and says why another failed") {
  const surveyed what{"1_A", "level 1", "1_A.py"};
  const auto good = survey_row(what, 0, answer_of(4, 0.5), "");
  CHECK(good["correct"] == true);
  CHECK(good["eager"]["speedup"] == 4);
  REQUIRE(good["notes"].size() == 1);
  CHECK(good["notes"][0] == "its output is constant: a weak test");
  const auto refused = survey_row({"2_B", "level 1", ""}, 5, {{"error", {{"message", "the generator does not know aten.lstm.input"}}}}, "last words");
  CHECK(refused["correct"] == false);
  CHECK(refused["notes"][0] == "the generator does not know aten.lstm.input");
  const auto silent = survey_row({"3_C", "level 2", ""}, 139, object(), "");
  CHECK(silent["notes"][0] == "ended with exit code 139");

  const auto summary = survey_summary({good, survey_row({"4_D", "level 2", ""}, 0, answer_of(1, 1.5), ""), refused, silent});
  CHECK(summary["problems"] == 4);
  CHECK(summary["correct"] == 2);
  CHECK(summary["eager"]["geomean"].get<double>() == doctest::Approx(2));
  CHECK(summary["eager"]["fast_0"] == 0.5);
  CHECK(summary["eager"]["fast_1"] == 0.25); // exactly 1 is not faster
  CHECK(summary["eager"]["fast_2"] == 0.25);
  CHECK(summary["compile"]["fast_1"] == 0.25);
  const auto text = survey_table({good, refused}, style{});
  CHECK(text.find("1_A") != std::string::npos);
  CHECK(text.find("4.00x") != std::string::npos);
  CHECK(text.find("aten.lstm.input") != std::string::npos);
}
