// Sessions as data sets: secrets, changes, samples, and one pinned line of each format. tests/system/trajectories.py loads the real files with
// the consumers' own loaders.
#include "scheduler/source_changes.hpp"
#include "scheduler/trajectory_formats.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace kevolve;
using namespace kevolve::scheduler;
using nlohmann::json;

namespace {

candidate written(const std::string& body, const std::string& by, const std::string& verb = "") {
  candidate c;
  c.definition = "scale_n8";
  c.author = by;
  c.sources = {{"kernel.cpp", body}};
  if (by == "generator")
    c.printed_from = verb.empty() ? schedule{} : schedule{1, {{verb, "out", {{"width", "16"}}}}};
  c.id = candidate_hash(c);
  return c;
}

/// Timed against the root at this ratio, and surely so.
evaluation measured(const candidate& c, outcome result, double ratio = 0, const candidate* anchor = nullptr) {
  evaluation e;
  e.candidate = c.id;
  e.definition = c.definition;
  e.result = result;
  e.where.problem = "p-1";
  if (result == outcome::compile_error)
    e.log = "/home/ada/kernel.cpp:3: error: 'planted-value-123' was not declared";
  if (result != outcome::passed)
    return e;
  workload_timing t;
  t.workload = "u-1";
  t.latency_s = 1e-3 / (ratio > 0 ? ratio : 1);
  if (anchor)
    t.comparisons = {{anchor->id, ratio, {ratio * 0.99, ratio * 1.01}, 1e-3, 1e6, 20}};
  e.timings = {t};
  e.diagnosed.limited_by = bound::memory;
  return e;
}

const candidate root = written("plain\n", "generator");
const candidate fast = written("fast\n", "small");
const candidate slow = written("slow\n", "generator", "vectorize");
const candidate cheat = written("cheat\n", "small");
const candidate broken = written("broken\n", "generator", "unroll");

model_asked asking(node_number n, std::uint32_t step, std::vector<std::string> turns) {
  return {.number = n, .step = step, .synthesizer = "small", .model = "m-1", .role = step ? "repair" : "propose", .instructions = "rules", .turns = std::move(turns), .provider = "vendor"};
}
model_answered saying(node_number n, std::uint32_t step, const std::string& text) { return {.number = n, .step = step, .text = text, .stop = "end", .used = {100, 0, 20, 0}, .cost_usd = 0.001}; }
proposal_made proposed(node_number n, const std::string& by) {
  return n == 0 ? proposal_made{0, {}, memory_operator::inherit, 0, 0, "", by} : proposal_made{n, {0}, memory_operator::inherit, 1, 0, "", by};
}

/// The root; a model's repaired gain; the generator's loss; a model's cheat; the generator's compile error; a model's duplicate; and one that was stopped.
std::vector<event> a_session() {
  session_opened opening;
  opening.session = "scale_n8-1";
  opening.subject.op.name = "scale_n8";
  opening.subject.op.reference = "def run(x):\n    return x\n";
  workload w;
  w.uuid = "u-1", w.name = "w";
  opening.subject.workloads = {w};
  opening.on = {"cpu", "x86-64-v4", "cpp"};
  opening.hardware = "cpu-test";
  return {opening,
          proposed(0, "generator"), candidate_added{0, root, {"root", "the plain loop nest", ""}}, evaluation_recorded{0, 0, "", measured(root, outcome::passed)},
          proposed(1, "small"), asking(1, 0, {"write"}), saying(1, 0, "first sk-proj-abcdef0123456789"), asking(1, 1, {"write", "first", "it does not compile"}), saying(1, 1, "second"),
          candidate_added{1, fast, {"model", "wider", "why"}}, evaluation_recorded{1, 0, root.id, measured(fast, outcome::passed, 2, &root)},
          proposed(2, "generator"), candidate_added{2, slow, {"vectorize", "vectorize(out, width=16)", "why"}}, evaluation_recorded{2, 0, root.id, measured(slow, outcome::passed, 0.8, &root)},
          proposed(3, "small"), asking(3, 0, {"write more"}), saying(3, 0, "cheat"), candidate_added{3, cheat, {"model", "a trick", "why"}}, evaluation_recorded{3, 0, root.id, measured(cheat, outcome::reward_hack)},
          proposed(4, "generator"), candidate_added{4, broken, {"unroll", "unroll(out, width=16)", "why"}}, evaluation_recorded{4, 0, root.id, measured(broken, outcome::compile_error)},
          proposed(5, "small"), asking(5, 0, {"write again"}), saying(5, 0, "again"), proposal_closed{5, "nothing new: this was tried already"},
          proposed(6, "small"), asking(6, 0, {"and again"}), proposal_closed{6, "stopped: time"}};
}

std::vector<trajectory_sample> samples(const std::vector<event>& log) {
  auto all = samples_of(log, violations_in(log));
  REQUIRE_MESSAGE(all, all.error().message);
  return *all;
}

trajectory_sample sample(node_number n, bool edge, const std::string& answer, double reward, bool gained) {
  trajectory_sample s;
  s.session = "scale_n8-1", s.number = n, s.edge = edge;
  s.operator_name = "scale_n8", s.target = "cpu/x86-64-v4/cpp", s.hardware = "cpu-test", s.problem = "p-1";
  s.synthesizer = edge ? "generator" : "small";
  if (!edge)
    s.provider = "vendor", s.model = "m-1", s.used = {100, 0, 20, 0}, s.cost_usd = 0.5;
  s.prompt = {{"system", "rules"}, {"user", "write"}};
  s.answer = answer;
  s.candidate = "c" + std::to_string(n), s.parent = "c0";
  s.outcome = gained ? "passed" : "compile_error";
  s.gained = gained, s.gain = gained ? 2 : 0, s.over_plain = s.gain, s.latency_s = gained ? 0.5 : 0, s.plain_latency_s = 1;
  s.reward = reward;
  s.change = "+x", s.feedback = "said";
  return s;
}

const std::string planted = "planted-value-123";
const secret_filter filter({planted}, "/home/ada");
/// As data: an order of columns is not a promise.
void check_line(const std::string& line, const std::string& expected) { CHECK(json::parse(line) == json::parse(expected)); }

} // namespace

