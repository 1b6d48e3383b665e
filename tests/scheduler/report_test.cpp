#include "scheduler/answers.hpp"
#include "scheduler/report.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace kevolve;
using namespace kevolve::scheduler;

namespace {

candidate make_candidate(const std::string& body, const std::string& verb) {
  candidate c;
  c.definition = "rms_norm_h4096";
  c.author = "generator";
  c.sources = {{"kernel.cpp", body}};
  c.printed_from = schedule{};
  if (!verb.empty())
    c.printed_from->steps = {{verb, "hidden", {{"width", "16"}}}};
  c.id = candidate_hash(c);
  return c;
}

evaluation passed(const candidate& c, double latency_s, const std::vector<comparison>& comparisons) {
  evaluation e;
  e.candidate = c.id;
  e.definition = c.definition;
  e.result = outcome::passed;
  workload_timing t;
  t.workload = "u-1";
  t.latency_s = latency_s;
  t.latency_ci95 = {latency_s * 0.99, latency_s * 1.01};
  t.roofline_fraction = 0.5;
  t.comparisons = comparisons;
  e.timings = {t};
  e.diagnosed.limited_by = bound::memory;
  e.diagnosed.roofline_fraction = 0.5;
  e.stages.compile_s = 0.4;
  e.stages.check_s = 0.1;
  e.stages.measure_s = 0.2;
  return e;
}

comparison against(const std::string& anchor, double ratio, double anchor_s) {
  comparison c;
  c.anchor = anchor;
  c.ratio = ratio;
  c.ratio_ci95 = {ratio * 0.98, ratio * 1.02};
  c.anchor_s = anchor_s;
  c.e_value = 1e6;
  c.blocks = 20;
  return c;
}

const candidate plain = make_candidate("plain", "");
const candidate fast = make_candidate("fast", "vectorize");

std::vector<event> a_session() {
  session_opened opening;
  opening.session = "rms_norm_h4096-20261121-104512-3fa9";
  opening.subject.op.name = "rms_norm_h4096";
  workload w;
  w.uuid = "u-1";
  w.name = "decode_256";
  w.axes = {{"M", 256}};
  opening.subject.workloads = {w};
  opening.on = {"cpu", "x86-64-v4", "cpp"};
  opening.settings.seed = 7;
  opening.settings.evaluations = 2;
  opening.hardware = "cpu-test";
  opening.at_ms = 1'000;
  proposal_made root;
  root.synthesizer = "generator";
  proposal_made child;
  child.number = 1;
  child.parents = {0};
  child.results_seen = 1;
  child.synthesizer = "generator";
  leader_verified verdict;
  verdict.number = 1;
  verdict.holds = true;
  verdict.what = passed(fast, 0.5e-3, {against("eager", 2.0, 1e-3), against("compile", 1.25, 0.625e-3), against(plain.id, 4.0, 2e-3)});
  verdict.speedup = 1.25;
  verdict.speedup_ci95 = {1.22, 1.28};
  verdict.best_baseline = "compile";
  session_finished end;
  end.stopped_by = "evaluations";
  end.wall_s = 3.5;
  end.cpu_s = 4.5;
  end.at_ms = 4'500;
  return {opening,
          root,
          candidate_added{0, plain, {"root", "plain loop nest", ""}},
          evaluation_recorded{0, 0, "", passed(plain, 2e-3, {})},
          child,
          candidate_added{1, fast, {"vectorize", "vectorize hidden by 16", "the hot loop is scalar"}},
          evaluation_recorded{1, 0, plain.id, passed(fast, 0.5e-3, {against(plain.id, 4.0, 2e-3)})},
          verdict,
          end};
}

} // namespace

TEST_CASE("an account of a session has its lineage with gains and its best") {
  const auto account = account_of(a_session());
  REQUIRE(account);
  CHECK(account->state == "finished");
  CHECK(account->evaluations == 2);
  REQUIRE(account->best);
  CHECK(*account->best == 1);
  CHECK(account->spent.compile_s == doctest::Approx(1.2));
  const auto steps = lineage(*account, 1);
  REQUIRE(steps.size() == 2);
  CHECK(steps[1]->gain == doctest::Approx(4.0).epsilon(0.001));
  CHECK(steps[1]->edge.reason == "the hot loop is scalar");
}

TEST_CASE("a log without its opening is damage, not an empty session") {
  CHECK_FALSE(account_of({}));
  const auto bad = account_of({session_finished{}});
  REQUIRE_FALSE(bad);
  CHECK(bad.error().code == errc::damaged);
}

TEST_CASE("the report says what was gained over which baseline, by which steps, and where the source lies") {
  const auto account = account_of(a_session());
  REQUIRE(account);
  report_facts facts;
  facts.source = "/data/leaders/rms_norm_h4096/x/kernel.cpp";
  facts.needed_s = 3.0;
  facts.missing = {"Nothing much."};
  const std::string id = fast.id.substr(0, 12);
  CHECK(session_report(*account, facts, {}) ==
        "rms_norm_h4096 on cpu/x86-64-v4/cpp: 1.25x over torch.compile (95% interval 1.22x to 1.28x), 50% of the roof, bound by memory\n"
        "stopped by evaluations after 2 evaluations in 3.5 s (3.0 s of it compiling and measuring); 2 passed; seed 7\n"
        "\n"
        "  workload    latency  of the roof  vs PyTorch eager                          vs torch.compile                         vs plain loop nest\n"
        "  decode_256   500 us          50%  2.00x (1.96x to 2.04x; it takes 1.00 ms)  1.25x (1.23x to 1.27x; it takes 625 us)  4.00x (3.92x to 4.08x; it takes 2.00 ms)\n"
        "\n"
        "What made it faster, step by step\n"
        "  step   gain  so far  latency  change and reason\n"
        "     0          1.00x  2.00 ms  plain loop nest\n"
        "     1  4.00x   4.00x   500 us  vectorize hidden by 16: the hot loop is scalar\n"
        "\n"
        "source   /data/leaders/rms_norm_h4096/x/kernel.cpp\n"
        "explain  kevolve explain " + id + "\n"
        "verify   kevolve verify " + id + "\n"
        "\n"
        "What is missing\n"
        "  Nothing much.\n");
}

