#include "actors/synthesis/generator.hpp"
#include "actors/synthesis/index.hpp"
#include "actors/synthesis/schedule_text.hpp"
#include "tests/synthesis/cases.hpp"
#include "tests/synthesis/workbench.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

using namespace kevolve;
using synthesis::index;

namespace {

operator_definition case_named(const std::string& name) {
  for (const auto& op : cases::all())
    if (op.name == name)
      return op;
  FAIL("no case called ", name);
  return {};
}

std::unique_ptr<synthesis::generator> generator_of(const std::string& name) {
  auto g = synthesis::generator::make({case_named(name), {}}, target{}, "g++");
  REQUIRE(g);
  return std::move(*g);
}

} // namespace

TEST_CASE("merging and splitting an index gives it back") {
  const auto i = index::loop("i", 12);
  const auto j = index::loop("j", 7);
  const auto merged = i * 7 + j;
  CHECK(floor_div(merged, 7) == i);
  CHECK(modulo(merged, 7) == j);
  const auto k = index::loop("k", 84);
  CHECK(floor_div(k, 7) * 7 + modulo(k, 7) == k);
  CHECK(modulo(k, 7).within(7) == false); // not proven, so it must not be claimed
}

TEST_CASE("symbolic extents divide exactly where they are factors") {
  const auto B = index::axis("B");
  const auto row = index::loop("row", index::axis("A"));
  const auto column = index::loop("column", B);
  CHECK(floor_div(row * B + column, B) == row);
  CHECK(modulo(row * B + column, B) == column);
}

TEST_CASE("expressions over axes parse, and name what they do not know") {
  const std::map<std::string, index> names{{"L", index::axis("L")}, {"P", index(3)}};
  CHECK(*synthesis::parse_index("(L + 2*P - 3)//1 + 1", names) == index::axis("L") + 4);
  const auto unknown = synthesis::parse_index("L*Q", names);
  REQUIRE(!unknown);
  CHECK(unknown.error().message.find("\"Q\"") != std::string::npos);
}

TEST_CASE("an operation that cannot be generated is named") {
  cases::builder b("strange");
  b.input("x", {"A", "B"});
  b.output(b.op("aten.fft_c2c.default", {{"self", cases::tensor("x")}}, {"A", "B"}));
  const auto g = synthesis::generator::make({b.done(), {}}, target{}, "g++");
  REQUIRE(!g);
  CHECK(g.error().message.find("aten.fft_c2c.default") != std::string::npos);
}

TEST_CASE("what a recurrent layer's inputs add is computed before the loop over steps, and its weights are packed there") {
  const auto g = generator_of("lstm");
  synthesis::context c;
  const auto p = g->propose(c, rng(1, 0, "test")); // the analytic schedule
  REQUIRE(p);
  const auto& text = p->what.sources[0].content;
  const auto loop = text.find("for (i64 time = 0; time < B; ++time)"); // batch_first: B steps
  REQUIRE(loop != std::string::npos);
  const auto last = [&](const std::string& what) { return text.rfind(what); };
  CHECK(last("y_l0_input_b") < loop); // the product over all steps
  CHECK(text.find("y_l0_recurrent: panels for all steps") < loop);
  CHECK(text.find("y_l0_recurrent_rows<1>(from", loop) != std::string::npos);
  CHECK(text.find("Each thread takes its rows through all steps") < loop);
}

TEST_CASE("nothing that could be computed before a loop over steps is fused into it") {
  const auto g = generator_of("lstm");
  schedule s;
  s.steps = {{"fuse", "y_l0_input", {}}, {"fuse", "y_l0_c_next", {}}};
  const auto p = g->print(s, {});
  REQUIRE(p);
  REQUIRE(p->skipped.size() == 2);
  CHECK(p->skipped[0].find("every step of a loop would compute it again") != std::string::npos);
  CHECK(p->skipped[1].find("it is handed to the next step") != std::string::npos);
}

