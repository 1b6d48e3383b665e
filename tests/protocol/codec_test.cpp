// The wire and the store's bytes: every message and event there and back, pinned bytes of version 1, and hostile bytes.
#include "protocol/codec.hpp"
#include "protocol/event.hpp"
#include "protocol/limits.hpp"
#include "protocol/message.hpp"
#include "protocol/rng.hpp"

#include <cstdlib>
#include <doctest/doctest.h>
#include <new>
#include <set>

using namespace kevolve;

namespace {

problem sample_problem() {
  graph g{1, {{"x", dtype::float32, {"M", "8"}}}, {{"aten.mul.Tensor", {}, {{"out", dtype::float32, {"M", "8"}}}}}, {"out"}};
  g.nodes[0].arguments = {{"self", {argument_kind::value, "x", 0, false, {}}},
                          {"other", {argument_kind::list, "", 0, false, {{argument_kind::real, "", -0.5, false, {}}}}}};
  operator_definition op{.name = "scale", .axes = {{.name = "M"}}, .inputs = {{.name = "x", .shape = {"M", "8"}}}, .traced = g};
  op.distributions = {{"x", distribution_kind::uniform, 0, 1}};
  return {op, {{.uuid = "u", .name = "small", .axes = {{"M", 3}}, .inputs = {{.name = "x"}}, .tolerated = tolerance{}}}};
}

candidate sample_candidate() {
  candidate c{.definition = "scale", .author = "generator", .sources = {{"kernel.cpp", std::string("int x;\0", 7)}}};
  c.printed_from = schedule{1, {{"vectorize", "hidden", {{"width", "16"}}}}};
  c.id = candidate_hash(c);
  return c;
}

evaluation sample_evaluation() {
  evaluation e{.candidate = "abc", .definition = "scale", .result = outcome::passed, .at_ms = -5};
  e.timings = {{.workload = "u", .latency_s = 1e-3, .samples_s = {1e-3, 2e-3}, .comparisons = {{.anchor = "eager", .ratio = 2}}}};
  e.diagnosed.counters = {{"cycles", 1e12}};
  return e;
}

session_opened by_bandit() {
  session_opened opened{"s", sample_problem(), {"cpu", "x86-64-v4", "cpp"}, {.synthesizers = {"generator", "m"}}, "cpu-x", 1};
  opened.settings.ensemble = ensemble_kind::bandit;
  opened.synthesizers = {{"generator", {10, 9, 3, 0}}, {"m", {4, 2, 1, 0.5}}};
  return opened;
}

session_opened written_elsewhere() {
  session_opened opened = by_bandit();
  opened.settings.written_on = {"", "any"};
  return opened;
}

session_opened on_chosen_hosts() {
  session_opened opened = by_bandit();
  opened.settings.hosts = "rack1,!spot|big";
  return opened;
}

session_opened begun_with_leaders() {
  session_opened opened = by_bandit();
  opened.priors = {{"leader:abc", {1, {{"unroll", "out", {{"factor", "8"}}}}}}};
  return opened;
}

/// One of every alternative, with something in every kind of field.
std::vector<event> every_event() {
  return {session_opened{"s", sample_problem(), {"cpu", "x86-64-v4", "cpp"}, {.seed = ~0ull}, "cpu-x", 1},
          proposal_made{3, {1, 2}, memory_operator::combined, 7, 1, "leader:abc", "generator"},
          candidate_added{3, sample_candidate(), {"vectorize", "by 16", "why"}},
          candidate_added{3, sample_candidate(), {"vectorize", "by 16", "why"}, "fleet.host/1", 2},
          proposal_closed{4, "duplicate"},
          evaluation_recorded{3, 1, "anchor", sample_evaluation()},
          evaluation_discarded{3, 2, "late"},
          leader_verified{3, true, sample_evaluation(), 2.5, {2, 3}, "eager"},
          session_paused{"signal", 5},
          session_resumed{6},
          actor_restarted{"evaluator", "threw"},
          session_finished{"goal", "", 1.5, 2.5, 7},
          budget_changed{9, 2.5, 1.5, 8},
          skills_learnt{"reduction", {{"unroll(factor=4)", bound::memory, 3, 2, 1, 0.5}}, 9},
          model_asked{3, 1, "local", "m-1", "repair", "rules", {"write it", "int x;", "it does not compile"}, 4000, 0.25, 10},
          model_asked{3, 2, "local", "m-1", "repair", "rules", {"write it"}, 4000, 0.25, 10, "vendor"},
          by_bandit(),
          written_elsewhere(), on_chosen_hosts(), begun_with_leaders(),
          model_answered{3, 1, "text", "because", "end", "", {900, 300, 80, 20}, 0.01, 2.5, 2, "req-1", 11}};
}

compile_work sample_compilation() { return {sample_candidate(), "g++ 12.2.0", {"x86_64", 2036, {"-march=x86-64-v4", "-mavx512vnni"}}, 20}; }

compile_made sample_program() {
  compile_made made{sample_candidate().id, true, {std::string(64, 'a'), 16384}, "a warning", {"kernel.cpp:3: optimized: loop vectorized"}, "g++ 12.2.0", true};
  made.wall_s = 0.25;
  return made;
}

/// A writer's answer, with a request that it cost.
written sample_writing() {
  return {"print", sample_candidate(), {"model", "wider", "why"}, errc::synthesizer, "", {{model_asked{3, 0, "local", "m-1"}, model_answered{3, 0, "text"}}}};
}

std::vector<envelope> every_message() {
  evaluate_work work{sample_problem(), {}, sample_candidate(), {sample_candidate()}, {"eager"}, effort::verify, 9, 1.5};
  std::vector<message> bodies{agent_hello{"a", "1", 1, {{"cpu0", "cpu-x", {}, 2}}, 4}, agent_heartbeat{1, 0.5}, lease_accepted{"l", 2},
                              lease_finished{"l", 2, sample_evaluation()}, lease_finished{"l", 2, sample_problem()},
                              lease_finished{"l", 2, std::string("died")}, agent_goodbye{"drained"}, agent_welcome{"s", 1},
                              lease_granted{"l", 2, 3.5, work}, lease_granted{"l", 2, 3.5, trace_work{"k.py", "cpu"}},
                              lease_cancelled{"l", 2}, result_acknowledged{"l", 2}, agent_drain{1},
                              compile_wanted{"r", sample_compilation()}, compile_dropped{"r"}, lease_offered{"l", 2, 3.5, {std::string(64, 'a'), 9'000'000}},
                              lease_granted{"l", 2, 3.5, sample_compilation()}, lease_finished{"l", 2, sample_program()}, lease_finished{"l", 2, blob_reference{std::string(64, 'a'), 9}},
                              compile_answered{"r", sample_program()}, compile_answered{"r", std::string("nobody has g++")},
                              blob_wanted{std::string(64, 'a'), 262144, 4096, "agent/1"}, blob_piece{std::string(64, 'a'), 262144, std::string("\0\1\xff", 3), "agent/1"},
                              blob_missing{std::string(64, 'a'), ""},
                              lease_granted{"w", 1, 60, write_work{"local", "print", std::string("\x81\0", 2), 4000, 0.25, 600}}, lease_granted{"w", 2, 60, kept_work{"print"}},
                              lease_finished{"w", 1, sample_writing()}, lease_finished{"w", 1, written{"print", std::nullopt, {}, errc::budget, "no room"}}};
  agent_hello writes{"a", "1", 1};
  writes.writers = {{"local", "m-1", "vendor", 1000}};
  writes.writing_slots = 2;
  writes.labels = {"gpu"};
  bodies.push_back(std::move(writes));
  std::vector<envelope> all;
  for (auto& body : bodies)
    all.push_back({1, "from", "to", all.size(), std::move(body)});
  return all;
}

std::string hex(const std::string& bytes) {
  std::string out;
  for (unsigned char c : bytes) {
    out += "0123456789abcdef"[c >> 4];
    out += "0123456789abcdef"[c & 15];
  }
  return out;
}

/// Whatever these bytes are, decoding ends with a value or an error; a value that encodes again decodes to the same bytes.
template <class T>
void survive(const std::string& bytes) {
  auto decoded = decode<T>(bytes);
  if (!decoded) {
    CHECK(decoded.error().code == errc::damaged);
    CHECK(decoded.error().message.size() < 1000);
    return;
  }
  const auto once = encode(*decoded);
  auto again = decode<T>(once);
  REQUIRE(again);
  CHECK(encode(*again) == once);
}

} // namespace

