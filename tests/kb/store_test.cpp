#include "kb/store.hpp"
#include "tests/kb/opening.hpp"

#include <algorithm>
#include <map>

using namespace kevolve;
using namespace kevolve::kb;

TEST_CASE("events come back as they were appended, in order, also after reopening") {
  const scratch_directory where;
  const std::vector<event> written = small_session("s-1");
  {
    auto memory = open_store(where.path() / "made" / "by" / "open");
    std::vector<std::uint64_t> positions;
    for (const event& e : written)
      memory->append("s-1", e, [&](result<std::uint64_t> at) { positions.push_back(at ? *at : 999); });
    REQUIRE(memory->flush().has_value());
    for (std::size_t i = 0; i < positions.size(); ++i)
      CHECK(positions[i] == i);
    CHECK(positions.size() == written.size());
    const auto back = memory->events("s-1");
    REQUIRE(back.has_value());
    CHECK(encode(*back) == encode(written));
  }
  auto memory = open_store(where.path() / "made" / "by" / "open", kb::access::read_only);
  const auto back = memory->events("s-1");
  REQUIRE(back.has_value());
  CHECK(encode(*back) == encode(written));
  const auto none = memory->events("s-2");
  REQUIRE(!none.has_value());
  CHECK(none.error().code == errc::not_found);
  const auto refused = put(*memory, "s-1", session_resumed{1});
  REQUIRE(!refused.has_value());
  CHECK(refused.error().code == errc::refused);
}

TEST_CASE("skills add up over sessions of one hardware and like operators, and are rebuilt from the log") {
  const scratch_directory where;
  auto memory = open_store(where.path());
  const skill won{"unroll(factor=4)", bound::memory, 3, 2, 0, 0.5}, lost{"prefetch(rows=1)", bound::memory, 2, 0, 1, -0.1};
  for (const auto& [session, definition, features] : {std::tuple{"s-1", "rms_norm_h4096", "reduction"}, {"s-2", "softmax_n4096", "reduction"}, {"s-3", "copy", "elementwise"}}) {
    REQUIRE(put(*memory, session, samples::opened(session, definition)));
    REQUIRE(put(*memory, session, skills_learnt{features, {won, lost}, 5}));
    REQUIRE(put(*memory, session, session_finished{"plateau", "", 1, 1, 6}));
  }
  const auto found = memory->skills();
  REQUIRE(found);
  REQUIRE(found->size() == 4);
  const auto& best = found->front();
  CHECK(best.what == skill{"unroll(factor=4)", bound::memory, 6, 4, 0, 1.0});
  CHECK(best.features == "reduction");
  CHECK(best.hardware == "cpu-x86_64-avx512");
  CHECK(best.sessions == 2);
  CHECK(best.operators == std::vector<std::string>{"rms_norm_h4096", "softmax_n4096"});
  const auto checked = memory->check(true);
  REQUIRE(checked);
  CHECK(checked->damage.empty());
  const auto again = memory->skills();
  REQUIRE(again);
  CHECK(again->size() == 4);
}

TEST_CASE("a session begins with its opening, once, under its own name; a candidate's id is its hash") {
  const scratch_directory where;
  auto memory = open_store(where.path());
  const auto code = [&](const session_id& session, event what) {
    const auto done = put(*memory, session, std::move(what));
    return done ? std::string("good") : std::string(to_string(done.error().code));
  };
  const std::string refused = to_string(errc::refused);
  CHECK(code("s", samples::proposed(0)) == refused);
  CHECK(code("s", samples::opened("t")) == refused);
  CHECK(code("", samples::opened("")) == refused);
  CHECK(code(std::string(256, 's'), samples::opened(std::string(256, 's'))) == refused);
  CHECK(code("s", samples::opened("s")) == "good");
  CHECK(code("s", samples::opened("s")) == refused);
  candidate forged = samples::made(1, 1);
  forged.sources[0].content += " ";
  CHECK(code("s", samples::added(1, forged)) == refused);
  CHECK(code("s", samples::proposed(0)) == "good");
  const auto events = memory->events("s");
  REQUIRE(events.has_value());
  CHECK(events->size() == 2);
}

