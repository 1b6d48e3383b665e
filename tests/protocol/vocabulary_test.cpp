// Expressions, axes, identities and names.
#include "protocol/candidate.hpp"
#include "protocol/event.hpp"
#include "protocol/host_selection.hpp"
#include "protocol/operator.hpp"
#include "protocol/skill.hpp"

#include <doctest/doctest.h>

using namespace kevolve;

namespace {

const axis_binding axes{{"M", 7}, {"L", 20}, {"H_1", 4096}};

std::int64_t value(const char* text) {
  auto found = evaluate(text, axes);
  CAPTURE(text);
  if (!found)
    FAIL(found.error().message);
  return *found;
}

std::string complaint(const std::string& text) {
  auto found = evaluate(text, axes);
  CAPTURE(text);
  REQUIRE_FALSE(found);
  return found.error().message;
}

operator_definition matrix() {
  return {.name = "t",
          .axes = {{.name = "T", .kind = axis_kind::expression, .expression = "M*N"},
                   {.name = "M"},
                   {.name = "N", .kind = axis_kind::constant, .value = 4}},
          .inputs = {{.name = "x", .shape = {"M", "N"}}},
          .outputs = {{.name = "out", .shape = {"T"}}}};
}

candidate sample() { return {.build = {.flags = {"-O3"}}, .sources = {{"a.cpp", "int a;"}, {"b.hpp", ""}}}; }

} // namespace

TEST_CASE("expressions follow Python's precedence and rounding") {
  CHECK(value("(L + 2*3 - 3)//2 + 1") == 12);
  CHECK(value("M*H_1") == 7 * 4096);
  CHECK(value("-7//2") == -4);
  CHECK(value("7//-2") == -4);
  CHECK(value("-7 % 3") == 2);
  CHECK(value("7 % -3") == -2);
  CHECK(value("2**3**2") == 512);
  CHECK(value("-2**2") == -4);
  CHECK(value("12 / 4 / 3") == 1);
  CHECK(value("10 - 4 - 3") == 3);
  CHECK(value("  9223372036854775807 ") == 9223372036854775807);
}

TEST_CASE("what an expression cannot mean is an error with its position") {
  CHECK(complaint("M/2").find("7 / 2 does not divide exactly") != std::string::npos);
  CHECK(complaint("M//0").find("division by zero") != std::string::npos);
  CHECK(complaint("M %(L-20)").find("division by zero") != std::string::npos);
  CHECK(complaint("Q + 1").find("axis 'Q' is not known") != std::string::npos);
  CHECK(complaint("M +").find("position 4") != std::string::npos);
  CHECK(complaint("M M").find("position 3") != std::string::npos);
  CHECK(complaint("(M").find("expected ')'") != std::string::npos);
  CHECK(complaint("").find("the end") != std::string::npos);
  CHECK(complaint("2**63").find("2^63") != std::string::npos);
  CHECK(complaint("9223372036854775808").find("2^63") != std::string::npos);
  CHECK(complaint("H_1*H_1*H_1*H_1*H_1*H_1").find("2^63") != std::string::npos);
  CHECK(complaint("2**-1").find("negative exponent") != std::string::npos);
  CHECK(complaint(std::string(100000, '(')).find("nested") != std::string::npos);
  CHECK(complaint(std::string(100000, '-')).find("nested") != std::string::npos);
  CHECK(complaint("1.5").find("'.'") != std::string::npos);
  CHECK_FALSE(names_in("M*"));
  CHECK(*names_in("b*(a + b)//a_2 - 3") == std::vector<std::string>{"b", "a", "a_2"});
}

TEST_CASE("binding gives every axis a value, in the definition's order") {
  auto bound = bind_axes(matrix(), {{"M", 3}});
  REQUIRE(bound);
  CHECK(*bound == axis_binding{{"T", 12}, {"M", 3}, {"N", 4}});
}

