// The interpreter against PyTorch in float64, operation by operation. Needs a Python with torch: KEVOLVE_PYTHON, else python3; without one
// it says so and does nothing. KEVOLVE_TORCH_CASES names a directory of cases made earlier.
#include "node-agent/oracle.hpp"
#include "protocol/trace_format.hpp"

#include <cmath>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

using namespace kevolve;
using agent::oracle_tensor;

namespace {

/// A tensor as the script wrote it: float64 for floating types, int64 for the others.
oracle_tensor read_tensor(const json& described) {
  oracle_tensor t;
  t.type = dtype_from_string(described["dtype"].get<std::string>()).value();
  t.shape = described["shape"].get<std::vector<std::int64_t>>();
  std::size_t count = 1;
  for (auto s : t.shape)
    count *= static_cast<std::size_t>(s);
  std::ifstream file(described["file"].get<std::string>(), std::ios::binary);
  auto fill = [&](auto& values) {
    values.resize(count);
    file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * 8));
  };
  if (is_floating(t.type))
    fill(t.reals);
  else
    fill(t.integers);
  return t;
}

bool close(double a, double b) {
  if (std::isnan(a) || std::isnan(b))
    return std::isnan(a) && std::isnan(b);
  return a == b || std::abs(a - b) <= 1e-9 + 1e-9 * std::abs(b);
}

/// Empty, or what differs first.
std::string difference(const oracle_tensor& found, const oracle_tensor& expected) {
  if (found.shape != expected.shape || found.reals.size() != expected.reals.size() || found.integers.size() != expected.integers.size())
    return "shape or kind differs";
  for (std::size_t i = 0; i < found.reals.size(); ++i)
    if (!close(found.reals[i], expected.reals[i]))
      return "element " + std::to_string(i) + ": found " + std::to_string(found.reals[i]) + ", PyTorch " + std::to_string(expected.reals[i]);
  for (std::size_t i = 0; i < found.integers.size(); ++i)
    if (found.integers[i] != expected.integers[i])
      return "element " + std::to_string(i) + ": found " + std::to_string(found.integers[i]) + ", PyTorch " +
             std::to_string(expected.integers[i]);
  return {};
}

std::string run_case(const json& c, std::set<std::string>& operations) {
  auto op = definition_from_json(c["definition"], c["definition"]["name"].get<std::string>());
  if (!op)
    return op.error().message;
  axis_binding given;
  for (const auto& [name, value] : c["axes"].items())
    given.emplace_back(name, value.get<std::int64_t>());
  auto axes = bind_axes(*op, given);
  if (!axes)
    return axes.error().message;
  if (!op->traced)
    return "no graph";
  for (const auto& node : op->traced->nodes)
    operations.insert(node.op);
  std::vector<oracle_tensor> inputs;
  for (const auto& in : c["inputs"])
    inputs.push_back(read_tensor(in));
  auto out = agent::interpret(*op->traced, *axes, inputs);
  if (!out)
    return out.error().message;
  if (out->size() != c["outputs"].size())
    return "number of outputs differs";
  for (std::size_t i = 0; i < out->size(); ++i)
    if (auto why = difference((*out)[i], read_tensor(c["outputs"][i])); !why.empty())
      return "output " + std::to_string(i) + ", " + why;
  return {};
}

/// The directory of cases, or why there is none.
std::filesystem::path make_cases(std::string& why_not) {
  if (const char* made = std::getenv("KEVOLVE_TORCH_CASES"))
    return made;
  const char* python = std::getenv("KEVOLVE_PYTHON");
  auto directory = std::filesystem::temp_directory_path() / ("kevolve-torch-cases-" + std::to_string(getpid()));
  std::filesystem::create_directories(directory);
  std::string command = "PYTHONDONTWRITEBYTECODE=1 '" + std::string(python ? python : "python3") + "' '" KEVOLVE_SOURCE_DIR
                        "/tests/node-agent/oracle_vs_torch.py' '" KEVOLVE_SOURCE_DIR "' '" + directory.string() + "' 2>/dev/null";
  int status = std::system(command.c_str());
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (code == 0)
    return directory;
  std::filesystem::remove_all(directory);
  why_not = code == 4 ? "no torch in this Python (set KEVOLVE_PYTHON)" : "";
  if (code == 127)
    why_not = "no Python";
  REQUIRE_MESSAGE(!why_not.empty(), "making the cases failed with exit code " << code);
  return {};
}

} // namespace

TEST_CASE("every operation agrees with PyTorch in float64") {
  std::string why_not;
  auto directory = make_cases(why_not);
  if (directory.empty()) {
    MESSAGE("skipped: " << why_not);
    return;
  }
  auto file = read_json(directory / "cases.json");
  REQUIRE(file);
  std::set<std::string> operations;
  for (const auto& refused : (*file)["refused"])
    FAIL_CHECK(refused["name"].get<std::string>() << " was not traced: " << refused["why"].get<std::string>());
  for (const auto& lacking : (*file)["lacking"])
    MESSAGE("not done by this PyTorch: " << lacking["name"].get<std::string>() << ": " << lacking["why"].get<std::string>());
  CHECK(10 * (*file)["lacking"].size() <= (*file)["cases"].size());
  for (const auto& c : (*file)["cases"]) {
    auto why = run_case(c, operations);
    CHECK_MESSAGE(why.empty(), c["definition"]["name"].get<std::string>() << ": " << why);
  }
  MESSAGE((*file)["cases"].size() << " cases of " << operations.size() << " operations compared with PyTorch "
                                  << (*file)["torch"].get<std::string>());
  if (!std::getenv("KEVOLVE_TORCH_CASES"))
    std::filesystem::remove_all(directory);
}
