// KernelBench files as SPEC: traced, optimised and verified in sizes that no vector width divides. Needs a Python with PyTorch.
#include "scheduler/child.hpp"

#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

using namespace kevolve::scheduler;

namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

bool imports_torch(const std::string& python) {
  auto child = background_child::start({"/usr/bin/env", python, "-c", "import torch"}, "/dev/null", "/dev/null");
  return child && child->wait_for(std::chrono::minutes(2)) == 0;
}

std::string python_with_torch() {
  const char* named = std::getenv("KEVOLVE_PYTHON");
  const std::string python = named ? named : "python3";
  return python != "none" && imports_torch(python) ? python : "";
}

} // namespace

TEST_CASE("a KernelBench file of each family is a SPEC, in odd sizes too") {
  const std::string python = python_with_torch();
  if (python.empty()) {
    MESSAGE("skipped: no Python with PyTorch; name one with KEVOLVE_PYTHON");
    return;
  }
  std::string name = (std::filesystem::temp_directory_path() / "kevolve-kernelbench-XXXXXX").string();
  const std::filesystem::path at = mkdtemp(name.data());
  for (const char* file : {"rms_norm_odd.py", "softmax_column.py", "matmul_bias_gelu_odd.py"}) {
    const std::string spec = std::string(KEVOLVE_SOURCE_DIR) + "/tests/system/kernelbench/" + file;
    auto child = background_child::start({KEVOLVE_EXECUTABLE, "optimize", spec, "--evaluations", "3", "--seed", "1", "--baselines", "none", "--python", python,
                                          "--data", (at / "data").string(), "--cache", (std::filesystem::temp_directory_path() / "kevolve-test-cache").string(),
                                          "--json"},
                                         (at / "stdout").string(), (at / "stderr").string());
    REQUIRE(child);
    const auto status = child->wait_for(std::chrono::minutes(5));
    INFO(file << ": " << text_of(at / "stderr"));
    CHECK(status == 0);
    const auto answer = nlohmann::json::parse(text_of(at / "stdout"));
    CHECK(answer["evaluations"] == 3);
    CHECK(answer["outcomes"]["passed"].get<int>() >= 1);
    CHECK(answer["best"]["verified"] == true);
  }
  std::error_code ignored;
  std::filesystem::remove_all(at, ignored);
}
