#include "actors/synthesis/llm/ledger.hpp"
#include "protocol/rng.hpp"
#include "tests/llm/asking.hpp"

#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::llm;

namespace {

constexpr std::int64_t day = 86'400'000;

request priced(const std::string& prompt) {
  request r = asking(prompt);
  r.max_output_tokens = 1000;
  r.model.price = token_price{1, 0.1, 1.25, 10};
  return r;
}

} // namespace

TEST_CASE("the most that a request costs counts every billable attempt at the dearest price") {
  const request r = priced("x");
  const std::uint64_t input = most_input_tokens(r);
  CHECK(most_cost(r).tokens == 2 * (input + 1000));
  CHECK(most_cost(r).nano_usd == 2 * nano_usd((static_cast<double>(input) * 1.25 + 1000 * 10.0) * 1e-6));
}

TEST_CASE("a reply costs its usage, unseen attempts at their most, untold usage at its most, a recorded one nothing") {
  const request r = priced("x");
  const amount one{most_cost(r).tokens / 2, most_cost(r).nano_usd / 2};
  answer a;
  a.used = {100, 50, 0, 10, 0};
  CHECK(cost_of(a, r) == amount{110, nano_usd((50 + 5 + 100) * 1e-6)});
  a.unseen_attempts = 1;
  CHECK(cost_of(a, r) == amount{110, nano_usd((50 + 5 + 100) * 1e-6)} + one);
  a.unseen_attempts = 0, a.counted = false;
  CHECK(cost_of(a, r) == one);
  a.cost_usd = 0.5; // a command that tells its cost, not its tokens
  CHECK(cost_of(a, r) == amount{one.tokens, 500'000'000});
  a.recorded = true;
  CHECK(cost_of(a, r) == amount{});
  CHECK(cost_of(failure{failure_kind::network, "", 3, 2}, r) == one + one);
  CHECK(cost_of(failure{failure_kind::rate_limit, "", 3, 0}, r) == amount{});
}