TEST_CASE("secrets are found by value and by form, and code stays as it is") {
  const secret_filter f({"p@ss word", "abc", "longer-planted-value", "planted-value"}, "/srv/ada/");
  const auto same = [&](const std::string& text) { CHECK(f.scrub(text) == text); };
  CHECK(f.scrub("x p@ss word y") == "x [secret] y");
  CHECK(f.scrub("?k=p%40ss%20word&") == "?k=[secret]&");
  CHECK(f.scrub("longer-planted-value") == "[secret]");
  same("abc is too short to be a secret");
  for (const char* key : {"sk-proj-abcdef0123456789", "sk-ant-api03-AAAAbbbb0000-_cc", "ghp_0123456789abcdefABCDEF0123456789abcd", "github_pat_11AAAAAAA0123456789_abc", "hf_abcdefghij0123456789XYZ",
                          "AKIAIOSFODNN7EXAMPLE", "AIzaSyA0123456789abcdefghijklmnopqrstuv", "xoxb-123456789012-abc", "glpat-abcdefghij0123456789", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_123"}) {
    INFO(key);
    CHECK(f.scrub(std::string("the key ") + key + ", as given") == "the key [secret], as given");
    CHECK(f.scrub(std::string("\"") + key + "\"") == "\"[secret]\"");
  }
  CHECK(f.scrub("Authorization: Bearer abcdefgh12345\nnext") == "Authorization: [secret]\nnext");
  CHECK(f.scrub("sent bearer abcdefgh12345 twice") == "sent bearer [secret] twice");
  CHECK(f.scrub("{\"x-api-key\": \"0123456789\"}") == "{\"x-api-key\": \"[secret]\"}");
  CHECK(f.scrub("OPENAI_API_KEY=whatever-it-is make") == "OPENAI_API_KEY=[secret] make");
  CHECK(f.scrub("export DB_PASSWORD='hunter2hunter2'") == "export DB_PASSWORD='[secret]'");
  CHECK(f.scrub("https://ada:lovelace@host/x and https://host:8080/x") == "https://[secret]@host/x and https://host:8080/x");
  CHECK(f.scrub("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nrest") == "[secret]\nrest");
  CHECK(f.scrub("a -----BEGIN PRIVATE KEY-----\nMIIE") == "a [secret]");
  CHECK(f.scrub("/srv/ada/x.cpp:3 /home/bob/y /Users/eve/z /root/w") == "~/x.cpp:3 ~/y ~/z ~/w");
  same("/srv/adamant /usr/home/x /roots task-0123456789abcdef0123 float4 sk-x MAX_TOKENS=4096 KEY=VALUE");
  same("#include <omp.h>\nfor (long i = 0; i < n; ++i) y[i] = x[i] * 2; // hf_vectorized_block_of_sixteen_lanes\n");
}

TEST_CASE("variables of the environment are secrets by their names") {
  CHECK(secrets_in_environment({{"OPENAI_API_KEY", "0123456789"}, {"PATH", "/usr/bin:/bin"}, {"KEVOLVE_KEY", "/etc/key"}, {"gh_token", "abcdefghij"}, {"USE_TOKENS", "1"}}) ==
        std::vector<std::string>{"0123456789", "abcdefghij"});
}

TEST_CASE("changes are a unified diff with three lines of context, file by file") {
  CHECK(changes_between({{"k.cpp", "a\n"}}, {{"k.cpp", "a\n"}}).empty());
  CHECK(changes_between({}, {{"k.cpp", "a\nb\n"}}) == "--- a/k.cpp\n+++ b/k.cpp\n@@ -0,0 +1,2 @@\n+a\n+b\n");
  CHECK(changes_between({{"k.cpp", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n"}}, {{"k.cpp", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n11\n12\n13\n14\n16\nend\n"}}) ==
        "--- a/k.cpp\n+++ b/k.cpp\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n@@ -12,5 +12,5 @@\n 12\n 13\n 14\n-15\n 16\n+end\n");
  CHECK(changes_between({{"a", "x\n"}, {"b", "y\n"}}, {{"a", "z\n"}, {"b", "y\n"}}) == "--- a/a\n+++ b/a\n@@ -1,1 +1,1 @@\n-x\n+z\n");
}

TEST_CASE("sizes of one operator never part, and both halves have operators") {
  CHECK(operator_family("rms_norm_backward_h4096") == "rms_norm_backward");
  CHECK(operator_family("conv_transpose2d_4x4_c128_c64_h16") == "conv_transpose2d");
  CHECK(operator_family("embedding_bag_sum_v100k_d128") == "embedding_bag_sum");
  CHECK(operator_family("max_pool2d") == "max_pool2d");
  CHECK(operator_family("h4096") == "h4096");
  CHECK(split_of("rms_norm_h4096") == split_of("rms_norm_h8192"));
  CHECK(split_of("rms_norm_h4096") == "train"); // for ever: data sets of yesterday and tomorrow must not mix
  CHECK(split_of("layer_norm_h1024") == "test");
}

TEST_CASE("rewards order what may happen: cheating is the worst, whatever passes beats whatever does not") {
  const std::vector<double> rising{reward_of("passed", true, 8),        reward_of("duplicate", false, 0),      reward_of("compile_error", false, 0), reward_of("timeout", false, 0),
                                   reward_of("incorrect_numerical", false, 0), reward_of("passed", false, 0.1), reward_of("passed", false, 1),        reward_of("passed", false, 2),
                                   reward_of("passed", false, 4)};
  for (std::size_t i = 1; i < rising.size(); ++i)
    CHECK(rising[i - 1] < rising[i]);
  CHECK(reward_of("reward_hack", false, 0) == -1);
  CHECK(reward_of("quarantined", false, 0) == -1);
  CHECK(reward_of("passed", false, 1) == doctest::Approx(0.3));
  CHECK(reward_of("passed", false, 0) == doctest::Approx(0.3)); // a mended parent
  CHECK(reward_of("passed", false, 4) == doctest::Approx(2.3));
  CHECK(reward_of("passed", false, 1e9) == doctest::Approx(3.3));
}

TEST_CASE("a session's samples: each turn and edge with what came of it; what was stopped is none") {
  const auto all = samples(a_session());
  std::vector<std::string> seen;
  for (const trajectory_sample& s : all)
    seen.push_back(std::to_string(s.number) + "." + std::to_string(s.step) + (s.edge ? " edge " : " turn ") + s.outcome + (s.positive() ? "!" : "") + " " + s.provider);
  CHECK(seen == std::vector<std::string>{"1.0 turn refused vendor", "1.1 turn passed! vendor", "1.0 edge passed! vendor", "2.0 edge passed ", "3.0 turn reward_hack vendor", "3.0 edge reward_hack vendor",
                                         "4.0 edge compile_error ", "5.0 turn duplicate vendor"});
  CHECK(all[0].feedback == "it does not compile");
  CHECK(all[0].prompt == std::vector<chat_turn>{{"system", "rules"}, {"user", "write"}});
  CHECK(all[1].prompt == std::vector<chat_turn>{{"system", "rules"}, {"user", "write"}, {"assistant", "first"}, {"user", "it does not compile"}});
  CHECK(all[1].change == "--- a/kernel.cpp\n+++ b/kernel.cpp\n@@ -1,1 +1,1 @@\n-plain\n+fast\n");
  CHECK(all[1].reward == doctest::Approx(1.3).epsilon(0.001));
  CHECK(all[1].parent == root.id);
  CHECK(all[2].answer == "IDEA: wider\n```cpp\nfast\n```\n");
  CHECK(all[3].answer == "IDEA: vectorize(out, width=16)\n```schedule\nvectorize(out, width=16)\n```\n");
  CHECK(all[3].prompt == all[2].prompt); // of the same parent
  CHECK(all[3].prompt.back().content.find("plain") != std::string::npos);
  CHECK(all[4].reward == -1);
  CHECK(all[6].feedback.find("was not declared") != std::string::npos);
}

TEST_CASE("what a session ever found to cheat is positive nowhere: not in another session, not after a verification") {
  auto log = a_session();
  const auto elsewhere = samples_of(log, {fast.id});
  REQUIRE(elsewhere);
  for (const trajectory_sample& s : *elsewhere)
    CHECK_FALSE(s.positive());
  leader_verified verdict;
  verdict.number = 1;
  verdict.what = measured(fast, outcome::quarantined);
  log.push_back(verdict);
  for (const trajectory_sample& s : samples(log)) {
    CHECK_FALSE(s.positive());
    if (s.number == 1 && s.outcome != "refused")
      CHECK(s.reward == -1);
  }
  CHECK(trajectory_lines(trajectory_format::sft, samples(log), filter, 0).empty());
  const auto pairs = trajectory_lines(trajectory_format::dpo, samples(log), filter, 0);
  CHECK(pairs.size() == 3); // all that passed honestly, slower as it is, against what cheated or does not compile
  for (const std::string& line : pairs) {
    CHECK(json::parse(line)["chosen_number"] == 2);
    CHECK(json::parse(line)["rejected_number"] != 2);
  }
  for (const std::string& line : trajectory_lines(trajectory_format::kto, samples(log), filter, 0))
    CHECK(json::parse(line)["label"] == false);
}

TEST_CASE("every format of a session is free of planted secrets, and chooses what gained") {
  const auto all = samples(a_session());
  std::map<std::string, std::size_t> rows;
  for (const auto format : {trajectory_format::sft, trajectory_format::dpo, trajectory_format::kto, trajectory_format::grpo, trajectory_format::verl, trajectory_format::sts})
    for (const std::string& line : trajectory_lines(format, all, filter, 0)) {
      ++rows[std::string(to_string(format))];
      for (const char* secret : {"planted-value-123", "sk-proj-abcdef0123456789", "/home/ada"})
        CHECK_MESSAGE(line.find(secret) == std::string::npos, line);
      const json row = json::parse(line);
      if (row.contains("chosen"))
        CHECK((row["chosen_outcome"] == "passed" && row["chosen_number"] == 1));
    }
  CHECK(rows == std::map<std::string, std::size_t>{{"sft", 1}, {"kto", 6}, {"dpo", 4}, {"grpo", 4}, {"verl", 4}, {"sts", 13}});
  CHECK(trajectory_lines(trajectory_format::kto, all, filter, 0).front().find("first [secret]") != std::string::npos); // it was there to be found
}

TEST_CASE("one line of sft and kto") {
  const auto lines = trajectory_lines(trajectory_format::sft, {sample(1, false, "good", 1.3, true), sample(2, false, "bad", -0.4, false)}, filter, 0);
  REQUIRE(lines.size() == 1);
  const std::string rest = R"("session":"scale_n8-1","operator":"scale_n8","split":"train","target":"cpu/x86-64-v4/cpp","hardware":"cpu-test","problem":"p-1","step":0,"parent":"c0","integrity_violation":false,)"
                           R"("change":"+x","feedback":"said",)";
  const std::string good = R"("number":1,"kind":"turn","synthesizer":"small","provider":"vendor","model":"m-1","candidate":"c1","outcome":"passed","reward":1.3,"gain":2.0,"over_plain":2.0,"latency_s":0.5,)"
                           R"("tokens_read":100,"tokens_written":20,"cost_usd":0.5})";
  const std::string asked = R"({"prompt":[{"role":"system","content":"rules"},{"role":"user","content":"write"}],)";
  check_line(lines[0], asked + R"("completion":[{"role":"assistant","content":"good"}],)" + rest + good);
  const auto judged = trajectory_lines(trajectory_format::kto, {sample(1, false, "good", 1.3, true), sample(2, true, "bad", -0.4, false)}, filter, 0);
  REQUIRE(judged.size() == 2);
  check_line(judged[0], asked + R"("completion":[{"role":"assistant","content":"good"}],"label":true,)" + rest + good);
  check_line(judged[1], asked + R"("completion":[{"role":"assistant","content":"bad"}],"label":false,)" + rest +
                          R"("number":2,"kind":"edge","synthesizer":"generator","provider":null,"model":null,"candidate":"c2","outcome":"compile_error","reward":-0.4,"gain":null,"over_plain":null,)"
                          R"("latency_s":null,"tokens_read":0,"tokens_written":0,"cost_usd":0.0})");
}

TEST_CASE("one line of dpo") {
  const auto lines = trajectory_lines(trajectory_format::dpo, {sample(1, true, "good", 1.3, true), sample(2, true, "bad", -0.4, false)}, filter, 0);
  REQUIRE(lines.size() == 1);
  check_line(lines[0], R"({"prompt":[{"role":"system","content":"rules"},{"role":"user","content":"write"}],"chosen":[{"role":"assistant","content":"good"}],"rejected":[{"role":"assistant","content":"bad"}],)"
                       R"("session":"scale_n8-1","operator":"scale_n8","split":"train","target":"cpu/x86-64-v4/cpp","hardware":"cpu-test","problem":"p-1","kind":"edge",)"
                       R"("chosen_number":1,"chosen_synthesizer":"generator","chosen_provider":null,"chosen_model":null,"chosen_outcome":"passed","chosen_reward":1.3,"chosen_feedback":"said",)"
                       R"("rejected_number":2,"rejected_synthesizer":"generator","rejected_provider":null,"rejected_model":null,"rejected_outcome":"compile_error","rejected_reward":-0.4,"rejected_feedback":"said"})");
}

TEST_CASE("one line of grpo and verl") {
  const std::vector<trajectory_sample> both{sample(1, true, "good", 1.3, true), sample(2, true, "bad", -0.4, false)};
  const auto lines = trajectory_lines(trajectory_format::grpo, both, filter, 0);
  REQUIRE(lines.size() == 1);
  check_line(lines[0], R"({"prompt":[{"role":"system","content":"rules"},{"role":"user","content":"write"}],"session":"scale_n8-1","operator":"scale_n8","split":"train","target":"cpu/x86-64-v4/cpp",)"
                       R"("hardware":"cpu-test","problem":"p-1","kind":"edge","parent":"c0","plain_latency_s":1.0,"answers":["good","bad"],"rewards":[1.3,-0.4],"outcomes":["passed","compile_error"],)"
                       R"("synthesizers":["generator","generator"],"providers":["",""],"models":["",""]})");
  const auto rows = trajectory_lines(trajectory_format::verl, both, filter, 7);
  REQUIRE(rows.size() == 1);
  check_line(rows[0], R"({"data_source":"kevolve","prompt":[{"role":"system","content":"rules"},{"role":"user","content":"write"}],"ability":"kernel","reward_model":{"style":"rule","ground_truth":)"
                      R"("{\"operator\":\"scale_n8\",\"target\":\"cpu/x86-64-v4/cpp\",\"hardware\":\"cpu-test\",\"problem\":\"p-1\",\"parent\":\"c0\",\"plain_latency_s\":1.0}"},)"
                      R"("extra_info":{"split":"train","index":7,"session":"scale_n8-1","operator":"scale_n8","kind":"edge","synthesizer":"generator","provider":"","model":"","best_reward":1.3,"need_tools_kwargs":false}})");
}

TEST_CASE("the lines of sts") {
  const auto lines = trajectory_lines(trajectory_format::sts, {sample(1, false, "good", 1.3, true), sample(1, true, "good", 1.3, true)}, filter, 0);
  REQUIRE(lines.size() == 5);
  check_line(lines[0], R"({"type":"session","harness":"kevolve","id":"scale_n8-1","name":"scale_n8 on cpu/x86-64-v4/cpp","operator":"scale_n8","split":"train","hardware":"cpu-test"})");
  check_line(lines[1], R"({"type":"message","message":{"role":"system","content":"rules"}})");
  check_line(lines[2], R"({"type":"message","message":{"role":"user","content":"write"}})");
  const json said = json::parse(lines[3]);
  CHECK(said["message"] == json{{"role", "assistant"}, {"content", "good"}, {"provider", "vendor"}, {"model", "m-1"}});
  CHECK(said["reward"] == 1.3);
  check_line(lines[4], R"({"type":"message","message":{"role":"user","content":"What came of it: passed (reward 1.30)\nsaid"}})");
  CHECK(trajectory_lines(trajectory_format::sts, {sample(1, true, "good", 1.3, true)}, filter, 0).empty()); // the generator says nothing
}
