#include "protocol/codec.hpp"
#include "tests/kb/sample_events.hpp"

#include <doctest/doctest.h>
#include <limits>

using namespace kevolve;

namespace {

std::vector<event> one_of_each() {
  using namespace kb;
  const candidate c = samples::made(1, 1, 400);
  session_opened opened = samples::opened("s");
  opened.subject.op.traced = graph{1, {{"x", dtype::float32, {"M", "H"}}}, {}, {"y"}};
  opened.subject.op.traced->nodes = {
    {"aten.add.Tensor", {{"self", {argument_kind::value, "x", 0, false, {}}}, {"sizes", {argument_kind::list, "", 0, false, {{argument_kind::real, "", -std::numeric_limits<double>::infinity(), true, {}}}}}}, {{"y", dtype::bfloat16, {"M"}}}}};
  opened.subject.workloads[0].tolerated = tolerance{1e-3, 1e-2, 0.99, true};
  evaluation measured = samples::measured(c.id);
  measured.diagnosed.counters = {{"cycles", 1e9}};
  measured.log = std::string("zero \0 and \xff bytes", 18);
  candidate plain = c;
  plain.printed_from.reset();
  return {opened,
          proposal_made{7, {1, 2}, memory_operator::combined, 5, 3, "leader:abc", "generator"},
          samples::added(7, c),
          samples::added(8, plain),
          proposal_closed{7, "duplicate of node 3"},
          samples::recorded(7, measured),
          samples::recorded(std::numeric_limits<node_number>::max(), samples::measured(c.id, outcome::timeout)),
          evaluation_discarded{7, 2, "the lease's epoch is over"},
          samples::verified(7, measured),
          session_paused{"interrupted", std::numeric_limits<std::int64_t>::min()},
          session_resumed{std::numeric_limits<std::int64_t>::max()},
          actor_restarted{"evaluator 7", "threw"},
          session_finished{"plateau", "", 1.5, 0.1, -1}, budget_changed{9, 2.5, 1.5, 3},
          skills_learnt{"reduction", {{"unroll(factor=4)", bound::memory, 3, 2, 1, 0.5}}, 9},
          model_asked{7, 1, "local", "m-1", "repair", "rules", {"write it", "int x;", "it does not compile"}, 4000, 0.25, 10},
          model_answered{7, 1, "text", "because", "end", "", {900, 300, 80, 20}, 0.01, 2.5, 2, "req-1", 11}};
}

} // namespace

TEST_CASE("every kind of event survives encoding and decoding") {
  std::vector<bool> seen(std::variant_size_v<event>, false);
  for (const event& e : one_of_each()) {
    const std::string bytes = encode(e);
    const auto back = decode<event>(bytes);
    REQUIRE_MESSAGE(back.has_value(), (back ? "" : back.error().message));
    CHECK(back->index() == e.index());
    CHECK(encode(*back) == bytes);
    seen[e.index()] = true;
  }
  for (std::size_t i = 0; i < seen.size(); ++i)
    CHECK_MESSAGE(seen[i], "kind " << i << " is not covered");
}

TEST_CASE("an event cut off anywhere is refused") {
  for (const event& e : one_of_each()) {
    const std::string bytes = encode(e);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      CHECK(!decode<event>(std::string_view(bytes).substr(0, size)).has_value());
    CHECK(!decode<event>(bytes + '\0').has_value());
  }
}

TEST_CASE("random damage never gives more than the bytes can hold, and what decodes encodes again") {
  rng draw(99);
  unsigned decoded = 0, refused = 0;
  for (const event& e : one_of_each()) {
    const std::string bytes = encode(e);
    for (int round = 0; round < 400; ++round) {
      std::string bad = bytes;
      for (std::uint64_t flips = 1 + draw.below(4); flips > 0; --flips)
        bad[draw.below(bad.size())] = static_cast<char>(draw.below(256));
      const auto back = decode<event>(bad);
      ++(back ? decoded : refused);
      if (back)
        CHECK(decode<event>(encode(*back)).has_value());
    }
  }
  CHECK(decoded > 0); // a changed letter is still an event: that is what checksums are for
  CHECK(refused > 0);
}

TEST_CASE("lengths that lie, depth, extensions and doubled fields are refused before memory is taken") {
  const auto refused = [](const std::string& bytes) { return !decode<event>(bytes).has_value(); };
  CHECK(refused(std::string("\xdd\xff\xff\xff\xff", 5)));                  // an array of 2^32 - 1
  CHECK(refused(std::string("\x92\x01\xdf\xff\xff\xff\xff", 7)));          // a map of 2^32 - 1
  CHECK(refused(std::string("\x92\x08\x81\xa5" "at_ms\xdb\xff\xff\xff\xff", 14))); // a string of 4 GiB
  CHECK(refused(std::string("\x92\x08\x81\xa1x", 5) + std::string(1'000'000, '\x91') + '\xc0')); // depth in a field that is skipped
  CHECK(refused(std::string("\x92\x0a\x81\xa5" "at_ms\xd4\x01\x01", 12)));  // an extension
  CHECK(refused(std::string("\x92\xcc\xff\x80", 4)));                       // an unknown kind
  const std::string once = std::string("\xa5" "at_ms\x07", 7);
  const event resumed = session_resumed{7};
  const std::string index(1, static_cast<char>(resumed.index()));
  CHECK(!refused("\x92" + index + "\x81" + once));
  CHECK(refused("\x92" + index + "\x82" + once + once));
}