TEST_CASE("a binding that does not fit names the axis") {
  auto message = [](const operator_definition& op, const axis_binding& variable) {
    auto bound = bind_axes(op, variable);
    REQUIRE_FALSE(bound);
    CHECK(bound.error().code == errc::specification);
    return bound.error().message;
  };
  CHECK(message(matrix(), {}).find("'M'") != std::string::npos);
  CHECK(message(matrix(), {{"M", 0}}).find("at least 1") != std::string::npos);
  CHECK(message(matrix(), {{"M", -5}}).find("-5") != std::string::npos);
  CHECK(message(matrix(), {{"M", 1}, {"M", 2}}).find("twice") != std::string::npos);
  CHECK(message(matrix(), {{"M", 1}, {"N", 2}}).find("'N'") != std::string::npos);
  CHECK(message(matrix(), {{"M", std::int64_t{1} << 62}}).find("2^63") != std::string::npos);
  auto circular = matrix();
  circular.axes[0].expression = "T + 1";
  CHECK(message(circular, {{"M", 1}}).find("'T'") != std::string::npos);
  auto empty = matrix();
  empty.axes[2].value = 0;
  CHECK(message(empty, {{"M", 1}}).find("size 0") != std::string::npos);
  auto deep = matrix();
  deep.inputs[0].shape.assign(17, "N");
  CHECK(message(deep, {{"M", 1}}).find("rank 17") != std::string::npos);
  CHECK_FALSE(element_count({std::int64_t{1} << 40, std::int64_t{1} << 40}));
  CHECK(*element_count({}) == 1);
}

TEST_CASE("a candidate's id is its sources, entry point and build options, nothing else") {
  // Pinned: candidates in stores keep their ids for ever.
  CHECK(candidate_hash(sample()) == "0f36a249ee0ed480770c8866411c10d1616c8b635d8a0a8aa82a66d944c9052e");
  auto other = sample();
  std::swap(other.sources[0], other.sources[1]);
  other.author = "somebody";
  other.description = "else";
  other.definition = "op";
  other.printed_from = schedule{};
  CHECK(candidate_hash(other) == candidate_hash(sample()));
  std::vector<candidate> different(6, sample());
  different[0].sources[0].content += " ";
  different[1].sources[0].path = "c.cpp";
  different[2].build.flags.push_back("-g");
  different[3].build.flags = {"-O", "3"};
  different[4].build.compiler = "clang++";
  different[5].build.entry_point = "a.cpp::g";
  for (const auto& c : different)
    CHECK(candidate_hash(c) != candidate_hash(sample()));
  auto moved = sample(); // the same bytes, cut elsewhere
  moved.sources = {{"a.cppint", " a;"}, {"b.hpp", ""}};
  CHECK(candidate_hash(moved) != candidate_hash(sample()));
}

TEST_CASE("targets are read back as written") {
  for (const char* text : {"cpu", "cpu/x86-64-v4/cpp", "cuda/sm_90/triton", "hip/gfx942/hip", "mtia/2i/mtia-cpp"}) {
    auto t = target_from_string(text);
    REQUIRE(t);
    CHECK(to_string(*t) == text);
  }
  CHECK(target_from_string("cuda")->language == "cuda");
  CHECK(to_string(target{"cuda", "", "triton"}) == "cuda//triton");
  CHECK(*target_from_string("cuda//triton") == target{"cuda", "", "triton"});
  for (const char* text : {"", "tpu", "cpu/a/b/c", "cpu/a/", "cpu/a b", "CPU"})
    CHECK_FALSE(target_from_string(text));
}

TEST_CASE("a strategy is a schedule without its numbers") {
  schedule s{1, {{"vectorize", "hidden", {{"width", "16"}, {"tail", "mask"}}}, {"tile", "row", {{"size", "4x16"}}}, {"fuse", "", {}}}};
  CHECK(to_string(s) == "vectorize(hidden, width=16, tail=mask); tile(row, size=4x16); fuse()");
  CHECK(strategy_of(s) == "vectorize(hidden, tail=mask); tile(row); fuse()");
}

TEST_CASE("a skill is a transformation without what it was applied to") {
  CHECK(transformation_of("vectorize(out, width=8)") == "vectorize(width=8)");
  CHECK(transformation_of("cache_block(out, mc=4, kc=256)") == "cache_block(mc=4, kc=256)");
  CHECK(transformation_of("keep(exp)") == "keep()");
  CHECK(transformation_of("flag(-O2)") == "flag(-O2)");
  CHECK(transformation_of("plain stores") == "plain stores");
  CHECK(transformation_of("recompute mean_sum") == "recompute");
  CHECK(transformation_of("approximate(exp)") == "approximate(exp)");
  CHECK(transformation_of("recompute exp") == "recompute");
  CHECK(transformation_of("") == "");
  std::vector<skill> all;
  add_evidence(all, {"unroll(factor=4)", bound::memory, 1, 1, 0, 0.5});
  add_evidence(all, {"unroll(factor=4)", bound::compute, 1, 0, 1, 0});
  add_evidence(all, {"unroll(factor=4)", bound::memory, 2, 0, 0, -0.25});
  REQUIRE(all.size() == 2);
  CHECK(all[0] == skill{"unroll(factor=4)", bound::memory, 3, 1, 0, 0.25});
}