TEST_CASE("equal prefixes have equal digests, different ones do not") {
  const scratch_directory one, two;
  auto a = open_store(one.path()), b = open_store(two.path());
  std::vector<event> events = small_session("s");
  REQUIRE(put(*b, "other", samples::opened("other")).has_value()); // another store, another history around it
  for (std::size_t i = 0; i < events.size(); ++i) {
    REQUIRE(put(*a, "s", events[i]).has_value());
    if (i == 9)
      std::get<evaluation_recorded>(events[i]).attempt = 2;
    REQUIRE(put(*b, "s", events[i]).has_value());
  }
  for (std::uint64_t count = 1; count <= events.size(); ++count) {
    const auto left = a->digest("s", count), right = b->digest("s", count);
    REQUIRE(left.has_value());
    REQUIRE(right.has_value());
    CHECK((*left == *right) == (count <= 9));
  }
  CHECK(*a->digest("s", 0) == *a->digest("s", events.size()));
  CHECK(!a->digest("s", events.size() + 1).has_value());
  CHECK(*b->digest("other", 1) != *b->digest("s", 1));
}

TEST_CASE("a candidate's sources are stored once and found by unique prefixes") {
  const scratch_directory where;
  auto memory = open_store(where.path());
  std::map<std::string, std::vector<candidate_id>> by_prefix;
  memory->append("s", samples::opened("s"), {});
  for (node_number n = 0; n < 1'200; ++n) { // enough for two ids with four equal digits
    candidate c = samples::made(3, n, 40);
    by_prefix[c.id.substr(0, 4)].push_back(c.id);
    memory->append("s", samples::added(n, std::move(c)), {});
  }
  candidate twice = samples::made(3, 77, 40);
  twice.author = "person"; // same content, other story
  memory->append("t", samples::opened("t"), {});
  memory->append("t", samples::added(5, twice), {});
  REQUIRE(memory->flush().has_value());

  const auto shared = std::find_if(by_prefix.begin(), by_prefix.end(), [](const auto& p) { return p.second.size() > 1; });
  const auto unique = std::find_if(by_prefix.begin(), by_prefix.end(), [](const auto& p) { return p.second.size() == 1; });
  REQUIRE(shared != by_prefix.end());
  const auto ambiguous = memory->find_candidate(shared->first);
  REQUIRE(!ambiguous.has_value());
  CHECK(ambiguous.error().code == errc::refused);
  for (std::size_t digits : {4u, 5u, 13u, 64u}) {
    const auto found = memory->find_candidate(unique->second[0].substr(0, digits));
    REQUIRE(found.has_value());
    REQUIRE(found->has_value());
    CHECK((*found)->id == unique->second[0]);
    CHECK(candidate_hash(**found) == unique->second[0]);
  }
  CHECK(memory->find_candidate("abc").error().code == errc::usage);
  CHECK(memory->find_candidate("../etc").error().code == errc::usage);
  const auto missing = memory->find_candidate(std::string(64, 'f'));
  REQUIRE(missing.has_value());
  CHECK(!missing->has_value());

  const auto uses = memory->occurrences(twice.id);
  REQUIRE(uses.has_value());
  CHECK(*uses == std::vector<std::pair<session_id, node_number>>{{"s", 77}, {"t", 5}});
  const auto events = memory->events("t");
  REQUIRE(events.has_value());
  CHECK(std::get<candidate_added>((*events)[1]).what == twice);
}

TEST_CASE("evaluations are found by what they depend on, the newest first") {
  const scratch_directory where;
  auto memory = open_store(where.path());
  const candidate c = samples::made(1, 1);
  const target v4{"cpu", "x86-64-v4", "cpp"}, v3{"cpu", "x86-64-v3", "cpp"};
  evaluation older = samples::measured(c.id, outcome::passed, 2e-3), newer = samples::measured(c.id, outcome::passed, 1e-3);
  evaluation elsewhere = samples::measured(c.id, outcome::passed, 5e-4), wrong = samples::measured(c.id, outcome::incorrect_numerical);
  elsewhere.where.hardware = "cpu-aarch64";
  newer.where.judge_version = "judge-2";
  wrong.where.toolchain = "clang++ 15";
  std::vector<event> events{samples::opened("s"), samples::proposed(1), samples::added(1, c)};
  for (const evaluation& e : {older, newer, elsewhere, wrong})
    events.push_back(samples::recorded(1, e));
  for (const event& e : events)
    REQUIRE(put(*memory, "s", e).has_value());

  const auto latency = [](const result<std::optional<evaluation>>& found) {
    REQUIRE(found.has_value());
    return *found ? (*found)->timings.at(0).latency_s : 0.0;
  };
  const std::string here = "cpu-x86_64-avx512";
  CHECK(latency(memory->find_evaluation(c.id, here)) == 1e-3);
  CHECK(latency(memory->find_evaluation(c.id, "cpu-aarch64")) == 5e-4);
  const auto known = memory->known_evaluations(c.id, v4, 3);
  REQUIRE(known.has_value());
  REQUIRE(known->size() == 3);
  CHECK(known->at(0).result == outcome::incorrect_numerical);
  CHECK(known->at(1).where.hardware == "cpu-aarch64");
  CHECK(known->at(2).where.judge_version == "judge-2");
  CHECK(memory->known_evaluations(c.id, v4, 9)->size() == 4);
  CHECK(memory->known_evaluations(c.id, v3, 9)->empty());
  CHECK(memory->known_evaluations(samples::made(1, 2).id, v4, 9)->empty());
  CHECK(!memory->find_evaluation(samples::made(1, 2).id, here)->has_value());
}