TEST_CASE("the same draw gives the same text") {
  const auto a = generator_of("rms_norm");
  const auto b = generator_of("rms_norm");
  synthesis::context c;
  for (std::uint64_t n = 0; n < 5; ++n) {
    const auto x = a->propose(c, rng(7, n, "test"));
    const auto y = b->propose(c, rng(7, n, "test"));
    REQUIRE(x);
    REQUIRE(y);
    CHECK(x->what.id == y->what.id);
    CHECK(x->what.sources[0].content == y->what.sources[0].content);
    c.refused.push_back(x->what.id);
  }
}

TEST_CASE("a refused candidate is never proposed again, and an exhausted neighbourhood says so") {
  const auto g = generator_of("unary_relu");
  synthesis::context c;
  std::set<std::string> seen;
  for (std::uint64_t n = 0; n < 400; ++n) {
    const auto p = g->propose(c, rng(1, n, "test"));
    if (!p) {
      CHECK(p.error().code == errc::refused);
      break;
    }
    CHECK(seen.insert(p->what.id).second);
    c.refused.push_back(p->what.id);
    c.parent = synthesis::attempt{};
    c.parent->printed_from = *p->what.printed_from;
  }
  CHECK(seen.size() > 20);
}

TEST_CASE("a step that does not apply is skipped and named, and changes nothing") {
  const auto g = generator_of("unary_relu");
  const auto plain = g->root();
  const auto p = g->print(*synthesis::schedule_from_text("register_block(*, m=6, n=32); rows(nobody); unknown(*)"), {});
  REQUIRE(p);
  CHECK(p->skipped.size() == 3);
  CHECK(p->what.sources[0].content == plain->what.sources[0].content);
}

namespace {

std::string printed(const std::string& operator_name, const std::string& schedule, std::vector<std::string>* skipped = nullptr) {
  const auto steps = synthesis::schedule_from_text(schedule);
  REQUIRE(steps);
  const auto p = generator_of(operator_name)->print(*steps, {"given", schedule, ""});
  REQUIRE(p);
  if (skipped)
    *skipped = p->skipped;
  return p->what.sources.at(0).content;
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++n;
  return n;
}

} // namespace

TEST_CASE("nests go together where each hands on only what the same iteration computed") {
  const std::string apart = "fuse(*); rows(*); vectorize(*, width=16); parallel(*); register_block(*, m=4, n=16)";
  CHECK(count_of(printed("attention", apart), "#pragma omp parallel\n") == 3);
  std::vector<std::string> skipped;
  const auto one = printed("attention", apart + "; together(*)", &skipped);
  CHECK(skipped.empty());
  CHECK(count_of(one, "#pragma omp parallel\n") == 1);
  printed("attention", "fuse(*); rows(*); together(*)", &skipped); // without threads there is nothing to divide
  CHECK(skipped.size() == 1);
}

TEST_CASE("sums of columns ride along with the rows that an earlier nest goes through") {
  const std::string tuned = "vectorize(*, width=16); parallel(*)";
  std::vector<std::string> skipped;
  CHECK(count_of(printed("rows_with_column_sums", "fuse(*); rows(*); " + tuned), "#pragma omp parallel\n") == 2);
  const auto carried = printed("rows_with_column_sums", "fuse(*); rows(*); carry(*); " + tuned, &skipped);
  CHECK(skipped.empty());
  CHECK(count_of(carried, "#pragma omp parallel\n") == 1);
  CHECK(count_of(carried, "#pragma omp barrier\n") == 1);
  CHECK(count_of(printed("deep_rows_with_column_sums", "rows(*); carry(*); " + tuned, &skipped), "#pragma omp barrier\n") == 1);
  CHECK(skipped.empty());
  CHECK(count_of(printed("integer_rows_with_column_sums", "rows(*); carry(*); " + tuned), "#pragma omp barrier\n") == 1);
  printed("attention", "fuse(*); rows(*); carry(*)", &skipped); // a product's sums are no columns of its rows
  CHECK(skipped.size() == 1);
}