TEST_CASE("the answer of optimize has the contract's fields") {
  const auto account = account_of(a_session());
  REQUIRE(account);
  const auto answer = nlohmann::json::parse(session_answer(*account, {}));
  for (const char* field : {"session", "operator", "target", "seed", "evaluations", "outcomes", "best", "stopped_by", "wall_s", "cpu_s", "needed_s"})
    CHECK_MESSAGE(answer.contains(field), field);
  CHECK(answer["outcomes"]["passed"] == 2);
  CHECK(answer["outcomes"]["compile_error"] == 0);
  const auto& best = answer["best"];
  CHECK(best["candidate"] == fast.id);
  CHECK(best["speedup"] == 1.25);
  CHECK(best["speedup_ci"] == nlohmann::json::array({1.22, 1.28}));
  CHECK(best["baseline"] == "compile");
  CHECK(best["latency_s"].get<double>() == doctest::Approx(0.5e-3));
  CHECK(best["roofline_fraction"] == 0.5);
  CHECK(best["bound"] == "memory");
  CHECK(best["baselines"]["plain"]["speedup"].get<double>() == doctest::Approx(4.0));
}

TEST_CASE("where several synthesizers wrote, each one's proposals, gains and cost are told") {
  auto events = a_session();
  auto& opening = std::get<session_opened>(events.front());
  opening.settings.synthesizers = {"generator", "small"};
  opening.settings.ensemble = ensemble_kind::bandit;
  proposal_made by_model{2, {0}, memory_operator::inherit, 1, 0, "", "small"};
  model_asked asked{.number = 2, .synthesizer = "small", .model = "m", .reserved_tokens = 100, .reserved_usd = 0.5};
  model_answered said{.number = 2, .text = "no code", .used = {60, 0, 20, 0}, .cost_usd = 0.0125};
  events.insert(events.end() - 1, {by_model, asked, said, proposal_closed{2, "small: no code"}});
  const auto account = account_of(events);
  REQUIRE(account);
  const auto answer = nlohmann::json::parse(session_answer(*account, {}));
  CHECK(answer["ensemble"] == "bandit");
  CHECK(answer["synthesizers"].dump() == R"([{"cost_usd":0.0,"gains":1,"name":"generator","passed":1,"proposals":1},{"cost_usd":0.0125,"gains":0,"name":"small","passed":0,"proposals":1}])");
  CHECK(session_report(*account, {}, {}).find("\nWho wrote (chosen by the bandit)\n"
                                              "  synthesizer  proposals  passed  gains        cost\n"
                                              "  generator            1       1      1  0.0000 USD\n"
                                              "  small                1       0      0  0.0125 USD\n") != std::string::npos);
}

TEST_CASE("a session in which nothing passed has no best") {
  auto events = a_session();
  events.resize(2);
  const auto account = account_of(events);
  REQUIRE(account);
  CHECK(account->state == "running");
  const auto answer = nlohmann::json::parse(session_answer(*account, {}));
  CHECK(answer["best"].is_null());
  CHECK(answer["stopped_by"].is_null());
  CHECK(session_report(*account, {}, {}).find("nothing passed") != std::string::npos);
}

TEST_CASE("a progress line has the best so far, evaluations by outcome and the time left") {
  session_progress p;
  p.phase = "searching";
  p.evaluations = 34;
  p.outcomes = {{outcome::passed, 30}, {outcome::compile_error, 4}};
  p.best_latency_s = 412e-6;
  p.best_over_root = 3.21;
  p.roofline_fraction = 0.71;
  p.time_left_s = 41.3;
  p.best_edge = "vectorize hidden by 16";
  CHECK(progress_line("rms_norm_h4096", p) ==
        "rms_norm_h4096  best 412 us (3.21x over plain, 71% of the roof)  34 evaluations (30 passed, 4 compile_error)  41 s left  vectorize hidden by 16");
  session_progress first;
  first.phase = "calibrating";
  first.evaluations_budget = 8;
  first.time_left_s = -1;
  CHECK(progress_line("x", first) == "x  nothing passed yet  0/8 evaluations  0.0 s  calibrating");
}

TEST_CASE("compiles count by slots in what a session needed, measuring does not") {
  stage_times t;
  t.compile_s = 8;
  t.check_s = 1;
  t.measure_s = 3;
  t.profile_s = 0.5;
  t.queued_s = 100;
  CHECK(needed_seconds(t, 2) == 8.5);
  CHECK(needed_seconds(t, 0) == 12.5);
}

TEST_CASE("an error's answer carries its kind and exit code") {
  const auto answer = nlohmann::json::parse(error_answer({errc::no_agent, "nobody \xff serves it"}));
  CHECK(answer["error"]["code"] == "no_agent");
  CHECK(answer["error"]["exit_code"] == 6);
}
