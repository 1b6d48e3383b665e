// The kevolve executable as a person meets it when something is wrong: a clear message on stderr and the contract's exit code, nothing lost.
#include "scheduler/child.hpp"

#include <doctest/doctest.h>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <sys/file.h>
#include <unistd.h>

using namespace kevolve::scheduler;

namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

struct ended {
  int status = -1;
  std::string out;
  std::string err;
};

/// A folder of its own: data, cache, home and the files that a test writes.
struct place {
  std::filesystem::path at;
  place() {
    std::string name = (std::filesystem::temp_directory_path() / "kevolve-command-XXXXXX").string();
    at = mkdtemp(name.data());
  }
  ~place() {
    std::error_code ignored;
    std::filesystem::permissions(at / "data", std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(at, ignored);
  }
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(at / name) << content;
    return (at / name).string();
  }
  /// `env`: KEY=VALUE before the command.
  [[nodiscard]] ended run(std::vector<std::string> arguments, const std::vector<std::string>& env = {}) const {
    std::vector<std::string> line{"/usr/bin/env", "HOME=" + at.string(), "KEVOLVE_DATA=" + (at / "data").string(), "KEVOLVE_CACHE=" + (at / "cache").string(),
                                  "KEVOLVE_PYTHON=none"};
    line.insert(line.end(), env.begin(), env.end());
    line.emplace_back(KEVOLVE_EXECUTABLE);
    line.insert(line.end(), arguments.begin(), arguments.end());
    auto child = background_child::start(line, (at / "stdout").string(), (at / "stderr").string());
    REQUIRE(child);
    const auto status = child->wait_for(std::chrono::minutes(3));
    REQUIRE(status);
    return {*status, text_of(at / "stdout"), text_of(at / "stderr")};
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string definition(const std::string& hidden) {
  return R"({"name": "strange", "op_type": "strange", "axes": {"M": {"type": "var"}, "H": {"type": "const", "value": )" + hidden +
         R"(}}, "inputs": {"x": {"shape": ["M", "H"], "dtype": "float32"}}, "outputs": {"y": {"shape": ["M", "H"], "dtype": "float32"}},
  "reference": "def run(x):\n    return x\n", "x_kevolve": {"workloads": [{"uuid": "u1", "axes": {"M": 4}, "inputs": {"x": {"type": "random"}}}]}})";
}

} // namespace

TEST_CASE("a SPEC that is missing or malformed is a usage error that names it") {
  place p;
  auto missing = p.run({"optimize", "./nowhere.json"});
  CHECK(missing.status == 2);
  CHECK(has(missing.err, "./nowhere.json: no such file"));
  auto unknown = p.run({"optimize", "no_such_operator"});
  CHECK(unknown.status == 2);
  CHECK(has(unknown.err, "no_such_operator"));
  CHECK(has(unknown.err, "rms_norm_h4096"));
  auto python = p.run({"optimize", "nowhere.py"});
  CHECK(python.status == 2);
  const std::string broken = p.write("broken.json", "{\"name\": ");
  auto malformed = p.run({"optimize", broken});
  CHECK(malformed.status == 2);
  CHECK(has(malformed.err, broken));
  const std::string incomplete = p.write("incomplete.json", "{\"name\": \"x\"}");
  auto fields = p.run({"optimize", incomplete});
  CHECK(fields.status == 2);
  CHECK(has(fields.err, incomplete));
}

TEST_CASE("a .py SPEC without Python is a configuration error that says what is needed") {
  place p;
  auto r = p.run({"optimize", p.write("problem.py", "class Model: pass\n")});
  CHECK(r.status == 4);
  CHECK(has(r.err, "PyTorch"));
}

TEST_CASE("a Definition without its graph needs PyTorch and says so") {
  place p;
  auto r = p.run({"optimize", p.write("nograph.json", definition("64"))});
  CHECK(r.status == 4);
  CHECK(has(r.err, "x_kevolve.graph"));
}

TEST_CASE("absurd shapes and empty axes are refused before anything runs") {
  place p;
  auto absurd = p.run({"optimize", p.write("absurd.json", definition("9223372036854775807"))});
  CHECK(absurd.status == 2);
  CHECK(has(absurd.err, "absurd.json"));
  CHECK(has(absurd.err, "2^63"));
  auto large = p.run({"optimize", p.write("large.json", definition("99999999999"))});
  CHECK(large.status == 2);
  CHECK(has(large.err, "tensor x"));
  auto zero = p.run({"optimize", p.write("zero.json", definition("0"))});
  CHECK(zero.status == 2);
  CHECK(has(zero.err, "H"));
}

