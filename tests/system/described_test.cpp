// A made-up accelerator becomes a target from one description and a folder of documents, with no change of code. "Loom 9" does not exist: its
// toolchain is an emulator (loom9/loom9.cpp), and whoever writes its kernels is a script that knows only what its prompts show (loom9/model.py).
#include "kb/store.hpp"
#include "node-agent/process.hpp"
#include "scheduler/child.hpp"
#include "tests/system/ports.hpp"

#include <csignal>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <netinet/in.h>
#include <sstream>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::scheduler;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct ended {
  int status = -1;
  std::string out, err;
};

/// A folder that everybody may read, with the description, its toolchain, and a model that is a script.
struct workshop {
  fs::path at, given = fs::path(KEVOLVE_SOURCE_DIR) / "tests/system/loom9";
  workshop() {
    std::string name = (fs::temp_directory_path() / "kevolve-loom9-XXXXXX").string();
    at = mkdtemp(name.data());
    fs::permissions(at, fs::perms(0755));
    fs::create_directories(at / "bin");
    fs::copy_file(LOOM9, at / "bin/loom9");
    fs::copy_file(given / "loom9.toml", at / "loom9.toml");
    std::ofstream(at / "config.toml") << "[llm.providers.script]\nkind = \"exec\"\ncommand = [\"python3\", \"-B\", \"" << (given / "model.py").string()
                                      << "\"]\n[[llm.models]]\nname = \"apprentice\"\nprovider = \"script\"\nrepairs = 0\n";
  }
  ~workshop() {
    std::error_code ignored;
    fs::remove_all(at, ignored);
  }
  [[nodiscard]] ended run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), KEVOLVE_EXECUTABLE);
    arguments.insert(arguments.end(), {"--data", (at / "data").string(), "--config", (at / "config.toml").string()});
    auto child = background_child::start(arguments, (at / "stdout").string(), (at / "stderr").string());
    REQUIRE(child);
    const auto status = child->wait_for(std::chrono::minutes(8));
    REQUIRE(status);
    return {*status, text_of(at / "stdout"), text_of(at / "stderr")};
  }
  [[nodiscard]] ended optimize(std::vector<std::string> more) const {
    std::vector<std::string> all{"optimize", (given / "row_sum.json").string(), "--target", "loom/9/loomasm", "--seed", "1", "--json", "--cache",
                                 (fs::temp_directory_path() / "kevolve-test-cache").string()};
    all.insert(all.end(), more.begin(), more.end());
    return run(std::move(all));
  }
};

/// A session for the described device, at a scheduler.
template <class Ask>
ended submitted(const Ask& ask, const std::string& spec, const std::string& evaluations) {
  return ask({"submit", spec, "--target", "loom/9/loomasm", "--synthesizer", "apprentice", "--evaluations", evaluations, "--time", "200s", "--baselines", "none", "--seed", "1"});
}

/// What the scheduler shows of it once that is so.
template <class Ask>
json shown_when(const Ask& ask, const ended& submitted, const std::function<bool(const json&)>& is) {
  REQUIRE_MESSAGE(submitted.status == 0, submitted.err);
  const std::string session = json::parse(submitted.out)[0]["session"];
  json shown;
  for (int i = 0; i < 1200 && (shown.is_null() || !is(shown)); ++i) {
    shown = json::parse(ask({"sessions", "show", session}).out);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return shown;
}

bool has_ended(const json& shown) { return !shown["stopped_by"].is_null(); }

} // namespace

TEST_CASE("a target that nobody provides is refused, and what is missing is said") {
  workshop w;
  const auto unknown = w.optimize({});
  CHECK(unknown.status == 6);
  CHECK_MESSAGE(has(unknown.err, "no agent serves the target loom/9/loomasm"), unknown.err);
  REQUIRE(w.run({"kb", "add", (w.at / "loom9.toml").string()}).status == 0);
  const auto described = w.optimize({});
  CHECK(described.status == 6);
  CHECK_MESSAGE(has(described.err, "--device FILE.toml"), described.err);
  const auto other = w.run({"optimize", "softmax_n4096", "--target", "loom/8/loomasm", "--device", (w.at / "loom9.toml").string()});
  CHECK(other.status == 6);
  CHECK_MESSAGE(has(other.err, "loom/9/loomasm"), other.err);
  const auto by_generator = w.optimize({"--device", (w.at / "loom9.toml").string()});
  CHECK(by_generator.status == 5);
  CHECK_MESSAGE(has(by_generator.err, "the generator writes no loomasm for Loom 9"), by_generator.err);
}

