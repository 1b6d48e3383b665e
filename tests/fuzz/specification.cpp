// Files that people write: definitions, workloads, solutions, schedules as JSON. What reads is written and read back the same.
#include "protocol/check.hpp"
#include "protocol/trace_format.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace kevolve::fuzz {

std::vector<std::string> seeds() {
  return {R"({"name":"add","op_type":"elementwise","axes":{"n":{"type":"var"}},"inputs":{"x":{"shape":["n"],"dtype":"float32"}},"outputs":{"y":{"shape":["n"],"dtype":"float32"}},"reference":"def run(x):\n  return x + x\n","constraints":["n > 0"]})",
          R"({"definition":"add","workload":{"uuid":"w","axes":{"n":64},"inputs":{"x":{"type":"random"}}}})",
          R"({"name":"s","definition":"add","author":"a","spec":{"language":"cpp","target_hardware":["cpu"],"entry_point":"kernel.cpp::kevolve_run","dependencies":[]},"sources":[{"path":"kernel.cpp","content":"int kevolve_run();"}]})",
          R"({"version":1,"steps":[{"verb":"vectorise","loop":"n","by":16},{"verb":"parallel","loop":"m","grain":4}]})",
          R"({"nodes":[{"op":"aten.add","inputs":["x","x"],"outputs":["y"]}]})", "[]", "{\"a\":1e999,\"b\":-0,\"c\":\"\\ud800\"}"};
}

void fuzz_bytes(std::string_view bytes) {
  if (bytes.size() > 65536)
    return;
  auto value = parse_json(bytes, "input.json");
  if (!value) {
    KEVOLVE_CHECK(value.error().message.find("input.json") != std::string::npos);
    return;
  }
  if (auto op = definition_from_json(*value, "input.json")) {
    auto again = definition_from_json(to_json(*op), "again.json");
    KEVOLVE_CHECK(again && to_json(*again) == to_json(*op));
  }
  (void)workload_from_json(*value, "input.json");
  if (auto c = candidate_from_json(*value, "input.json"))
    KEVOLVE_CHECK(c->id == candidate_hash(*c));
  if (auto s = schedule_from_json(*value, "input.json")) {
    auto again = schedule_from_json(to_json(*s), "again.json");
    KEVOLVE_CHECK(again && to_json(*again) == to_json(*s));
  }
  (void)graph_from_json(*value, "input.json");
  (void)problem_from_json(*value, "input.json");
}

} // namespace kevolve::fuzz