TEST_CASE("an unknown operation is named") {
  place p;
  std::ifstream in(std::string(KEVOLVE_SOURCE_DIR) + "/kb/operators/rms_norm_h4096.json");
  auto op = nlohmann::ordered_json::parse(in);
  auto text = op.dump();
  const auto at = text.find("aten.rsqrt.default");
  REQUIRE(at != std::string::npos);
  text.replace(at, 18, "aten.frobnicate.xy");
  p.write("unknown.workloads.jsonl", text_of(std::string(KEVOLVE_SOURCE_DIR) + "/kb/operators/rms_norm_h4096.workloads.jsonl"));
  auto r = p.run({"optimize", p.write("unknown.json", text), "--evaluations", "2"});
  CHECK(r.status != 0);
  CHECK(has(r.err, "aten.frobnicate.xy"));
}

TEST_CASE("flags that do not exist or cannot be read are usage errors") {
  place p;
  CHECK(p.run({"optimize", "rms_norm_h4096", "--frobnicate"}).status == 2);
  CHECK(p.run({"frobnicate"}).status == 2);
  CHECK(p.run({}).status == 2);
  auto goal = p.run({"optimize", "rms_norm_h4096", "--goal", "fast"});
  CHECK(goal.status == 2);
  CHECK(has(goal.err, "--goal: found 'fast', expected a factor"));
  auto workload = p.run({"optimize", "rms_norm_h4096", "--workload", "huge"});
  CHECK(workload.status == 2);
  CHECK(has(workload.err, "decode_256"));
  CHECK(p.run({"--help"}).status == 0);
  CHECK(p.run({"--version"}).out == "kevolve 0.1.0\n");
}

TEST_CASE("a synthesizer that is not configured is named, with those that are") {
  place p;
  const auto refused = p.run({"optimize", "rms_norm_h4096", "--synthesizer", "anthropic"});
  CHECK(refused.status == 4);
  CHECK(has(refused.err, "found 'anthropic', expected generator"));
}

TEST_CASE("nothing to learn from, and nothing to search for, are said") {
  place p;
  const auto nothing = p.run({"train"});
  CHECK(nothing.status == 1);
  CHECK(has(nothing.err, "found 0 measured edges, expected at least 50"));
  CHECK(p.run({"train", "--landscape", "nowhere.jsonl"}).status != 0);
  CHECK(p.run({"bench", "compounding", "--operators", "rms_norm_h4096"}).status == 2);
  CHECK(p.run({"bench", "simulate", "--seeds", "2"}).status == 0);
  CHECK(p.run({"kb", "search"}).status == 2);
}

TEST_CASE("export wants a leader or trajectories, in a format that there is") {
  place p;
  CHECK(has(p.run({"export"}).err, "found neither --leader nor --trajectories"));
  CHECK(has(p.run({"export", "--trajectories", "sft", "somewhere"}).err, "expected --output FILE"));
  CHECK(has(p.run({"export", "--leader", "rms_norm_h4096"}).err, "found no directory"));
  const auto unknown = p.run({"export", "--trajectories", "ppo"});
  CHECK(unknown.status == 2);
  CHECK(has(unknown.err, "ppo"));
  CHECK(p.run({"export", "--trajectories", "sft"}).status == 1); // nothing is there yet
}

TEST_CASE("agents are launched in one way at a time, with an agent's key") {
  place p;
  CHECK(has(p.run({"agents", "launch"}).err, "neither --ssh nor --slurm"));
  CHECK(p.run({"agents", "launch", "--slurm", "--ssh", "host"}).status == 2);
  CHECK(has(p.run({"agents", "launch", "--slurm"}).err, "expected --scheduler tcp://HOST:PORT and --key FILE"));
  REQUIRE(p.run({"keys", "new", "ada", "--role", "client", "--out", (p.at / "ada.key").string()}).status == 0);
  const auto wrong = p.run({"agents", "launch", "--slurm", "--scheduler", "tcp://h:7400", "--key", (p.at / "ada.key").string()});
  CHECK(wrong.status == 4);
  CHECK(has(wrong.err, "it is a client's, expected an agent's"));
}

