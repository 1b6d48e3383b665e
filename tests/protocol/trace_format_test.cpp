// Operators, workloads and solutions on disk: both dialects, what is kept, and what each mistake says.
#include "protocol/trace_format.hpp"

#include <cmath>
#include <cstdlib>
#include <doctest/doctest.h>
#include <fstream>

using namespace kevolve;
namespace fs = std::filesystem;

namespace {

struct folder {
  fs::path path;
  folder() {
    std::string pattern = (fs::temp_directory_path() / "kevolve-test-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~folder() { fs::remove_all(path); }
  fs::path write(const fs::path& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << text;
    return path / name;
  }
};

const std::string definition_text = R"({
  "name": "scale_h8", "op_type": "scale",
  "axes": {"M": {"type": "var", "description": "rows"}, "H": {"type": "const", "value": 8}},
  "inputs": {"x": {"shape": ["M", "H"], "dtype": "float32"}, "k": {"shape": null, "dtype": "float32"}, "a": {"shape": ["H"], "dtype": "bfloat16"}},
  "outputs": {"out": {"shape": ["M", "H"], "dtype": "float32"}},
  "reference": "def run(x, k, a):\n    return x * k * a\n",
  "tags": ["status:draft"], "description": "scales", "constraints": ["M > 0"],
  "x_kevolve": {
    "tolerance": {"atol": 0.001, "rtol": 0.002, "matched_ratio": 0.5, "bitwise": true},
    "distributions": {"x": {"uniform": [0, 1]}, "k": {"constant": 2.5}, "a": {"normal": [1.0, 0.1]}},
    "provenance": "by hand",
    "graph": {"version": 1,
      "inputs": [{"name": "x", "dtype": "float32", "shape": ["M", 8]}, {"name": "k", "dtype": "float32", "shape": []}, {"name": "a", "dtype": "bfloat16", "shape": [8]}],
      "nodes": [
        {"op": "aten.mul.Tensor", "args": {"self": {"v": "x"}, "other": {"v": "k"}}, "out": [{"name": "mul", "dtype": "float32", "shape": ["M", 8]}]},
        {"op": "test.all.kinds", "args": {"self": {"v": "mul"}, "e": {"e": "M*2"}, "n": -3, "r": 2.0, "f": {"f": "-Infinity"}, "b": true, "z": null,
          "s": "none", "t": {"dtype": "float16"}, "l": [1, {"v": "a"}, [null, 0.5]]}, "out": [{"name": "out", "dtype": "float32", "shape": ["M", 8]}, {"name": "", "dtype": "int64", "shape": []}]}],
      "outputs": ["out"]}
  }
})";

json parsed(const std::string& text) { return json::parse(text); }

std::string error_of(const json& value) {
  auto read = definition_from_json(value, "op.json");
  REQUIRE_FALSE(read);
  CHECK(read.error().code == errc::specification);
  return read.error().message;
}

json changed(const std::string& pointer, const json& value) {
  auto document = parsed(definition_text);
  document[json::json_pointer(pointer)] = value;
  return document;
}

void mentions(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) {
    CAPTURE(text);
    CAPTURE(part);
    CHECK(text.find(part) != std::string::npos);
  }
}

} // namespace

TEST_CASE("a definition keeps its calling order, whatever the alphabet says") {
  auto op = definition_from_json(parsed(definition_text), "op.json");
  REQUIRE(op);
  REQUIRE(op->inputs.size() == 3);
  CHECK(op->inputs[0].name == "x");
  CHECK(op->inputs[1].name == "k");
  CHECK(op->inputs[2].name == "a");
  CHECK(op->inputs[1].scalar);
  auto written = to_json(*op);
  CHECK(written["inputs"].begin().key() == "x");
  CHECK((--written["inputs"].end()).key() == "a");
}