TEST_CASE("operators are alike by what their graphs do") {
  const auto features = [](std::vector<std::string> operations) {
    operator_definition op;
    op.traced = graph{};
    for (auto& o : operations)
      op.traced->nodes.push_back({o, {}, {}});
    return features_of(op);
  };
  CHECK(features({"aten.mul.Tensor", "aten.sigmoid.default"}) == "elementwise");
  CHECK(features({"aten.pow.Tensor_Scalar", "aten.mean.dim", "aten.rsqrt.default"}) == "reduction");
  CHECK(features({"aten.mm.default", "aten._softmax.default"}) == "contraction+reduction");
  CHECK(features({"aten.embedding.default"}) == "gather");
  CHECK(features_of({}) == "elementwise");
}

TEST_CASE("a schedule for another operator names no loop or tensor of the first") {
  const schedule from{1, {{"fuse", "*", {}}, {"keep", "exp", {}}, {"vectorize", "*", {{"width", "16"}}}, {"vectorize", "out", {{"width", "8"}}},
                          {"register_block", "out", {{"m", "6"}, {"n", "64"}}}, {"approximate", "exp", {}}, {"flag", "-O2", {}}}};
  const schedule expected{1, {{"fuse", "*", {}}, {"vectorize", "*", {{"width", "8"}}}, {"register_block", "*", {{"m", "6"}, {"n", "64"}}},
                              {"approximate", "exp", {}}, {"flag", "-O2", {}}}};
  CHECK(transferable(from) == expected);
}

TEST_CASE("every error has the contract's exit code") {
  CHECK(exit_code(errc::usage) == 2);
  CHECK(exit_code(errc::specification) == 2);
  CHECK(exit_code(errc::configuration) == 4);
  CHECK(exit_code(errc::synthesizer) == 5);
  CHECK(exit_code(errc::no_agent) == 6);
  CHECK(exit_code(errc::budget) == 7);
  CHECK(exit_code(errc::busy) == 75);
  CHECK(exit_code(errc::interrupted) == 130);
  CHECK(exit_code(errc::damaged) == 1);
}

TEST_CASE("types have their names and sizes") {
  for (std::uint64_t i = 0; i <= enum_max(dtype{}); ++i)
    CHECK(dtype_from_string(to_string(static_cast<dtype>(i))) == static_cast<dtype>(i));
  CHECK_FALSE(dtype_from_string("float31"));
  CHECK(size_of(dtype::bfloat16) == 2);
  CHECK(is_floating(dtype::float8_e5m2));
  CHECK_FALSE(is_floating(dtype::boolean));
}

TEST_CASE("policies and events have names") {
  CHECK(*policy_from_string("mcts") == policy_kind::mcts);
  CHECK_FALSE(policy_from_string("best"));
  CHECK(kind_of(session_finished{}) == "session_finished");
  CHECK(kind_of(leader_verified{}) == "leader_verified");
}

TEST_CASE("hosts are chosen by labels and names: commas for and, | for or, ! for not") {
  const std::vector<std::string> labels{"rack1", "spot"};
  for (const char* yes : {"", "any", "rack1", "fleet.x", "rack1,spot", "rack2|spot", "!big", "!spot|rack1", "rack1,!big,any"})
    CHECK_MESSAGE(selects(yes, "fleet.x", labels), yes);
  for (const char* no : {"rack2", "rack", "fleet", "rack1,big", "!spot", "!fleet.x", "rack1,!spot", "big|rack2", "!any"})
    CHECK_FALSE_MESSAGE(selects(no, "fleet.x", labels), no);
  for (const char* wrong : {",", "a,", "a||b", "!", "!!a", "a b", "a&b", "a@b"}) {
    const auto found = check_hosts(wrong);
    REQUIRE_MESSAGE(!found, wrong);
    CHECK(found.error().code == errc::usage);
  }
  const auto on = selected_target_from_string("cpu/x86-64-v4/cpp@rack1,!spot");
  REQUIRE(on);
  CHECK(to_string(on->on) == "cpu/x86-64-v4/cpp");
  CHECK(on->hosts == "rack1,!spot");
  CHECK(selected_target_from_string("cpu")->hosts.empty());
  CHECK_FALSE(selected_target_from_string("cpu@"));
  CHECK_FALSE(selected_target_from_string("nothing@rack1"));
}