TEST_CASE("every event and message comes back as it was") {
  std::set<std::size_t> kinds;
  for (const event& e : every_event())
    kinds.insert(e.index());
  CHECK(kinds.size() == std::variant_size_v<event>);
  for (const auto& e : every_event()) {
    auto again = decode<event>(encode(e));
    CAPTURE(kind_of(e));
    if (!again)
      FAIL(again.error().message);
    CHECK(again->index() == e.index());
    CHECK(encode(*again) == encode(e));
  }
  for (const auto& m : every_message()) {
    auto again = decode<envelope>(encode(m));
    if (!again)
      FAIL(again.error().message);
    CHECK(again->body.index() == m.body.index());
    CHECK(encode(*again) == encode(m));
  }
  auto e = decode<evaluation>(encode(sample_evaluation()));
  REQUIRE(e);
  CHECK(*e == sample_evaluation());
  auto c = decode<candidate>(encode(sample_candidate()));
  REQUIRE(c);
  CHECK(*c == sample_candidate());
  auto op = decode<operator_definition>(encode(sample_problem().op));
  REQUIRE(op);
  CHECK(*op == sample_problem().op);
}

TEST_CASE("what an opening begins with is written where there is something, and comes back") {
  CHECK(encode(event{by_bandit()}).find("priors") == std::string::npos); // as it was before leaders were adapted
  const auto again = decode<event>(encode(event{begun_with_leaders()}));
  REQUIRE(again);
  CHECK(std::get<session_opened>(*again).priors == begun_with_leaders().priors);
}