TEST_CASE("a definition survives writing and reading again") {
  auto op = definition_from_json(parsed(definition_text), "op.json");
  REQUIRE(op);
  auto again = definition_from_json(json::parse(to_json(*op).dump()), "op.json");
  REQUIRE(again);
  CHECK(*again == *op);
  CHECK(op->tolerated == tolerance{0.001, 0.002, 0.5, true});
  CHECK(op->distributions.size() == 3);
  const auto& arguments = op->traced->nodes[1].arguments;
  CHECK(arguments[1].second.text == "M*2");
  CHECK(arguments[2].second.text == "-3");
  CHECK(std::isinf(arguments[4].second.real));
  CHECK(arguments[8].second.kind == argument_kind::type);
  CHECK(arguments[9].second.items[2].items[1].real == 0.5);
}

TEST_CASE("fields that nobody here knows are written back where they stood") {
  auto document = changed("/custom_inputs_entrypoint", "make_inputs");
  document["axes"]["M"]["origin"] = {1, 2};
  document["x_kevolve"]["future"] = {{"a", 1}};
  auto op = definition_from_json(document, "op.json");
  REQUIRE(op);
  auto written = to_json(*op);
  CHECK(written["custom_inputs_entrypoint"] == "make_inputs");
  CHECK(written["axes"]["M"]["origin"] == json({1, 2}));
  CHECK(written["x_kevolve"]["future"]["a"] == 1);
}

TEST_CASE("expression axes are read, checked and written back") {
  auto document = changed("/axes/T", {{"type", "expr"}, {"expression", "M*H"}});
  document["outputs"]["out"]["shape"] = {"T"};
  document.erase("x_kevolve");
  document.erase("op_type"); // optional in that dialect
  auto op = definition_from_json(document, "op.json");
  REQUIRE(op);
  auto axes = bind_axes(*op, {{"M", 3}});
  REQUIRE(axes);
  CHECK(find_axis(*axes, "T") == 24);
  CHECK(to_json(*op)["axes"]["T"]["expression"] == "M*H");
  document["axes"]["T"]["expression"] = "M*Q";
  mentions(error_of(document), {"op.json", "axes.T", "'Q'", "not declared"});
  document["axes"]["T"]["expression"] = "M*";
  mentions(error_of(document), {"axes.T.expression", "position 3"});
}

TEST_CASE("every mistake in a definition names file, field, what was found and what was expected") {
  mentions(error_of(changed("/inputs/x/dtype", "float31")), {"op.json", "inputs.x.dtype", "\"float31\"", "float32", "bfloat16"});
  mentions(error_of(changed("/inputs/x/shape", {"M", "Q"})), {"inputs.x.shape[1]", "'Q'", "not declared", "M, H"});
  mentions(error_of(changed("/inputs/x/shape", "M")), {"inputs.x.shape", "\"M\"", "a list"});
  mentions(error_of(changed("/axes/H/value", -4)), {"axes.H.value", "-4", "not negative"});
  mentions(error_of(changed("/axes/H/value", 1.5)), {"axes.H.value", "1.5", "an integer"});
  mentions(error_of(changed("/axes/H/value", 0)), {"size 0", "(H)", "at least 1"});
  mentions(error_of(changed("/axes/H/type", "dynamic")), {"axes.H.type", "\"dynamic\"", "const, var or expr"});
  mentions(error_of(changed("/name", 7)), {"'name'", "7", "a text"});
  mentions(error_of(changed("/name", "../x")), {"'name'", "letters"});
  mentions(error_of(changed("/inputs", json::array())), {"'inputs'", "a list", "an object"});
  mentions(error_of(changed("/reference", "x = 1")), {"'reference'", "run"});
  mentions(error_of(changed("/outputs", {{"x", {{"shape", {"M"}}, {"dtype", "float32"}}}})), {"outputs.x", "same name"});
  mentions(error_of(changed("/x_kevolve/distributions/x", {{"gamma", 1}})), {"x_kevolve.distributions.x", "normal"});
  mentions(error_of(changed("/x_kevolve/graph/nodes/0/args/self", {{"v", "nobody"}})), {"x_kevolve.graph", "nodes[0]", "'nobody'"});
  mentions(error_of(changed("/x_kevolve/graph/inputs/0/name", "y")), {"x_kevolve.graph"});
  for (const char* field : {"name", "axes", "inputs", "outputs", "reference"}) {
    auto document = parsed(definition_text);
    document.erase(field);
    mentions(error_of(document), {"op.json", field, "missing", "expected"});
  }
  auto document = parsed(definition_text);
  document["inputs"]["x"].erase("dtype");
  mentions(error_of(document), {"inputs.x", "'dtype' is missing"});
}