TEST_CASE("a transposed convolution is a packed product where its weights are finite, and asks whether they are") {
  const std::string blocks = "vectorize(*, width=16); parallel(*); register_block(*, m=3, n=16)";
  std::vector<std::string> skipped;
  const auto transposed = printed("conv_transpose2d", blocks, &skipped);
  CHECK(skipped.empty());
  CHECK(count_of(transposed, "if (all_finite(w, ") == 1);
  CHECK(count_of(printed("conv2d_relu", blocks), "all_finite") == 0); // there 0 times an infinite weight is what PyTorch computes, too
}

TEST_CASE("what lies across the vectors is turned round in registers, and a scan goes by vectors") {
  const auto turned = printed("transposes_together", "fuse(*); vectorize(*, width=8); parallel(*)");
  CHECK(count_of(turned, "  transpose(x_tile") == 1);
  CHECK(count_of(turned, "  transpose(y_tile1") == 1);
  CHECK(count_of(turned, "  transpose(z_tile") == 0);
  CHECK(count_of(printed("cumsum1", "rows(*); vectorize(*, width=16)"), "= running_sum(") == 1);
  CHECK(count_of(printed("cumsum0", "rows(*); vectorize(*, width=16)"), "running_sum") == 0); // there neighbours belong to other sums
}

TEST_CASE("whatever schedule a random walk comes to can be printed") {
  rng draw(11);
  for (const auto& op : cases::all()) {
    CAPTURE(op.name);
    const auto g = generator_of(op.name);
    std::vector<schedule> known{{}};
    for (int i = 0; i < 40; ++i) {
      synthesis::context given;
      given.parent = synthesis::attempt{known[draw.below(known.size())], {"walk", "", ""}, outcome::passed, 1, 1, {}};
      given.parent->diagnosed.limited_by = static_cast<bound>(draw.below(5));
      const auto moves = g->moves(given, rng(draw()));
      if (moves.empty())
        continue;
      const auto& how = moves[draw.below(moves.size())].first;
      const auto p = g->print(how, {"walk", to_string(how), ""});
      REQUIRE_MESSAGE(p, to_string(how));
      CHECK(p->what.sources.at(0).content.find("kevolve_run") != std::string::npos);
      known.push_back(how);
    }
  }
}

TEST_CASE("schedules read back from their text") {
  const std::string text = "fuse(*); register_block(out, m=14, n=32); cache_block(out, mc=112, kc=256); flag(-O2)";
  CHECK(to_string(*synthesis::schedule_from_text(text)) == text);
  CHECK(!synthesis::schedule_from_text("fuse *"));
  CHECK(!synthesis::schedule_from_text("vectorize(H, width)"));
}

TEST_CASE("the first proposal is the compound schedule, later ones single transformations with a reason") {
  const auto g = generator_of("linear_gelu");
  synthesis::context c;
  c.parent = synthesis::attempt{};
  const auto first = g->propose(c, rng(3, 0, "test"));
  REQUIRE(first);
  CHECK(first->edge.kind == "analytic");
  CHECK(to_string(*first->what.printed_from).find("register_block") != std::string::npos);
  c.parent->printed_from = *first->what.printed_from;
  c.parent->diagnosed.limited_by = bound::compute;
  const auto second = g->propose(c, rng(3, 1, "test"));
  REQUIRE(second);
  CHECK(second->edge.reason.find("bound by compute") != std::string::npos);
  const auto steps = [](const schedule& s) { return s.steps.size(); };
  CHECK(std::abs(static_cast<int>(steps(*second->what.printed_from)) - static_cast<int>(steps(*first->what.printed_from))) <= 1);
}