TEST_CASE("without any session there are no skills, which is no error") {
  place p;
  auto r = p.run({"kb", "skills"});
  CHECK(r.status == 0);
  CHECK(has(r.out, "no skills yet"));
  CHECK(nlohmann::json::parse(p.run({"kb", "skills", "--json"}).out).empty());
}

TEST_CASE("a survey names what it was asked for and does not find") {
  place p;
  auto nothing = p.run({"bench", "kernelbench", "."});
  CHECK(nothing.status == 2);
  CHECK(has(nothing.err, "found no problem"));
  CHECK(has(nothing.err, "level1/1_Name.py"));
  auto unknown = p.run({"bench", "operators", "--problems", "rms_norm_h4096,nonsense"});
  CHECK(unknown.status == 2);
  CHECK(has(unknown.err, "'nonsense'"));
}

TEST_CASE("a target that no agent serves has its own exit code") {
  place p;
  CHECK(p.run({"optimize", "rms_norm_h4096", "--target", "cuda/sm_90/triton"}).status == 6);
  CHECK(p.run({"optimize", "rms_norm_h4096", "--target", "quantum"}).status == 2);
}

TEST_CASE("without a compiler optimize and doctor say what to install") {
  place p;
  for (const std::vector<std::string>& line : {std::vector<std::string>{"optimize", "rms_norm_h4096"}, std::vector<std::string>{"doctor"}}) {
    auto r = p.run(line, {"PATH=/nonexistent"});
    CHECK(r.status == 4);
    CHECK(has(r.err, "g++"));
    CHECK(has(r.err, "apt-get install"));
  }
}

TEST_CASE("a bad setting names its file, line and key") {
  place p;
  auto unknown = p.run({"sessions", "--config", p.write("bad.toml", "\nspeed = 3\n")});
  CHECK(unknown.status == 4);
  CHECK(has(unknown.err, "bad.toml:2: key 'speed' is not known"));
  auto variable = p.run({"sessions"}, {"KEVOLVE_EVALUATIONS=many"});
  CHECK(variable.status == 4);
  CHECK(has(variable.err, "KEVOLVE_EVALUATIONS: found 'many'"));
}

TEST_CASE("a data directory that cannot be used is a configuration error that names it") {
  place p;
  p.write("file", "in the way");
  auto r = p.run({"optimize", "rms_norm_h4096", "--data", (p.at / "file").string()});
  CHECK(r.status == 4);
  CHECK(has(r.err, (p.at / "file").string()));
}

TEST_CASE("readers of an empty place find nothing and do not fail") {
  place p;
  auto sessions = p.run({"sessions", "list", "--json"});
  CHECK(sessions.status == 0);
  CHECK(nlohmann::json::parse(sessions.out).empty());
  CHECK(p.run({"leaders"}).status == 0);
  auto explained = p.run({"explain", "abcdef", "--json"});
  CHECK(explained.status == 1);
  CHECK(nlohmann::json::parse(explained.out)["error"]["code"] == "not_found");
}