TEST_CASE("a shape past 2^63 elements is an error of the definition") {
  auto document = changed("/axes/H/value", std::int64_t{1} << 40);
  document["inputs"]["x"]["shape"] = {"H", "H"};
  mentions(error_of(document), {"op.json", "input 'x'", "2^63"});
}

TEST_CASE("malformed JSON is reported with line and column") {
  folder at;
  auto read = read_json(at.write("bad.json", "{\n  \"name\": \"x\",\n  \"axes\": }\n"));
  REQUIRE_FALSE(read);
  mentions(read.error().message, {"bad.json:3:11", "malformed JSON"});
  read = read_json(at.write("twice.json", "{\n  \"name\": 1,\n  \"name\": 2}\n"));
  REQUIRE_FALSE(read);
  mentions(read.error().message, {"twice.json:3:", "\"name\"", "twice"});
  read = read_json(at.write("tail.json", "{} x"));
  REQUIRE_FALSE(read);
  mentions(read.error().message, {"tail.json:1:4"});
  read = read_json(at.write("deep.json", std::string(100000, '[')));
  REQUIRE_FALSE(read);
  mentions(read.error().message, {"deep.json", "nested deeper"});
  read = read_json(at.write("empty.json", ""));
  REQUIRE_FALSE(read);
  read = read_json(at.path / "absent.json");
  REQUIRE_FALSE(read);
  mentions(read.error().message, {"absent.json", "no such file"});
  CHECK_FALSE(read_json(at.path));
}

TEST_CASE("workloads are read bare and wrapped, with the tolerance of either dialect") {
  auto bare = parsed(R"({"axes": {"M": 5}, "inputs": {"x": {"type": "random"}, "k": {"type": "scalar", "value": "Infinity"},
    "a": {"type": "safetensors", "path": "t.safetensors", "tensor_key": "a"}, "c": {"type": "custom"}}, "uuid": "u1",
    "tolerance": {"max_atol": 0.5, "max_error_cap": 3.0}, "x_kevolve": {"name": "five"}})");
  auto w = workload_from_json(bare, "w.jsonl:1");
  REQUIRE(w);
  CHECK(w->axes == axis_binding{{"M", 5}});
  CHECK(w->name == "five");
  CHECK(w->inputs[1].kind == input_kind::scalar);
  CHECK(std::isinf(w->inputs[1].value));
  CHECK(w->inputs[2].tensor_key == "a");
  CHECK(w->tolerated == tolerance{0.5, 0.01, 0.99, false});
  auto wrapped = to_json(*w, "scale_h8");
  CHECK(wrapped["definition"] == "scale_h8");
  CHECK(wrapped["solution"].is_null());
  CHECK(wrapped["workload"]["inputs"]["k"]["value"] == "Infinity");
  CHECK(wrapped["workload"]["tolerance"]["max_error_cap"] == 3.0);
  auto again = workload_from_json(json::parse(wrapped.dump()), "w.jsonl:1");
  REQUIRE(again);
  CHECK(*again == *w);
  for (int bad : {0, -1}) {
    bare["axes"]["M"] = bad;
    auto refused = workload_from_json(bare, "w.jsonl:1");
    REQUIRE_FALSE(refused);
    mentions(refused.error().message, {"w.jsonl:1", "axes.M", "at least 1"});
  }
}