TEST_CASE("the bytes of version 1 do not change") {
  CHECK(hex(encode(event{session_paused{"signal", 5}})) ==
        "920782a6726561736f6ea67369676e616ca561745f6d7305");
  CHECK(hex(encode(event{proposal_made{3, {1, 2}, memory_operator::combined, 7, 1, "", "generator"}})) ==
        "920187a66e756d62657203a7706172656e7473920102a66d656d6f727902ac726573756c74735f7365656e07a669736c616e6401a57072696f72a0ab73796e74686573697a6572a967656e657261746f72");
  CHECK(hex(encode(envelope{1, "a", "s", 300, lease_accepted{"l7", 2}})) ==
        "85a776657273696f6e01a673656e646572a161a87265636569766572a173a873657175656e6365cd012ca4626f6479920282a56c65617365a26c37a565706f636802");
  CHECK(hex(encode(workload{.uuid = "u", .axes = {{"M", -1}}, .inputs = {{.name = "x", .kind = input_kind::scalar, .value = 0.5}}})) ==
        "86a475756964a175a46e616d65a0a4617865739192a14dffa6696e707574739185a46e616d65a178a46b696e6401a576616c7565cb3fe0000000000000a470617468a0aa74656e736f725f6b6579a0a9746f6c657261746564c0a56578747261a0");
}

TEST_CASE("an older reader skips what it does not know, a newer one keeps defaults for what is missing") {
  // {"reason": "r", "since": [1, {"a": nil}], "at_ms": 9}
  const std::string newer("\x83\xa6reason\xa1r\xa5since\x92\x01\x81\xa1" "a\xc0\xa5" "at_ms\x09", 29);
  auto read = decode<session_paused>(newer);
  REQUIRE(read);
  CHECK(read->at_ms == 9);
  auto older = decode<session_settings>(std::string("\x81\xa4seed\x05", 7));
  REQUIRE(older);
  CHECK(older->seed == 5);
  CHECK(older->in_flight == session_settings{}.in_flight);
}

TEST_CASE("truncation at every byte is an error, and so is what follows") {
  for (const auto& m : every_message()) {
    const auto bytes = encode(m);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      auto decoded = decode<envelope>(std::string_view(bytes).substr(0, size));
      REQUIRE_FALSE(decoded);
    }
    CHECK_FALSE(decode<envelope>(bytes + '\0'));
  }
}