TEST_CASE("a description that cannot be used is refused by file and field") {
  workshop w;
  const auto refused = [&](const std::string& from, const std::string& to, const std::string& expected) {
    std::string text = text_of(w.given / "loom9.toml");
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    std::ofstream(w.at / "bad.toml") << text.replace(at, from.size(), to);
    const auto r = w.optimize({"--device", (w.at / "bad.toml").string(), "--synthesizer", "apprentice"});
    CHECK(r.status == 4);
    CHECK_MESSAGE(has(r.err, "bad.toml"), r.err);
    CHECK_MESSAGE(has(r.err, expected), r.err);
  };
  refused("folders = [\"bin\"]", "folders = [\"tools\"]", "folders: found 'tools'");
  refused("{here}/bin/loom9\", \"run", "{here}/bin/loom8\", \"run", "/bin/loom8'");
  refused("{iterations}", "{repetitions}", "'{repetitions}'");
  refused("emulated = true", "emulated = 1", "emulated");
  const auto absent = w.optimize({"--device", (w.at / "none.toml").string(), "--synthesizer", "apprentice"});
  CHECK(absent.status == 4);
  CHECK_MESSAGE(has(absent.err, "none.toml: cannot be read"), absent.err);
}

TEST_CASE("a made-up accelerator is a target by its description and documents: failures teach, a leader is found, and everything says that it is emulated") {
  if (agent::find_command("python3").empty()) {
    MESSAGE("skipped: no python3");
    return;
  }
  workshop w;
  REQUIRE(w.run({"kb", "add", (w.given / "documents").string(), "--platform", "loom"}).status == 0);
  const auto r = w.optimize({"--device", (w.at / "loom9.toml").string(), "--synthesizer", "apprentice", "--evaluations", "7", "--in-flight", "1", "--policy", "greedy", "--time", "300s"});
  INFO(r.err);
  REQUIRE(r.status == 0);
  const json answer = json::parse(r.out);
  CHECK(answer["target"] == "loom/9/loomasm");
  CHECK(answer["hardware"].get<std::string>().starts_with("emulated-loom-9-"));
  CHECK(has(answer["device"], "described by loom9.toml, not verified by kevolve; emulated"));
  CHECK(answer["outcomes"]["incorrect_numerical"] == 1); // the first sample of the documents: the sum of a whole tensor
  CHECK(answer["outcomes"]["passed"].get<int>() >= 3);
  const json best = answer["best"];
  CHECK(best["verified"] == true);
  CHECK(best["baseline"] == "first_passed");
  MESSAGE("speedup over the first candidate that passed: ", best["speedup"].dump()); // by how much, and whether it could be proven, is the host's business
  CHECK(has(text_of(best["source"]), "st out0[i2] s0"));

  auto memory = kb::store::open(w.at / "data", kb::access::read_only);
  REQUIRE(memory);
  auto log = (*memory)->events(answer["session"]);
  REQUIRE(log);
  std::map<node_number, std::string> sources;
  std::size_t strips_passed = 0;
  bool root_by_model = false, manuals_shown = false, failure_shown = false, profile_shown = false, cpu_shown = false;
  for (const event& e : *log)
    if (const auto* asked = std::get_if<model_asked>(&e)) {
      const std::string prompt = asked->instructions + asked->turns.front();
      root_by_model |= has(prompt, "Nothing has passed yet");
      manuals_shown |= has(prompt, "sum of each row") && has(prompt, "at most 64 instructions");
      failure_shown |= has(prompt, "failed (incorrect_numerical)") || has(prompt, "outcome: incorrect_numerical");
      profile_shown |= has(prompt, "profile: emulated Loom 9:") && has(prompt, "single loads");
      cpu_shown |= has(prompt, "plain loop nest") || has(prompt, "-march=native");
    } else if (const auto* added = std::get_if<candidate_added>(&e)) {
      sources[added->number] = added->what.sources.front().content;
    } else if (const auto* recorded = std::get_if<evaluation_recorded>(&e)) {
      strips_passed += recorded->what.result == outcome::passed && has(sources[recorded->number], "wsum s0 in0[i0]");
      CHECK(has(recorded->what.where.device, "emulated"));
      CHECK(has(recorded->what.where.clock, "2N iterations"));
      if (recorded->what.result == outcome::compile_error)
        CHECK(has(recorded->what.log, "a strip of 32 elements: at most 16"));
    }
  CHECK(strips_passed >= 2); // what the documents teach, from feedback alone
  CHECK(root_by_model);
  CHECK(manuals_shown);
  CHECK(failure_shown);
  CHECK(profile_shown);
  CHECK_FALSE(cpu_shown);

  const std::string candidate = best["candidate"];
  const auto explained = w.run({"explain", candidate.substr(0, 10)});
  CHECK(explained.status == 0);
  CHECK_MESSAGE(has(explained.out, "profile: emulated Loom 9:"), explained.out);
  const auto elsewhere = w.run({"kb", "search", "strips of elements", "--target", "cpu", "--json"});
  CHECK_MESSAGE(!has(elsewhere.out, "Loom 9"), elsewhere.out);
}