TEST_CASE("a problem is a definition with the workloads found beside it, in its dataset or in itself") {
  const std::string line = R"({"definition": "scale_h8", "workload": {"axes": {"M": 2}, "inputs": {"x": {"type": "random"}}, "uuid": "a"}})";
  folder beside;
  beside.write("scale_h8.workloads.jsonl", line + "\n\n" + R"({"axes": {"M": 3}, "inputs": {}, "uuid": "b"})" + "\n");
  auto found = read_problem(beside.write("scale_h8.json", definition_text));
  REQUIRE(found);
  CHECK(found->workloads.size() == 2);
  folder dataset;
  dataset.write("workloads/scale/scale_h8.jsonl", line);
  found = read_problem(dataset.write("definitions/scale/scale_h8.json", definition_text));
  REQUIRE(found);
  CHECK(found->workloads.size() == 1);
  folder sol;
  sol.write("workload.jsonl", R"({"axes": {"M": 3}, "inputs": {}, "uuid": "b"})");
  sol.write("reference.py", "def run(x, k, a):\n    return x\n");
  auto without = parsed(definition_text);
  without.erase("reference");
  found = read_problem(sol.write("definition.json", without.dump()));
  REQUIRE(found);
  CHECK(found->op.reference.find("return x") != std::string::npos);
  folder nothing;
  found = read_problem(nothing.write("scale_h8.json", definition_text));
  REQUIRE_FALSE(found);
  mentions(found.error().message, {"no workloads", "scale_h8.workloads.jsonl"});
}

TEST_CASE("a workload that does not fit its definition is an error with file and line") {
  folder at;
  auto definition = at.write("scale_h8.json", definition_text);
  auto message = [&](const std::string& second) {
    at.write("scale_h8.workloads.jsonl", R"({"axes": {"M": 3}, "inputs": {}, "uuid": "b"})" + ("\n" + second));
    auto found = read_problem(definition);
    REQUIRE_FALSE(found);
    return found.error().message;
  };
  mentions(message(R"({"axes": {"Q": 3}, "inputs": {}, "uuid": "c"})"), {"workloads.jsonl:2", "'Q'", "M"});
  mentions(message(R"({"axes": {}, "inputs": {}, "uuid": "c"})"), {"workloads.jsonl:2", "'M'", "not bound"});
  mentions(message(R"({"axes": {"M": 3}, "inputs": {}, "uuid": "b"})"), {"workloads.jsonl:2", "twice"});
  mentions(message(R"({"axes": {"M": 9223372036854775807}, "inputs": {}, "uuid": "c"})"), {"workloads.jsonl:2", "2^63"});
  mentions(message(R"({"axes": {"M": 3}, "inputs": {"q": {"type": "random"}}, "uuid": "c"})"), {"workloads.jsonl:2", "inputs.q"});
  mentions(message(R"({"axes": {"M": 3)"), {"workloads.jsonl:2:", "malformed"});
  mentions(message(R"({"definition": "other", "workload": {"axes": {"M": 3}, "inputs": {}, "uuid": "c"}})"), {"workloads.jsonl:2", "other"});
}

TEST_CASE("a solution of either dialect becomes the same candidate") {
  auto flashinfer = parsed(R"({"name": "n", "definition": "scale_h8", "author": "person", "spec": {"language": "cpp", "target_hardware": ["cpu"],
    "entry_point": "kernel.cpp::kevolve_run"}, "sources": [{"path": "kernel.cpp", "content": "int x;"}]})");
  auto c = candidate_from_json(flashinfer, "s.json");
  REQUIRE(c);
  CHECK(c->id == candidate_hash(*c));
  auto sol = flashinfer;
  sol["spec"].erase("language");
  sol["spec"]["languages"] = {"cpp"};
  auto other = candidate_from_json(sol, "s.json");
  REQUIRE(other);
  CHECK(other->id == c->id);
  auto hip = flashinfer;
  hip["spec"]["language"] = "hip";
  REQUIRE(candidate_from_json(hip, "s.json"));
  CHECK(candidate_from_json(hip, "s.json")->build.language == "hip");
  c->build.flags = {"-O3", "-march=native"};
  c->printed_from = schedule{1, {{"vectorize", "hidden", {{"width", "16"}}}}};
  c->id = candidate_hash(*c);
  auto again = candidate_from_json(json::parse(to_json(*c, {"cpu"}).dump()), "s.json");
  REQUIRE(again);
  CHECK(*again == *c);
  auto forged = to_json(*c, {"cpu"});
  forged["sources"][0]["content"] = "int y;";
  auto refused = candidate_from_json(forged, "s.json");
  REQUIRE_FALSE(refused);
  mentions(refused.error().message, {"x_kevolve.candidate", "hash"});
}