TEST_CASE("flipped bits end in a value or an error, never in anything else") {
  rng draw(1, 0, "flips");
  for (const auto& e : every_event()) {
    const auto bytes = encode(e);
    for (int trial = 0; trial < 400; ++trial) {
      auto damaged = bytes;
      for (auto flips = 1 + draw.below(4); flips > 0; --flips)
        damaged[draw.below(damaged.size())] ^= static_cast<char>(1u << draw.below(8));
      survive<event>(damaged);
      survive<envelope>(damaged);
    }
  }
}

TEST_CASE("lying lengths, deep nesting, unknown alternatives and duplicate fields are errors") {
  for (std::string bytes : {std::string("\xdd\xff\xff\xff\xff", 5), std::string("\xdf\xff\xff\xff\xff", 5), std::string("\xdb\xff\xff\xff\xff", 5),
                            std::string("\xdc\xff\xff", 3), std::string("\xc7\x01\x01\x00", 4), std::string("\xc1", 1)}) {
    survive<event>(bytes);
    CHECK_FALSE(decode<std::vector<std::string>>(bytes));
    CHECK_FALSE(decode<std::string>(bytes));
    // as the value of a field that nobody knows
    CHECK_FALSE(decode<session_paused>("\x81\xa1z" + bytes));
  }
  CHECK_FALSE(decode<session_paused>("\x81\xa1z" + std::string(100000, '\x91')));
  std::string nested; // a list argument within a list argument, and so on
  for (int i = 0; i < 10000; ++i)
    nested += "\x81\xa5items\x91";
  CHECK_FALSE(decode<argument>(nested));
  CHECK_FALSE(decode<event>(std::string("\x92\x7f\x80", 3)));
  CHECK_FALSE(decode<session_paused>(std::string("\x82\xa5" "at_ms\x01\xa5" "at_ms\x02", 15)));
  CHECK_FALSE(decode<dtype>(std::string("\x63", 1)));
  CHECK_FALSE(decode<std::uint32_t>(std::string("\xcf\x00\x00\x00\x01\x00\x00\x00\x00", 9)));
  CHECK_FALSE(decode<std::uint64_t>(std::string("\xff", 1)));
}

TEST_CASE("a frame of tiny elements cannot make the reader allocate without bound") {
  // An array of a million empty maps: one byte each on the wire, hundreds in memory.
  std::string bytes("\xdd\x00\x0f\x42\x40", 5);
  bytes.append(1'000'000, '\x80');
  auto decoded = decode<std::vector<workload_timing>>(bytes);
  REQUIRE_FALSE(decoded);
  CHECK(decoded.error().message.find("memory") != std::string::npos);
}

TEST_CASE("a traced graph of very many operations is within what the reader may allocate") {
  problem large = sample_problem();
  graph& g = *large.op.traced;
  const graph_node one{"aten.convolution.default",
                       {{"input", {argument_kind::value, "relu_12", 0, false, {}}}, {"weight", {argument_kind::value, "layer3_conv1_weight", 0, false, {}}}, {"bias", {}},
                        {"stride", {argument_kind::list, "", 0, false, {{argument_kind::expression, "1", 0, false, {}}, {argument_kind::expression, "1", 0, false, {}}}}},
                        {"transposed", {argument_kind::boolean, "", 0, false, {}}}, {"groups", {argument_kind::expression, "1", 0, false, {}}}},
                       {{"conv_13", dtype::float32, {"N", "256", "14", "14"}}}};
  for (const std::size_t nodes : {100u, 2'000u, 15'000u}) {
    g.nodes.assign(nodes, one);
    const std::string bytes = encode(message(lease_granted{"l", 1, 60, evaluate_work{.subject = large, .what = sample_candidate()}}));
    INFO(nodes << " operations, " << bytes.size() << " bytes");
    REQUIRE(bytes.size() < limits::frame_bytes);
    auto decoded = decode<message>(bytes);
    CHECK_MESSAGE(decoded, (decoded ? std::string() : decoded.error().message));
  }
}
