// From SPEC to leader with the real executables and no Python: a short session, what the other commands say of it, damage, a second writer,
// Ctrl-C, and kill -9 with resume. One operator's smallest workload, so that it takes seconds.
#include "kb/store.hpp"
#include "scheduler/child.hpp"

#include <csignal>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

using namespace kevolve;
using namespace kevolve::scheduler;
using nlohmann::json;

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

struct place {
  std::filesystem::path at;
  place() {
    std::string name = (std::filesystem::temp_directory_path() / "kevolve-system-XXXXXX").string();
    at = mkdtemp(name.data());
  }
  ~place() {
    std::error_code ignored;
    std::filesystem::remove_all(at, ignored);
  }
  [[nodiscard]] result<background_child> start(const std::vector<std::string>& arguments) const {
    std::vector<std::string> line{KEVOLVE_EXECUTABLE};
    line.insert(line.end(), arguments.begin(), arguments.end());
    line.insert(line.end(), {"--data", (at / "data").string(), "--cache", (std::filesystem::temp_directory_path() / "kevolve-test-cache").string()});
    return background_child::start(line, (at / "stdout").string(), (at / "stderr").string());
  }
  [[nodiscard]] ended run(const std::vector<std::string>& arguments) const {
    auto child = start(arguments);
    REQUIRE(child);
    const auto status = child->wait_for(std::chrono::minutes(5));
    REQUIRE(status);
    return {*status, text_of(at / "stdout"), text_of(at / "stderr")};
  }
  [[nodiscard]] ended optimize(const std::string& evaluations) const {
    return run({"optimize", "rms_norm_h4096", "--workload", "decode_256", "--evaluations", evaluations, "--baselines", "none", "--seed", "1", "--json"});
  }
  /// Waits until the running session has events on disk.
  [[nodiscard]] session_id await_session() const {
    for (int i = 0; i < 3000; ++i) {
      if (auto memory = kb::store::open(at / "data", kb::access::read_only))
        if (auto sessions = (*memory)->sessions(); sessions && !sessions->empty() && sessions->front().evaluations > 0)
          return sessions->front().session;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return "";
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE("a short session ends with a verified leader that every command knows") {
  place p;
  const auto r = p.optimize("8");
  INFO(r.err);
  REQUIRE(r.status == 0);
  const json answer = json::parse(r.out);
  CHECK(answer["operator"] == "rms_norm_h4096");
  CHECK(answer["seed"] == 1);
  CHECK(answer["evaluations"] == 8);
  CHECK(answer["stopped_by"] == "evaluations");
  CHECK(answer["best"]["verified"] == true);
  if (answer["best"]["number"] == 0) { // on a busy host the gain of so short a session may stay unproven
    MESSAGE("nothing was proven to be faster than the plain loop nest: it stays the leader");
  } else {
    CHECK(answer["best"]["baseline"] == "plain");
    CHECK(answer["best"]["speedup"].get<double>() > 0);
  }
  std::uint32_t counted = 0;
  for (const auto& [name, count] : answer["outcomes"].items())
    counted += count.get<std::uint32_t>();
  CHECK(counted == 8);
  const std::string source = answer["best"]["source"];
  CHECK(has(text_of(source), "kevolve_run"));
  CHECK(answer["needed_s"].get<double>() > 0);

  const std::string candidate = answer["best"]["candidate"];
  const auto sessions = p.run({"sessions", "--json"});
  const json listed = json::parse(sessions.out);
  REQUIRE(listed.size() == 1);
  CHECK(listed[0]["session"] == answer["session"]);
  CHECK(listed[0]["state"] == "finished");
  CHECK(listed[0]["evaluations"] == 8);
  const auto explained = p.run({"explain", candidate.substr(0, 8), "--json"});
  CHECK(explained.status == 0);
  CHECK(json::parse(explained.out)["candidate"] == candidate);
  const auto leaders = p.run({"leaders", "rms_norm_h4096", "--json"});
  CHECK(json::parse(leaders.out)[0]["candidate"] == candidate);
  const auto again = p.run({"optimize", "--resume", "last", "--json"});
  CHECK(again.status == 0);
  CHECK(has(again.err, "nothing to resume"));
  const auto verified = p.run({"verify", candidate.substr(0, 12), "--baselines", "none", "--json"});
  CHECK(verified.status == 0);
  CHECK(json::parse(verified.out)["outcome"] == "passed");
  const auto solution = p.run({"verify", (std::filesystem::path(source).parent_path() / "solution.json").string(), "--baselines", "none", "--json"});
  CHECK(solution.status == 0);
  CHECK(json::parse(solution.out)["candidate"] == candidate);
}

TEST_CASE("a damaged store is told with its damage and never overwritten") {
  place p;
  REQUIRE(p.optimize("2").status == 0);
  const auto file = p.at / "data" / "data.mdb";
  REQUIRE(std::filesystem::exists(file));
  std::filesystem::resize_file(file, 100);
  const auto r = p.optimize("2");
  CHECK(r.status == 1);
  CHECK(json::parse(r.out)["error"]["code"] == "damaged");
  CHECK(std::filesystem::file_size(file) == 100);
  CHECK(p.run({"kb", "check"}).status == 1);
}

TEST_CASE("damage of the log is told by kb check, and --repair does not claim to have mended it") {
  place p;
  REQUIRE(p.optimize("2").status == 0);
  const std::string file = (p.at / "data" / "data.mdb").string(), sound = text_of(file);
  std::string damaged = sound;
  const std::string reason = "unscheduled"; // why the first step was made: only the log holds it
  std::size_t flipped = 0;
  for (std::size_t at = 0; (at = damaged.find(reason, at)) != std::string::npos; at += reason.size(), ++flipped)
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
  REQUIRE(flipped > 0);
  std::ofstream(file, std::ios::binary) << damaged;
  const auto told = p.run({"kb", "check"});
  CHECK(told.status == 1);
  CHECK(has(told.out + told.err, file));
  const auto repaired = p.run({"kb", "check", "--repair"});
  CHECK(repaired.status == 1);
  CHECK(has(repaired.out, "restore a snapshot"));
  CHECK(text_of(file + ".before-repair") == damaged);
  std::ofstream(file, std::ios::binary) << sound;
  CHECK(p.run({"kb", "check"}).status == 0);
}

TEST_CASE("a session whose process died is told as interrupted, and watching it ends") {
  place p;
  auto first = p.start({"optimize", "rms_norm_h4096", "--workload", "decode_256", "--evaluations", "1000", "--baselines", "none", "--seed", "1"});
  REQUIRE(first);
  const session_id session = p.await_session();
  REQUIRE(session != "");
  kill(first->pid(), SIGKILL);
  REQUIRE(first->wait_for(std::chrono::minutes(1)));
  CHECK(json::parse(p.run({"sessions", "--json"}).out)[0]["state"] == "interrupted");
  const auto watched = p.run({"sessions", "watch", session});
  CHECK(watched.status == 0);
  CHECK(has(watched.err, "optimize --resume " + session));
}

TEST_CASE("a second writer is refused with try-again while readers go on, and Ctrl-C pauses resumably") {
  place p;
  auto first = p.start({"optimize", "rms_norm_h4096", "--workload", "decode_256", "--evaluations", "1000", "--baselines", "none", "--seed", "1"});
  REQUIRE(first);
  const session_id session = p.await_session();
  REQUIRE(session != "");
  std::filesystem::rename(p.at / "stderr", p.at / "first.stderr");
  const auto second = p.optimize("2");
  CHECK(second.status == 75);
  const auto reader = p.run({"sessions", "--json"});
  CHECK(reader.status == 0);
  CHECK(json::parse(reader.out)[0]["state"] == "running");
  CHECK(p.run({"sessions", "pause", session}).status == 1);
  CHECK(p.run({"sessions", "cancel", session}).status == 75);

  kill(first->pid(), SIGINT);
  const auto status = first->wait_for(std::chrono::minutes(1));
  REQUIRE(status);
  CHECK(*status == 130);
  CHECK(has(text_of(p.at / "first.stderr"), "optimize --resume " + session));
  CHECK(json::parse(p.run({"sessions", "--json"}).out)[0]["state"] == "paused");
  CHECK(p.run({"sessions", "cancel", session}).status == 0);
  CHECK(json::parse(p.run({"sessions", "--json"}).out)[0]["stopped_by"] == "cancelled");
}

TEST_CASE("kill -9 at random moments, then resume: nothing is lost and nothing counted twice") {
  place p;
  const auto r = p.run({"bench", "kill", "--rounds", "3", "--evaluations", "5", "--workload", "decode_256", "--json"});
  INFO(r.err << r.out);
  CHECK(r.status == 0);
  const json answer = json::parse(r.out);
  CHECK(answer["rounds"] == 3);
  CHECK(answer["kills"].get<int>() >= 3);
  CHECK(answer["replayed"] == 2); // rounds 0 and 2 search through one slot
  for (const char* fault : {"bad_rounds", "prefix_changed", "fold_differs", "wrong_count", "lost", "twice", "damaged", "orphans", "trees_differ", "replays_failed"})
    CHECK_MESSAGE(answer[fault] == 0, fault);
}

TEST_CASE("a policy is learnt from recorded landscapes, judged on what it did not see, and used where it is asked for") {
  const place p;
  const std::string folder = std::string(KEVOLVE_SOURCE_DIR) + "/tests/system/landscapes/";
  const auto trained = p.run({"train", "--landscape", folder + "rms_norm_h4096.jsonl", folder + "softmax_n4096.jsonl", folder + "gelu_tanh_bias_n3072.jsonl", "--evaluate", "--seeds", "6", "--evaluations", "20", "--json"});
  REQUIRE(trained.status == 0);
  const auto said = json::parse(trained.out);
  CHECK(said["trained_on"]["families"] == 3);
  CHECK(said["held_out"]["operators"].size() == 3);
  for (const auto& row : said["held_out"]["operators"]) {
    CHECK(row["edges"].get<int>() > 0);
    CHECK(row["edges"].get<int>() < said["trained_on"]["edges"].get<int>());
    CHECK(row["rules"]["mean_evaluations"].get<double>() >= 1);
  }
  CHECK(said["used_by_default"] == said["held_out"]["beats_rules"]);
  CHECK(std::filesystem::exists(said["file"].get<std::string>()));

  const auto with = p.run({"optimize", "rms_norm_h4096", "--workload", "decode_256", "--evaluations", "8", "--baselines", "none", "--seed", "1", "--policy-model", "on", "--in-flight", "1", "--json"});
  REQUIRE(with.status == 0);
  const auto without = p.run({"optimize", "rms_norm_h4096", "--workload", "decode_256", "--evaluations", "2", "--baselines", "none", "--seed", "1", "--policy-model", "off", "--json"});
  REQUIRE(without.status == 0);
  const auto memory = kb::store::open(p.at / "data", kb::access::read_only);
  REQUIRE(memory);
  const auto log = (*memory)->events(json::parse(with.out)["session"]);
  REQUIRE(log);
  CHECK(!std::get<session_opened>(log->front()).policy_model.empty()); // whole, so that a resumed session proposes the same
  std::string by_policy;
  for (const event& e : *log)
    if (const auto* added = std::get_if<candidate_added>(&e); added && added->edge.reason.find("the learned policy expects") != std::string::npos)
      by_policy = added->what.id;
  REQUIRE(!by_policy.empty());
  CHECK(p.run({"explain", by_policy}).out.find("the learned policy expects") != std::string::npos);
  const auto ruled = (*memory)->events(json::parse(without.out)["session"]);
  REQUIRE(ruled);
  CHECK(std::get<session_opened>(ruled->front()).policy_model.empty());
}