TEST_CASE("an agent offers its described device to a scheduler, which knows its language by the knowledge base") {
  if (agent::find_command("python3").empty()) {
    MESSAGE("skipped: no python3");
    return;
  }
  workshop w;
  adopt_orphans();
  const std::string endpoint = "tcp://127.0.0.1:" + std::to_string(free_ports());
  for (const auto& [name, role] : {std::pair("fleet", "agent"), std::pair("person", "client")})
    REQUIRE(w.run({"keys", "new", name, "--role", role, "--out", (w.at / (std::string(name) + ".key")).string()}).status == 0);
  REQUIRE(w.run({"kb", "add", (w.at / "loom9.toml").string()}).status == 0);
  REQUIRE(w.run({"kb", "add", (w.given / "documents").string()}).status == 0);
  auto scheduler = background_child::start({KEVOLVE_EXECUTABLE, "serve", "--listen", endpoint, "--data", (w.at / "data").string(), "--cache", (w.at / "cache").string(), "--config",
                                            (w.at / "config.toml").string()}, (w.at / "serve.out").string(), (w.at / "serve.err").string());
  REQUIRE(scheduler);
  auto agent = background_child::start({KEVOLVE_AGENT, "--scheduler", endpoint, "--key", (w.at / "fleet.key").string(), "--name", "one", "--cache",
                                        (fs::temp_directory_path() / "kevolve-test-agent-cache").string(), "--device", (w.at / "loom9.toml").string()},
                                       (w.at / "one.out").string(), (w.at / "one.err").string());
  REQUIRE(agent);
  const std::vector<std::string> person{"--scheduler", endpoint, "--key", (w.at / "person.key").string(), "--json"};
  const auto ask = [&](std::vector<std::string> line) {
    line.insert(line.end(), person.begin(), person.end());
    return w.run(std::move(line));
  };
  std::string listed;
  for (int i = 0; i < 600 && !has(listed, "emulated-loom-9-"); ++i) {
    listed = ask({"agents", "list"}).out;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  INFO(text_of(w.at / "serve.err"), text_of(w.at / "one.err"));
  REQUIRE_MESSAGE(has(listed, "emulated-loom-9-"), listed);
  CHECK_MESSAGE(has(listed, "loom/9/loomasm"), listed);
  CHECK(has(text_of(w.at / "one.err"), "described by loom9.toml, not verified by kevolve; emulated"));
  const json shown = shown_when(ask, submitted(ask, (w.given / "row_sum.json").string(), "3"), has_ended);
  CHECK(shown["stopped_by"] == "evaluations");
  CHECK(shown["hardware"].get<std::string>().starts_with("emulated-loom-9-"));
  CHECK(shown["outcomes"]["passed"].get<int>() >= 1);
  CHECK(has(shown["device"], "described by loom9.toml"));
  agent->kill_tree();
  scheduler->kill_tree();
}

TEST_CASE("an accelerator's host without its toolchain has candidates compiled by an agent that has it, by the same description") {
  if (agent::find_command("python3").empty()) {
    MESSAGE("skipped: no python3");
    return;
  }
  workshop w;
  adopt_orphans();
  std::string text = text_of(w.given / "loom9.toml");
  const std::string program = "{here}/bin/loom9\", \"assemble";
  text.replace(text.find(program), program.size(), "{here}/bin/assembler\", \"assemble");
  fs::create_directories(w.at / "bare/bin");
  fs::copy_file(LOOM9, w.at / "bare/bin/loom9");
  fs::rename(w.at / "bin/loom9", w.at / "bin/assembler"); // the host that compiles has no device, the one with the device no assembler
  for (const fs::path& folder : {w.at, w.at / "bare"})
    std::ofstream(folder / "loom9.toml") << text;
  const std::string endpoint = "tcp://127.0.0.1:" + std::to_string(free_ports());
  for (const auto& [name, role] : {std::pair("fleet", "agent"), std::pair("person", "client")})
    REQUIRE(w.run({"keys", "new", name, "--role", role, "--out", (w.at / (std::string(name) + ".key")).string()}).status == 0);
  REQUIRE(w.run({"kb", "add", (w.at / "loom9.toml").string()}).status == 0);
  REQUIRE(w.run({"kb", "add", (w.given / "documents").string()}).status == 0);
  auto scheduler = background_child::start({KEVOLVE_EXECUTABLE, "serve", "--listen", endpoint, "--data", (w.at / "data").string(), "--cache", (w.at / "cache").string(), "--config",
                                            (w.at / "config.toml").string()}, (w.at / "serve.out").string(), (w.at / "serve.err").string());
  REQUIRE(scheduler);
  const auto start = [&](const std::string& name, const fs::path& folder, const std::string& how) {
    return background_child::start({KEVOLVE_AGENT, "--scheduler", endpoint, "--key", (w.at / "fleet.key").string(), "--name", name, "--cache", (w.at / (name + "-cache")).string(), "--device",
                                    (folder / "loom9.toml").string(), how}, (w.at / (name + ".out")).string(), (w.at / (name + ".err")).string());
  };
  auto bare = start("bare", w.at / "bare", "--compile-elsewhere"), whole = start("whole", w.at, "--compile-only");
  REQUIRE(bare);
  REQUIRE(whole);
  const auto ask = [&](std::vector<std::string> line) {
    line.insert(line.end(), {"--scheduler", endpoint, "--key", (w.at / "person.key").string(), "--json"});
    return w.run(std::move(line));
  };
  std::string listed;
  for (int i = 0; i < 600 && !(has(listed, "emulated-loom-9-") && has(listed, "loom/9/loomasm ")); ++i) { // the device, and whose toolchain has its digest
    listed = ask({"agents", "list"}).out;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  INFO(text_of(w.at / "serve.err"), text_of(w.at / "bare.err"), text_of(w.at / "whole.err"));
  REQUIRE_MESSAGE(has(listed, "loom/9/loomasm "), listed);
  const std::string spec = (w.given / "row_sum.json").string();
  const json shown = shown_when(ask, submitted(ask, spec, "3"), has_ended);
  CHECK(shown["stopped_by"] == "evaluations");
  CHECK(shown["outcomes"]["passed"].get<int>() >= 1);
  CHECK(shown["outcomes"]["infrastructure"] == 0);
  const ended next = submitted(ask, spec, "12");
  ::kill(whole->pid(), SIGKILL); // it alone: nobody has the toolchain any more, the work waits, and says for what
  (void)whole->wait_for(std::chrono::seconds(10));
  const json waits = shown_when(ask, next, [](const json& s) { return s.contains("waits_for") || has_ended(s); });
  CHECK_MESSAGE(has(waits.value("waits_for", ""), "no agent serves loom/9/loomasm"), waits.dump());
  const ended refused = submitted(ask, spec, "3");
  CHECK(refused.status == 6);
  CHECK_MESSAGE(has(refused.err + refused.out, "no agent compiles for it"), refused.err);
  auto again = start("whole", w.at, "--compile-only");
  REQUIRE(again);
  const json after = shown_when(ask, next, has_ended);
  CHECK_FALSE(after.contains("waits_for"));
  CHECK(after["outcomes"]["infrastructure"] == 0);
  CHECK(after["outcomes"]["passed"].get<int>() > waits["outcomes"]["passed"].get<int>()); // it went on
  std::size_t fetched = 0;
  for (const auto& each : fs::recursive_directory_iterator(w.at / "bare-cache/artifacts"))
    fetched += each.path().extension() == ".made";
  CHECK(fetched >= 2);
  bare->kill_tree();
  again->kill_tree();
  scheduler->kill_tree();
}