TEST_CASE("a solution's paths stay inside, occur once and hold the entry point") {
  auto base = parsed(R"({"name": "n", "definition": "d", "author": "p", "spec": {"language": "cpp", "target_hardware": ["cpu"],
    "entry_point": "k.cpp::f"}, "sources": [{"path": "k.cpp", "content": ""}]})");
  for (const char* path : {"../k.cpp", "/etc/k.cpp", "a/../../k.cpp", ""}) {
    auto bad = base;
    bad["sources"][0]["path"] = path;
    auto refused = candidate_from_json(bad, "s.json");
    REQUIRE_FALSE(refused);
    mentions(refused.error().message, {"sources[0].path", "relative"});
  }
  auto twice = base;
  twice["sources"].push_back(twice["sources"][0]);
  CHECK_FALSE(candidate_from_json(twice, "s.json"));
  auto elsewhere = base;
  elsewhere["spec"]["entry_point"] = "other.cpp::f";
  CHECK_FALSE(candidate_from_json(elsewhere, "s.json"));
}

TEST_CASE("a trace has the format's vocabulary with ours beside it, and no number that JSON lacks") {
  auto op = definition_from_json(parsed(definition_text), "op.json");
  REQUIRE(op);
  workload w{.uuid = "u", .axes = {{"M", 2}}};
  evaluation e{.candidate = std::string(64, 'a'), .definition = "scale_h8", .result = outcome::passed};
  e.timings = {{.workload = "u", .latency_s = 0.002, .comparisons = {{.anchor = "eager", .ratio = 2.5, .anchor_s = 0.005}}}};
  e.correct.max_relative_error = std::nan("");
  auto trace = to_json(e, *op, w);
  CHECK(trace["evaluation"]["status"] == "PASSED");
  CHECK(trace["evaluation"]["correctness"]["max_relative_error"] == "NaN");
  CHECK(trace["evaluation"]["performance"]["latency_ms"] == doctest::Approx(2.0));
  CHECK(trace["evaluation"]["performance"]["speedup_factor"] == 2.5);
  CHECK(trace["x_kevolve"]["result"] == "passed");
  CHECK(trace["x_kevolve"].begin().key() == "candidate");
  e.result = outcome::quarantined;
  trace = to_json(e, *op, w);
  CHECK(trace["evaluation"]["status"] == "RUNTIME_ERROR");
  CHECK_FALSE(trace["evaluation"].contains("performance"));
  CHECK(trace["x_kevolve"]["result"] == "quarantined");
}

TEST_CASE("an operator is found by name, by family, or not at all with a guess") {
  folder at;
  for (const char* name : {"softmax_n32000", "softmax_n4096", "rms_norm_h8192", "rms_norm_backward_h4096"})
    at.write("ops/" + std::string(name) + ".json", "{}");
  auto found = find_operator("softmax_n32000", {at.path});
  REQUIRE(found);
  CHECK(found->others.empty());
  found = find_operator("softmax", {at.path / "none", at.path});
  REQUIRE(found);
  CHECK(found->file.stem() == "softmax_n4096"); // numbers compare as numbers
  CHECK(found->others == std::vector<std::string>{"softmax_n32000"});
  found = find_operator("rms_norm", {at.path});
  REQUIRE(found);
  CHECK(found->file.stem() == "rms_norm_h8192");
  CHECK(found->others == std::vector<std::string>{"rms_norm_backward_h4096"});
  found = find_operator("rms_nrom", {at.path});
  REQUIRE_FALSE(found);
  mentions(found.error().message, {"rms_nrom", "did you mean rms_norm_h8192?", "softmax_n4096"});
}

TEST_CASE("the operators that ship can be read, carry their graphs and at least two workloads") {
  const fs::path operators = fs::path(KEVOLVE_SOURCE_DIR) / "kb/operators";
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(operators))
    if (entry.path().extension() == ".json") {
      auto found = read_problem(entry.path());
      CAPTURE(entry.path());
      if (!found)
        FAIL(found.error().message);
      CHECK(found->op.name == entry.path().stem());
      CHECK(found->op.traced.has_value());
      CHECK(found->workloads.size() >= 2);
      auto again = definition_from_json(json::parse(to_json(found->op).dump()), "again");
      REQUIRE(again);
      CHECK(*again == found->op);
      ++seen;
    }
  CHECK(seen >= 5);
}