TEST_CASE("a leader never gets worse, except when its verification is taken back") {
  const scratch_directory where;
  auto memory = open_store(where.path());
  const std::string a = samples::made(1, 1).id, b = samples::made(1, 2).id;
  REQUIRE(put(*memory, "s", samples::opened("s")).has_value());
  const auto leads = [&](const std::string& workload) {
    const auto found = memory->leaders("rms_norm_h4096");
    REQUIRE(found.has_value());
    std::string who;
    for (const leader& l : *found)
      if (l.workload == workload)
        who += l.candidate;
    return who;
  };
  CHECK(leads("w-1") == "");
  REQUIRE(put(*memory, "s", samples::verified(1, samples::measured(a, outcome::passed, 1e-3))).has_value());
  CHECK(leads("w-1") == a);
  CHECK(leads("") == a);
  REQUIRE(put(*memory, "s", samples::verified(2, samples::measured(b, outcome::passed, 1.2e-3))).has_value());
  CHECK(leads("w-1") == a); // slower
  REQUIRE(put(*memory, "s", samples::verified(1, samples::measured(a, outcome::passed, 1.3e-3))).has_value());
  CHECK(leads("w-1") == a); // its own slower run takes nothing away
  REQUIRE(put(*memory, "s", samples::verified(1, samples::measured(a, outcome::incorrect_numerical), false)).has_value());
  CHECK(leads("w-1") == b);
  CHECK(leads("") == b);
  REQUIRE(put(*memory, "s", samples::verified(2, samples::measured(b, outcome::passed, 3e-3, {2e-3, 2.5e-3}), false)).has_value());
  CHECK(leads("w-1") == "compile"); // the best baseline that was measured beside them
  const auto none = memory->leaders("softmax");
  REQUIRE(none.has_value());
  CHECK(none->empty());
}

TEST_CASE("sessions are summed up, newest first") {
  const scratch_directory where;
  auto memory = open_store(where.path());
  for (const session_id session : {"z-first", "a-second"})
    for (const event& e : small_session(session))
      REQUIRE(put(*memory, session, e).has_value());
  REQUIRE(put(*memory, "m-third", samples::opened("m-third")).has_value());
  REQUIRE(put(*memory, "m-third", samples::recorded(1, samples::measured(samples::made(1, 1).id, outcome::infrastructure))).has_value());
  REQUIRE(put(*memory, "m-third", session_paused{"interrupted", 5}).has_value());
  const auto found = memory->sessions();
  REQUIRE(found.has_value());
  REQUIRE(found->size() == 3);
  CHECK((*found)[0].session == "m-third");
  CHECK((*found)[0].state == "paused");
  CHECK((*found)[0].evaluations == 0);
  CHECK((*found)[1].session == "a-second");
  CHECK((*found)[2].session == "z-first");
  CHECK((*found)[2].state == "finished");
  CHECK((*found)[2].stopped_by == "evaluations");
  CHECK((*found)[2].proposals == 5);
  CHECK((*found)[2].evaluations == 5);
  CHECK((*found)[2].best_speedup == 1.5);
  CHECK((*found)[2].best == samples::made(7, 4).id);
}

TEST_CASE("a snapshot taken while events are written is a store of its own") {
  const scratch_directory where;
  auto memory = open_store(where.path() / "live");
  for (const event& e : small_session("s"))
    REQUIRE(put(*memory, "s", e).has_value());
  for (node_number n = 100; n < 400; ++n)
    memory->append("s", samples::proposed(n), {});
  REQUIRE(memory->snapshot(where.path() / "copy").has_value());
  REQUIRE(memory->flush().has_value());
  CHECK(memory->snapshot(where.path() / "copy").error().code == errc::refused);
  auto copy = open_store(where.path() / "copy");
  const auto events = copy->events("s");
  REQUIRE(events.has_value());
  CHECK(events->size() >= small_session("s").size());
  CHECK(*copy->digest("s", 0) == *memory->digest("s", events->size()));
  const auto report = copy->check(false);
  REQUIRE(report.has_value());
  CHECK(report->damage.empty());
}