TEST_CASE("documents of a platform that kevolve does not know are added, found for it alone, and replaced by their newer version") {
  place p;
  std::filesystem::create_directories(p.at / "loom");
  p.write("loom/weft.txt", "\xEF\xBB\xBFThe weft unit, caf\xE9\n\nIt streams strips of 48 bytes.\n");
  p.write("loom/strips.md", "---\ntitle: Strips\nsignals: bound:memory\n---\nStrips of 48 bytes go past the weft.\n");
  auto added = p.run({"kb", "add", (p.at / "loom").string(), "--platform", "loom", "--language", "loom-c"});
  CHECK_MESSAGE(added.status == 0, added.err);
  CHECK_FALSE(has(added.err, "names no platform"));
  auto found = p.run({"kb", "search", "weft", "strips", "--target", "loom/9/loom-c", "--json"});
  REQUIRE_MESSAGE(found.status == 0, found.err);
  const auto passages = nlohmann::json::parse(found.out);
  REQUIRE(passages.size() >= 2);
  CHECK(passages[0]["document"].get<std::string>().starts_with("loom/"));
  CHECK(passages[1]["document"].get<std::string>().starts_with("loom/"));
  for (const char* other : {"cpu", "cuda/sm_90/cuda"}) {
    auto elsewhere = p.run({"kb", "search", "weft", "strips", "--target", other, "--json"});
    CHECK(elsewhere.status == 0);
    CHECK_FALSE(has(elsewhere.out, "loom/"));
  }
  CHECK(p.run({"kb", "search", "weft", "--target", "lom/9"}).status == 2);

  p.write("loom/strips.md", "---\ntitle: Strips\nsignals: bound:memory\n---\nStrips of 64 bytes go past the weft.\n");
  auto again = p.run({"kb", "add", (p.at / "loom").string(), "--platform", "loom", "--language", "loom-c"});
  CHECK(has(again.out, "loom/weft: unchanged"));
  CHECK(has(again.out, "in place of version"));
  found = p.run({"kb", "search", "strips", "--target", "loom", "--json"});
  CHECK(has(found.out, "64 bytes go"));
  CHECK_FALSE(has(found.out, "48 bytes go"));
  std::string old;
  for (const auto& entry : std::filesystem::directory_iterator(p.at / "data/documents/versions/loom"))
    old += text_of(entry.path());
  CHECK(has(old, "48 bytes go"));

  const std::string description = "name = \"Loom 9\"\nplatform = \"loom\"\narchitecture = \"9\"\nlanguage = \"loom-c\"\nconstraints = [\"Recursion is not possible.\"]\n"
                                  "[commands]\ncompile = [\"loomcc\", \"{source}\", \"{artifact}\"]\nrun = [\"loom-run\", \"{artifact}\", \"{inputs}\", \"{outputs}\"]\n";
  auto described = p.run({"kb", "add", p.write("loom.toml", description)});
  CHECK_MESSAGE(described.status == 0, described.err);
  CHECK(has(described.out, "targets/loom/9/loom-c"));
  CHECK(has(described.err, "no agent runs its commands yet"));
  CHECK(has(p.run({"kb", "search", "recursion", "--target", "loom/9/loom-c", "--json"}).out, "Recursion is not possible."));
  CHECK_FALSE(has(p.run({"kb", "search", "recursion", "--target", "loom/10/loom-c", "--json"}).out, "Recursion is not possible."));
  auto refused = p.run({"kb", "add", p.write("bad.toml", "name = \"x\"\n")});
  CHECK(refused.status == 1);
  CHECK(has(refused.err, "platform"));

  auto everywhere = p.run({"kb", "add", p.write("note.md", "A note.\n")});
  CHECK(everywhere.status == 0);
  CHECK(has(everywhere.err, "note: names no platform"));
}

TEST_CASE("a snapshot is a data folder with the added documents") {
  place p;
  auto session = p.run({"optimize", "rms_norm_h4096", "--evaluations", "1", "--json"});
  if (session.status == 4) {
    MESSAGE("skipped: no compiler here, so there is no store to copy");
    return;
  }
  auto added = p.run({"kb", "add", p.write("note.md", "The loom's weft.\n"), "--platform", "loom"});
  REQUIRE_MESSAGE(added.status == 0, added.err);
  auto copied = p.run({"kb", "snapshot", (p.at / "copy").string()});
  REQUIRE_MESSAGE(copied.status == 0, copied.err);
  CHECK(std::filesystem::exists(p.at / "copy/data.mdb"));
  auto found = p.run({"kb", "search", "weft", "--target", "loom", "--json", "--data", (p.at / "copy").string()});
  CHECK(has(found.out, "The loom's weft"));
}

TEST_CASE("a store is compacted once, and answers as before") {
  place p;
  if (p.run({"optimize", "rms_norm_h4096", "--evaluations", "1", "--json"}).status == 4) {
    MESSAGE("skipped: no compiler here, so there is no store to compact");
    return;
  }
  const std::string before = p.run({"sessions", "list", "--json"}).out;
  auto compacted = p.run({"kb", "compact", "--json"});
  REQUIRE_MESSAGE(compacted.status == 0, compacted.err);
  CHECK(has(compacted.out, "\"sessions\": 1"));
  CHECK(has(p.run({"kb", "compact", "--json"}).out, "\"events\": 0"));
  CHECK(p.run({"sessions", "list", "--json"}).out == before);
  CHECK(p.run({"kb", "check"}).status == 0);
  auto nowhere = p.run({"kb", "compact", "--data", (p.at / "nowhere").string()});
  CHECK(nowhere.status != 0);
  CHECK(has(nowhere.err, "there is no store in"));
}
