// Tracing through the whole way: file, Python process, JSON, problem. Needs an interpreter with torch; says so visibly where there is none.
#include "node-agent/trace.hpp"

#include <cstdlib>
#include <doctest/doctest.h>
#include <fstream>

using namespace kevolve;
using namespace kevolve::agent;
namespace fs = std::filesystem;

namespace {

const fs::path root = KEVOLVE_SOURCE_DIR;

struct folder {
  fs::path path;
  folder() {
    std::string pattern = (fs::temp_directory_path() / "kevolve-trace-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~folder() { fs::remove_all(path); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path / name) << text;
    return path / name;
  }
};

trace_settings settings() { return {.tracer = root / "node-agent/python/trace.py"}; }

bool has_torch() {
  static const bool found = [] {
    const char* named = std::getenv("KEVOLVE_PYTHON");
    command ask{.arguments = {named ? named : "python3", "-c", "import torch"}, .environment = plain_environment()};
    auto end = run(ask);
    return end && end->good();
  }();
  return found;
}

#define NEEDS_TORCH()                                                                                                                \
  if (!has_torch()) {                                                                                                                \
    MESSAGE("skipped: no Python with torch (KEVOLVE_PYTHON names one)");                                                             \
    return;                                                                                                                          \
  }

std::string failure(const std::string& path, errc code, const std::string& scale = "") {
  auto traced = trace_specification(settings(), {path, scale});
  REQUIRE_FALSE(traced);
  CAPTURE(traced.error().message);
  CHECK(to_string(traced.error().code) == std::string(to_string(code)));
  return traced.error().message;
}

void mentions(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) {
    CAPTURE(text);
    CAPTURE(part);
    CHECK(text.find(part) != std::string::npos);
  }
}

const std::string linear = R"(import torch
import torch.nn as nn

batch_size = 16
features = 8192

class Model(nn.Module):
    """A layer."""
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, 5)

    def forward(self, x):
        return torch.relu(self.fc(x))

def get_inputs():
    return [torch.rand(batch_size, features)]

def get_init_inputs():
    return [features]
)";

} // namespace

TEST_CASE("a KernelBench problem becomes a problem with graph, captured parameters and one workload") {
  NEEDS_TORCH();
  folder at;
  auto traced = trace_specification(settings(), {at.write("7_linear.py", linear), "cpu"});
  if (!traced)
    FAIL(traced.error().message);
  const auto& op = traced->op;
  CHECK(op.name.rfind("kb_7_linear_", 0) == 0);
  REQUIRE(op.inputs.size() == 3);
  CHECK(op.inputs[0].name == "x");
  CHECK(op.inputs[1].name == "fc_weight");
  CHECK(op.inputs[2].name == "fc_bias");
  REQUIRE(op.traced);
  CHECK(op.traced->nodes.back().op == "aten.relu.default");
  CHECK(op.distributions[0] == distribution{"x", distribution_kind::uniform, 0, 1});
  CHECK(op.description == "A layer.");
  mentions(op.provenance, {"batch_size 16 -> 4", "features 8192 -> 1024", "training mode"});
  REQUIRE(traced->workloads.size() == 1);
  auto axes = bind_axes(op, traced->workloads[0].axes);
  REQUIRE(axes);
  CHECK(*bind_shape(op.inputs[0].shape, *axes) == std::vector<std::int64_t>{4, 1024});
}

TEST_CASE("a definition without a graph gets one; with a graph no Python is asked") {
  auto shipped = trace_specification({.python = "/nonexistent/python3"}, {root / "kb/operators/rms_norm_h4096.json", ""});
  REQUIRE(shipped);
  CHECK(shipped->op.traced);
  NEEDS_TORCH();
  folder at;
  at.write("double_up.workloads.jsonl", R"({"axes": {"M": 3}, "inputs": {}, "uuid": "a"})");
  auto path = at.write("double_up.json", R"({"name": "double_up", "op_type": "t", "axes": {"M": {"type": "var"}},
    "inputs": {"x": {"shape": ["M"], "dtype": "float32"}}, "outputs": {"out": {"shape": ["2*M"], "dtype": "float32"}},
    "reference": "import torch\ndef run(x):\n    print('noise on stdout')\n    return torch.cat([x, x * 2.0])\n"})");
  auto traced = trace_specification(settings(), {path, ""});
  if (!traced)
    FAIL(traced.error().message);
  REQUIRE(traced->op.traced);
  const auto& last = traced->op.traced->nodes.back();
  CHECK(last.op == "aten.cat.default");
  CHECK(last.outputs[0].shape == std::vector<std::string>{"M*2"});
  CHECK(traced->workloads.size() == 1);
}

TEST_CASE("what is wrong with a problem file is said with file and line") {
  folder at;
  mentions(failure((at.path / "absent.py").string(), errc::specification), {"absent.py", "no such file"});
  mentions(failure(at.write("x.txt", ""), errc::specification), {"x.txt", ".json", ".py"});
  NEEDS_TORCH();
  mentions(failure(at.write("syntax.py", "import torch\nclass Model(:\n"), errc::specification), {"syntax.py:2", "syntax"});
  mentions(failure(at.write("nothing.py", "x = 1\n"), errc::specification), {"nothing.py", "no Model"});
  mentions(failure(at.write("inputs.py", "import torch\nclass Model(torch.nn.Module): pass\n"), errc::specification), {"no get_inputs"});
  mentions(failure(at.write("raises.py", linear + "raise ValueError('boom')\n"), errc::specification), {"raises.py:21", "boom"});
  std::string branch = linear;
  branch.replace(branch.find("return torch.relu(self.fc(x))"), 29, "return x if x.sum() > 0 else -x");
  mentions(failure(at.write("branch.py", branch), errc::specification), {"branch.py:14", "_local_scalar_dense", "data"});
  mentions(failure(at.write("scale.py", linear), errc::specification, "huge"), {"--scale", "huge"});
}

TEST_CASE("a missing interpreter or torch is a matter of configuration") {
  folder at;
  auto path = at.write("linear.py", linear);
  auto missing = trace_specification({.python = "/nonexistent/python3", .tracer = settings().tracer}, {path, ""});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == errc::configuration);
  auto bare = find_command("python3");
  command ask{.arguments = {bare.string(), "-s", "-c", "import torch"}, .environment = plain_environment()};
  auto end = bare.empty() ? result<process_end>(process_end{}) : run(ask);
  if (bare.empty() || (end && end->good())) {
    MESSAGE("skipped in part: the system's Python is missing or has torch");
    return;
  }
  auto without = trace_specification({.python = bare, .tracer = settings().tracer}, {path, ""});
  REQUIRE_FALSE(without);
  CHECK(without.error().code == errc::configuration);
  mentions(without.error().message, {"torch"});
}

TEST_CASE("a problem that never ends is stopped") {
  NEEDS_TORCH();
  folder at;
  auto limited = settings();
  limited.limit_s = 6;
  auto traced = trace_specification(limited, {at.write("loop.py", linear + "while True: pass\n"), ""});
  REQUIRE_FALSE(traced);
  CHECK(traced.error().code == errc::timeout);
}
