// Recorded search spaces on disk: ours and kernel_tuner's, and what is said of files that are neither.
#include "scheduler/landscape_file.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::scheduler;

namespace {

class written_file {
public:
  explicit written_file(const std::string& content) {
    std::string name = (std::filesystem::temp_directory_path() / "kevolve-landscape-XXXXXX").string();
    const int descriptor = ::mkstemp(name.data());
    REQUIRE(descriptor >= 0);
    ::close(descriptor);
    path = name;
    std::ofstream(path) << content;
  }
  ~written_file() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  written_file(const written_file&) = delete;
  std::filesystem::path path;
};

settings from_the_sources() {
  settings s;
  s.operators = std::filesystem::path(KEVOLVE_SOURCE_DIR) / "kb" / "operators";
  return s;
}

std::string refusal(const std::string& content) {
  const written_file file(content);
  const auto read = read_landscape(file.path, from_the_sources());
  REQUIRE(!read);
  CHECK(read.error().message.find(file.path.string()) != std::string::npos);
  return read.error().message;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const std::string header = R"({"campaign":"landscape","operator":"rms_norm_h4096","workloads":["decode_256"],"target":"cpu/x86-64-v4/cpp","hardware":"somewhere","compiler":"g++"})";
const std::string root_line = R"json({"schedule":"","outcome":"passed","latency_s":[0.002],"bound":"latency","roofline_fraction":0.1})json";
const std::string fast_line = R"json({"schedule":"vectorize(*, width=16); parallel(*)","outcome":"passed","latency_s":[0.0005],"bound":"memory","roofline_fraction":0.4})json";
const std::string broken_line = R"json({"schedule":"unroll(*, factor=4)","outcome":"compile_error"})json";

const std::string kernel_tuner = R"({
"device_name": "Some GPU", "kernel_name": "vector_add", "problem_size": "1000", "tune_params_keys": ["block_size_x", "layout"],
"tune_params": {"block_size_x": [32, 64], "layout": ["rows", "columns"]}, "objective": "time",
"cache": {
"32,rows": {"block_size_x": 32, "layout": "rows", "time": "InvalidConfig"},
"32,columns": {"block_size_x": 32, "layout": "columns", "time": 2.5, "times": [2.5, 2.6]},
"64,rows": {"block_size_x": 64, "layout": "rows", "time": 1.25},
"64,columns": {"block_size_x": 64, "layout": "columns", "time": 1e20}
}}
)";

} // namespace

TEST_CASE("a point survives its line") {
  search::landscape_point p;
  p.how.steps = {{"vectorize", "*", {{"width", "8"}}}};
  p.latency_s = {1e-3, 2.5e-3};
  p.limited_by = bound::memory;
  p.roofline_fraction = 0.75;
  const auto again = point_of_line(to_line(p), 2);
  REQUIRE(again);
  CHECK(to_string(again->how) == to_string(p.how));
  CHECK(again->latency_s == p.latency_s);
  CHECK(again->limited_by == bound::memory);
  CHECK(again->roofline_fraction == 0.75);
  p.result = outcome::incorrect_numerical;
  p.latency_s.clear();
  CHECK(point_of_line(to_line(p), 2)->result == outcome::incorrect_numerical);
}

TEST_CASE("a landscape of ours is read with the operator's own proposals; a torn last line is left out") {
  const written_file file(header + "\n" + root_line + "\n" + fast_line + "\n" + broken_line + "\n" + fast_line.substr(0, 40));
  const auto read = read_landscape(file.path, from_the_sources());
  REQUIRE_MESSAGE(read, (read ? std::string() : read.error().message));
  CHECK((*read)->land.points().size() == 3);
  CHECK((*read)->land.best_log_speed() == doctest::Approx(std::log(4)));
  REQUIRE((*read)->writer);
  CHECK(!(*read)->proposals()({}, rng(1)).empty());
}

TEST_CASE("a kernel_tuner cache is read, finished or not; what failed there is a failure here") {
  for (const std::string& content : {kernel_tuner, kernel_tuner.substr(0, kernel_tuner.rfind("\n}}")) + ","}) {
    const written_file file(content);
    const auto read = read_landscape(file.path, {});
    REQUIRE_MESSAGE(read, (read ? std::string() : read.error().message));
    const auto& land = (*read)->land;
    CHECK(land.name() == "vector_add");
    CHECK(land.points().size() == 4);
    CHECK(land.best_log_speed() == doctest::Approx(std::log(2)));
    CHECK(land.points()[0].latency_s.at(0) == doctest::Approx(2.5e-3));
    CHECK(land.points()[1].result == outcome::runtime_error);
    search::replay_settings how;
    how.evaluations = 10;
    CHECK(search::replay(land, (*read)->proposals(), how).best.back() == doctest::Approx(std::log(2)));
  }
}

TEST_CASE("what is no landscape is refused by file, field, found and expected") {
  CHECK(has(refusal("not JSON"), "no JSON"));
  CHECK(has(refusal("{}"), "tune_params_keys"));
  CHECK(has(refusal(R"({"tune_params_keys": ["x"], "cache": {"1": {"time": 1}}})"), "cache, \"1\", x"));
  CHECK(has(refusal(R"({"tune_params_keys": ["x"], "cache": {"1": {"x": 1, "time": 1}}})"), "at least 3"));
  CHECK(has(refusal(header + "\n" + root_line + "\n"), "at least 3"));
  CHECK(has(refusal(header + "\n" + broken_line + "\n"), "a root that passed"));
  CHECK(has(refusal(header + "\n{\"schedule\": \"\", \"outcome\": \"good\"}\n\n"), "outcome: found \"good\""));
  CHECK(has(refusal(header + "\n{\"schedule\": \"\", \"outcome\": \"passed\", \"latency_s\": [1, 2]}\n\n"), "latency_s: found [1,2], expected 1 numbers"));
  CHECK(has(refusal(header + "\n{\"schedule\": \"vectorize\", \"outcome\": \"passed\"}\n\n"), "schedule: found"));
  CHECK(!read_landscape("/nowhere/at/all", {}));
}