TEST_CASE("a limit refuses what might pass it, and says what is left") {
  ledger l;
  l.limits.session = {1000, 0};
  l.limits.day = {0, 2'000'000'000};
  CHECK(reserve(l, "s", "1", 0, {600, 1}));
  const auto no = reserve(l, "s", "2", 0, {600, 1});
  REQUIRE_FALSE(no);
  CHECK(no.error().code == errc::budget);
  CHECK(no.error().message == "the session's limit for models, 1000 tokens, has 400 left; the next request may take 600");
  settle(l, "s", "1", {100, 1});
  CHECK(reserve(l, "s", "2", 0, {600, 1}));
  const auto day_over = reserve(l, "other", "1", 0, {1, 2'000'000'000});
  REQUIRE_FALSE(day_over);
  CHECK(day_over.error().message == "the day's limit for models, 2.00 USD, has 2.0000 left; the next request may cost 2.0000");
  CHECK(reserve(l, "other", "1", day, {1, 2'000'000'000})); // tomorrow
}

TEST_CASE("what is settled after midnight belongs to the day it was reserved on") {
  ledger l;
  l.limits.day = {1000, 0};
  REQUIRE(reserve(l, "s", "1", day - 1, {900, 0}));
  REQUIRE(reserve(l, "s", "2", day, {900, 0}));
  settle(l, "s", "1", {10, 0});
  CHECK_FALSE(reserve(l, "s", "3", day, {200, 0})); // the new day got no cheaper
  CHECK(reserve(l, "s", "4", day - 1, {200, 0}));
  forget_days_before(l, day);
  CHECK(l.by_day.size() == 1);
}

TEST_CASE("asking again after a crash keeps the first reservation: both may be billed") {
  ledger l;
  fold_reservation(l, "s", "1", 0, {100, 0});
  REQUIRE(reserve(l, "s", "1", 0, {100, 0}));
  settle(l, "s", "1", {7, 0});
  settle(l, "s", "1", {7, 0}); // twice: nothing
  CHECK(l.by_session.at("s") == amount{107, 0});
}

// Several sessions ask, are answered, fail, lose answers, and the process dies and folds its log again at random; a made-up provider bills each
// attempt. Its bill never passes a limit.
TEST_CASE("simulation: no bill passes a limit under 500 seeds") {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    rng random(seed, 0, "ledger");
    ledger l;
    l.limits.session = {random.chance(0.7) ? 20'000 + random.below(100'000) : 0, random.chance(0.7) ? nano_usd(0.02 + 0.5 * random.uniform()) : 0};
    l.limits.day = {random.chance(0.7) ? 40'000 + random.below(200'000) : 0, random.chance(0.7) ? nano_usd(0.02 + random.uniform()) : 0};
    struct entry { // of the log
      std::string session, request;
      std::int64_t at_ms;
      bool answered;
      amount how_much;
    };
    std::vector<entry> log;
    struct flying {
      std::string session, id;
      request what;
      std::int64_t day;
    };
    std::vector<flying> in_flight;
    std::map<std::string, amount> billed;         // by session
    std::map<std::int64_t, amount> billed_on;     // by day of the request
    std::int64_t now = 0;
    int number = 0;
    const auto bill = [&](const flying& f, const token_usage& used) {
      const amount cost{used.input + used.output, nano_usd(cost_usd(used, *f.what.model.price))};
      billed[f.session] = billed[f.session] + cost;
      billed_on[f.day] = billed_on[f.day] + cost;
    };
    for (int turn = 0; turn < 400; ++turn) {
      now += static_cast<std::int64_t>(random.below(day / 50));
      const std::string session = "s" + std::to_string(random.below(3));
      if (random.chance(0.5)) {
        request what = priced(std::string(random.below(2000), 'x'));
        what.max_output_tokens = 1 + static_cast<std::uint32_t>(random.below(3000));
        what.billable_attempts = 1 + static_cast<std::uint32_t>(random.below(3));
        // Sometimes the same step again, as after a crash.
        const std::string id = std::to_string(random.chance(0.1) && number > 0 ? random.below(static_cast<std::uint64_t>(number)) : static_cast<std::uint64_t>(++number));
        if (std::any_of(in_flight.begin(), in_flight.end(), [&](const flying& f) { return f.session == session && f.id == id; }))
          continue;
        if (reserve(l, session, id, now, most_cost(what))) {
          log.push_back({session, id, now, false, most_cost(what)}); // durable before it is sent
          in_flight.push_back({session, id, what, now / day});
        }
      } else if (!in_flight.empty()) {
        const std::size_t which = random.below(in_flight.size());
        const flying f = in_flight[which];
        in_flight.erase(in_flight.begin() + static_cast<std::ptrdiff_t>(which));
        const token_usage most = most_usage(f.what);
        const auto some = [&] { return token_usage{random.below(most.input + 1), 0, 0, random.below(most.output + 1), 0}; };
        const std::uint32_t unseen = static_cast<std::uint32_t>(random.below(f.what.billable_attempts + 1));
        for (std::uint32_t i = 0; i < unseen; ++i)
          if (random.chance(0.7))
            bill(f, some());
        reply got = failure{failure_kind::network, "", unseen, unseen};
        if (unseen < f.what.billable_attempts && random.chance(0.7)) {
          answer a;
          a.used = some(), a.unseen_attempts = unseen, a.counted = random.chance(0.8);
          bill(f, a.used);
          got = a;
        }
        const amount cost = cost_of(got, f.what);
        settle(l, f.session, f.id, cost);
        log.push_back({f.session, f.id, now, true, cost});
      }
      if (random.chance(0.03)) { // kill -9: what flies is billed unseen, and the log is all that is left
        for (const flying& f : in_flight)
          for (std::uint32_t i = 0; i < f.what.billable_attempts; ++i)
            bill(f, {most_usage(f.what).input, 0, 0, most_usage(f.what).output, 0});
        in_flight.clear();
        ledger folded;
        folded.limits = l.limits;
        for (const entry& e : log)
          e.answered ? settle(folded, e.session, e.request, e.how_much) : fold_reservation(folded, e.session, e.request, e.at_ms, e.how_much);
        REQUIRE(folded.by_session == l.by_session);
        REQUIRE(folded.by_day == l.by_day);
        l = std::move(folded);
      }
      for (const auto& [name, sum] : billed) {
        REQUIRE((l.limits.session.tokens == 0 || sum.tokens <= l.limits.session.tokens));
        REQUIRE((l.limits.session.nano_usd == 0 || sum.nano_usd <= l.limits.session.nano_usd));
      }
      for (const auto& [when, sum] : billed_on) {
        REQUIRE((l.limits.day.tokens == 0 || sum.tokens <= l.limits.day.tokens));
        REQUIRE((l.limits.day.nano_usd == 0 || sum.nano_usd <= l.limits.day.nano_usd));
      }
    }
    CHECK(number > 0);
  }
}