TEST_CASE("a prefetch of rows asks once for the next row, in the last phase that reads it") {
  const auto g = generator_of("rms_norm");
  const auto printed = [&](const std::string& more) { return g->print(*synthesis::schedule_from_text("fuse(*); rows(*); vectorize(*); " + more), {}); };
  const auto p = printed("prefetch(*, rows=1)");
  REQUIRE(p);
  CHECK(p->skipped.empty());
  const auto& code = p->what.sources[0].content;
  const auto first = code.find("__builtin_prefetch");
  REQUIRE(first != std::string::npos);
  CHECK(code.find("__builtin_prefetch", first + 1) == std::string::npos);
  CHECK(first > code.find("total(", code.find("int kevolve_run"))); // the reduction is done
  // Vectors along the rows themselves: the next row is the next lane.
  const auto elementwise = generator_of("unary_relu");
  const auto q = elementwise->print(*synthesis::schedule_from_text("vectorize(*); prefetch(*, rows=1)"), {});
  REQUIRE(q);
  CHECK(q->skipped.size() == 1);
}

TEST_CASE("what failed among the siblings is tried less") {
  const auto g = generator_of("linear_gelu");
  synthesis::context c;
  c.parent = synthesis::attempt{};
  c.parent->printed_from = *g->propose(c, rng(3, 0, "test"))->what.printed_from;
  const auto count = [&] {
    int n = 0;
    for (std::uint64_t d = 0; d < 60; ++d)
      n += g->propose(c, rng(5, d, "test"))->edge.kind == "register_block" ? 1 : 0;
    return n;
  };
  const int before = count();
  for (int i = 0; i < 6; ++i) {
    synthesis::attempt failed;
    failed.edge.kind = "register_block";
    failed.result = outcome::runtime_error;
    failed.gain = 0;
    c.siblings.push_back(failed);
  }
  CHECK(count() < before / 2);
}

TEST_CASE("what won in earlier sessions under the same bottleneck is tried more, what never won less") {
  const auto g = generator_of("rms_norm");
  const auto drawn = [&](std::vector<skill> known) {
    synthesis::context c;
    c.memory = memory_operator::inherit;
    c.parent = synthesis::attempt{};
    c.parent->printed_from = {1, {{"fuse", "*", {}}, {"rows", "*", {}}, {"vectorize", "*", {{"width", "16"}}}, {"parallel", "*", {}}}};
    c.parent->edge.kind = "parallel";
    c.parent->diagnosed.limited_by = bound::memory;
    c.skills = std::make_shared<const std::vector<skill>>(std::move(known));
    int hits = 0;
    for (std::uint64_t i = 0; i < 300; ++i)
      if (const auto p = g->propose(c, rng(7, i, "skills")))
        hits += transformation_of(p->edge.summary) == "unroll(factor=8)";
    return hits;
  };
  const int unknown = drawn({});
  const int good = drawn({{"unroll(factor=8)", bound::memory, 20, 18, 0, 3}});
  const int bad = drawn({{"unroll(factor=8)", bound::memory, 20, 0, 0, -1}});
  const int elsewhere = drawn({{"unroll(factor=8)", bound::compute, 20, 18, 0, 3}});
  CHECK(unknown > 0);
  CHECK(good > 2 * unknown);
  CHECK(bad < unknown);
  CHECK(elsewhere == unknown);
}

TEST_CASE("a wrapper refuses tensors that are not dense") {
  const auto op = case_named("unary_relu");
  const auto g = generator_of("unary_relu");
  std::string log;
  const auto k = workbench::compile({g->root()->what}, log);
  REQUIRE_MESSAGE(!k.empty(), log);
  struct tensor {
    void* data;
    const std::int64_t* shape;
    const std::int64_t* strides;
    int rank, type;
  };
  std::vector<float> data(64, 1.0f), out(64, 0.0f);
  const std::int64_t shape[] = {2, 3}, dense[] = {3, 1}, gaps[] = {8, 1}, axes[] = {2, 3};
  tensor in{data.data(), shape, gaps, 2, 1};
  tensor to{out.data(), shape, dense, 2, 1};
  CHECK(k[0].entry(&in, &to, axes, nullptr, nullptr) != 0);
  in.strides = dense;
  CHECK(k[0].entry(&in, &to, axes, nullptr, nullptr) == 0);
  CHECK(out[5] == 1.0f);
}
