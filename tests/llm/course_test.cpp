#include "actors/synthesis/llm/course.hpp"

#include <algorithm>
#include <deque>
#include <doctest/doctest.h>
#include <set>

using namespace kevolve;
using namespace kevolve::llm;

namespace {

using ev = course_event::what;
using ef = course_effect::what;

course_event asked(request_number which, double deadline_s = unlimited, std::uint32_t billable = 2, const std::string& model = "m") {
  course_event e;
  e.kind = ev::asked, e.which = which, e.model = model, e.tokens = 100, e.deadline_s = deadline_s, e.billable_attempts = billable;
  return e;
}
course_event ended(request_number which, std::optional<failure_kind> failed, bool unseen = false, std::optional<double> retry_after = {}) {
  course_event e;
  e.kind = ev::ended, e.which = which;
  e.end.success = !failed;
  if (failed)
    e.end.kind = *failed, e.end.message = "it failed";
  e.end.unseen = unseen, e.end.retry_after_s = retry_after;
  return e;
}
course_event cancelled(request_number which) {
  course_event e;
  e.kind = ev::cancelled, e.which = which;
  return e;
}

struct bench {
  course_state state;
  rng random{1};
  double now = 1000;
  bench() { state.provider = "p"; }
  std::vector<course_effect> operator()(const course_event& e = {}) { return step(state, e, now, random); }
  /// Lets time pass up to the next thing to do.
  std::vector<course_effect> next() {
    now = next_wake(state, now);
    return (*this)();
  }
};

bool sends(const std::vector<course_effect>& out, request_number which) {
  return out.size() == 1 && out[0].kind == ef::send && out[0].which == which;
}

} // namespace

TEST_CASE("a request is sent, succeeds, and tells its attempts") {
  bench b;
  CHECK(sends(b(asked(1)), 1));
  const auto out = b(ended(1, std::nullopt));
  REQUIRE(out.size() == 1);
  CHECK(out[0].kind == ef::succeed);
  CHECK(out[0].attempts == 1);
  CHECK(b.state.requests.empty());
}

TEST_CASE("408, 409, 429, 5xx and connections are tried again, other refusals never; x-should-retry overrides") {
  attempt_end end;
  for (const auto kind : {failure_kind::rate_limit, failure_kind::server, failure_kind::network, failure_kind::timeout}) {
    end.kind = kind;
    CHECK(retryable(end));
  }
  for (const auto kind : {failure_kind::authentication, failure_kind::quota, failure_kind::context_too_long, failure_kind::bad_request, failure_kind::refused,
                          failure_kind::malformed, failure_kind::too_large}) {
    end.kind = kind;
    end.should_retry.reset();
    CHECK_FALSE(retryable(end));
    end.should_retry = true;
    CHECK(retryable(end));
  }
  end.kind = failure_kind::server, end.should_retry = false;
  CHECK_FALSE(retryable(end));
}

TEST_CASE("delays double from half a second to the cap, less at most a quarter; retry-after up to two minutes is obeyed") {
  const course_rules rules;
  rng random(3);
  for (std::uint32_t attempts = 1; attempts < 40; ++attempts) {
    const double base = std::min(60.0, 0.5 * std::exp2(attempts - 1));
    const auto delay = retry_delay(rules, attempts, std::nullopt, random);
    CHECK(*delay <= base);
    CHECK(*delay >= 0.75 * base);
  }
  CHECK(retry_delay(rules, 1, 7.5, random) == 7.5);
  CHECK(retry_delay(rules, 1, 120.0, random) == 120.0);
  CHECK_FALSE(retry_delay(rules, 1, 121.0, random));
}

TEST_CASE("a request gives up after its retries and says the last failure") {
  bench b;
  b.state.rules.max_retries = 2;
  b.state.rules.breaker_failures = 100;
  CHECK(sends(b(asked(1)), 1));
  CHECK(b(ended(1, failure_kind::server)).empty());
  CHECK(sends(b.next(), 1));
  CHECK(b(ended(1, failure_kind::server)).empty());
  CHECK(sends(b.next(), 1));
  const auto out = b(ended(1, failure_kind::server));
  REQUIRE(out.size() == 1);
  CHECK(out[0].kind == ef::fail);
  CHECK(out[0].why.kind == failure_kind::server);
  CHECK(out[0].why.attempts == 3);
  CHECK(out[0].why.unseen_attempts == 0);
}

TEST_CASE("attempts that may be billed are bounded by what was reserved for") {
  bench b;
  CHECK(sends(b(asked(1, unlimited, 2)), 1));
  CHECK(b(ended(1, failure_kind::network, true)).empty());
  CHECK(sends(b.next(), 1));
  const auto out = b(ended(1, failure_kind::network, true));
  REQUIRE(out.size() == 1);
  CHECK(out[0].kind == ef::fail);
  CHECK(out[0].why.unseen_attempts == 2);
}

TEST_CASE("a wait beyond the deadline fails at once, and says why") {
  bench b;
  b(asked(1, 1010));
  const auto out = b(ended(1, failure_kind::rate_limit, false, 30));
  REQUIRE(out.size() == 1);
  CHECK(out[0].why.kind == failure_kind::rate_limit);
  CHECK(out[0].why.message == "it failed; its deadline leaves no time for another attempt after 1");
  b.now = 2000;
  b(asked(2));
  const auto much = b(ended(2, failure_kind::server, false, 3600));
  REQUIRE(much.size() == 1);
  CHECK(much[0].why.message == "it failed; it asks to wait 3600 s, which is more than 120 s");
}

TEST_CASE("the queue is bounded, capacity is kept, and who waits too long is told") {
  bench b;
  b.state.rules.max_in_flight = 1, b.state.rules.max_queued = 2;
  CHECK(sends(b(asked(1)), 1));
  CHECK(b(asked(2, 1005)).empty());
  CHECK(b(asked(3)).empty());
  const auto full = b(asked(4));
  REQUIRE(full.size() == 1);
  CHECK(full[0].why.kind == failure_kind::queue_full);
  CHECK(next_wake(b.state, b.now) == 1005);
  const auto late = b.next();
  REQUIRE(late.size() == 1);
  CHECK(late[0].which == 2);
  CHECK(late[0].why.kind == failure_kind::timeout);
  const auto out = b(ended(1, std::nullopt));
  REQUIRE(out.size() == 2);
  CHECK(out[1].kind == ef::send);
  CHECK(out[1].which == 3);
}

TEST_CASE("cancelling aborts what flies and forgets what waits; a late end of it changes nothing") {
  bench b;
  b.state.rules.max_in_flight = 1;
  b(asked(1)), b(asked(2));
  auto out = b(cancelled(2));
  REQUIRE(out.size() == 1);
  CHECK(out[0].why.kind == failure_kind::cancelled);
  out = b(cancelled(1));
  REQUIRE(out.size() == 2);
  CHECK(out[0].kind == ef::abort);
  CHECK(out[1].why.unseen_attempts == 1);
  CHECK(b(ended(1, std::nullopt)).empty());
  CHECK(b(cancelled(7)).empty());
  CHECK(b.state.flying == 0);
}

TEST_CASE("five failed servers in a row open the breaker; one probe closes it, or opens it for longer") {
  bench b;
  for (request_number i = 1; i <= 6; ++i)
    b(asked(i));
  for (request_number i = 1; i <= 5; ++i)
    b(ended(i, failure_kind::server, false, 0.001));
  CHECK(b.state.open_until_s > b.now);
  b(ended(6, std::nullopt)); // an old one that still succeeded closes it
  CHECK(b.state.times_open == 0);
  for (request_number i = 11; i <= 15; ++i)
    b(asked(i));
  b.now = std::max(b.now, b.state.open_until_s);
  b();
  int failed = 0;
  while (b.state.open_until_s <= b.now) // the retries and new ones fail, too
    for (auto& [which, r] : std::map(b.state.requests))
      if (r.flying)
        b(ended(which, failure_kind::server, false, 0.001)), ++failed;
  CHECK(failed >= 5);
  const double first_open = b.state.open_until_s - b.now;
  CHECK(first_open <= 2);
  for (auto& [which, r] : std::map(b.state.requests))
    if (r.flying)
      b(ended(which, failure_kind::server, false, 0.001));
  CHECK(b.state.flying == 0);
  auto probe = b.next();
  REQUIRE(probe.size() == 1); // one tries
  CHECK(b().empty());
  b(ended(probe[0].which, failure_kind::server, false, 0.001));
  CHECK(b.state.open_until_s - b.now > first_open);
  probe = b.next();
  REQUIRE(probe.size() == 1);
  CHECK(b(ended(probe[0].which, std::nullopt)).size() > 2); // all others go
}

TEST_CASE("a fixed rate of requests is kept, in order") {
  bench b;
  b.state.rules.requests_per_minute = 60;
  std::vector<request_number> order;
  std::vector<double> at;
  const auto note = [&](const std::vector<course_effect>& out) {
    for (const auto& e : out)
      if (e.kind == ef::send)
        order.push_back(e.which), at.push_back(b.now);
  };
  for (request_number i = 1; i <= 10; ++i)
    note(b(asked(i)));
  while (order.size() < 10)
    note(b.next());
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(at.back() - at.front() == doctest::Approx(9.0)); // one, then one a second
}

TEST_CASE("a refusal halves the rate and blocks the model, not another model; successes win it back") {
  bench b;
  rate_bucket bucket = make_bucket(0, 0);
  for (int i = 0; i < 100; ++i)
    take_one(bucket, 1, 0.1 * i); // ten a second
  note_refusal(bucket, 3.0, 10);
  CHECK(bucket.rate == doctest::Approx(5).epsilon(0.2));
  CHECK(ready_at(bucket, 1, 10) == 13.0);
  const double cut = bucket.rate;
  note_refusal(bucket, std::nullopt, 10.5); // of the same burst
  CHECK(bucket.rate == cut);
  note_refusal(bucket, std::nullopt, 12);
  CHECK(bucket.rate == doctest::Approx(cut / 2));
  for (int i = 0; i < 1000; ++i)
    note_success(bucket, 13 + i * 0.2);
  CHECK(bucket.rate > cut);
  b(asked(1, unlimited, 2, "slow"));
  b(ended(1, failure_kind::rate_limit, false, 50));
  CHECK(b(asked(2, unlimited, 2, "slow")).empty());
  CHECK(sends(b(asked(3, unlimited, 2, "other")), 3));
}

TEST_CASE("headers set the rate and an empty allowance waits for its reset") {
  rate_bucket bucket = make_bucket(0, 0);
  note_limits(bucket, {{600, 500, 0.1}, {60'000, 30'000, 30}}, 0);
  CHECK(bucket.rate == 10);
  CHECK(ready_at(bucket, 1000, 0) == 0);
  CHECK(ready_at(bucket, 31'000, 0) == doctest::Approx(1)); // 1,000 tokens a second come in
  note_limits(bucket, {{600, 0, 6}, {}}, 0);
  CHECK(ready_at(bucket, 1, 0) == 6);
  rate_bucket fixed = make_bucket(60, 0);
  note_limits(fixed, {{600, 500, 0.1}, {}}, 0);
  CHECK(fixed.rate == 1); // what the settings say is not raised
}

// A made-up provider that succeeds, refuses, breaks, answers late and sends limits at random; requests are cancelled at random. Whatever
// happens, each request ends exactly once, and no bound is passed.
TEST_CASE("simulation: every request ends exactly once under 400 seeds") {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    rng random(seed, 0, "simulation");
    bench b;
    b.random = rng(seed, 1, "course");
    b.state.rules.max_in_flight = 1 + static_cast<std::uint32_t>(random.below(8));
    b.state.rules.max_queued = 5 + static_cast<std::uint32_t>(random.below(50));
    b.state.rules.max_retries = static_cast<std::uint32_t>(random.below(5));
    b.state.rules.requests_per_minute = random.chance(0.3) ? 600 : 0;
    const double health = random.uniform();
    std::map<request_number, std::uint32_t> billable;
    std::multimap<double, request_number> flying; // when each comes back
    std::set<request_number> open;
    request_number last = 0;
    const auto handle = [&](const std::vector<course_effect>& out) {
      for (const auto& e : out) {
        if (e.kind == ef::send) {
          REQUIRE(open.contains(e.which));
          flying.emplace(b.now + random.uniform() * 20, e.which);
        } else if (e.kind == ef::abort) {
          std::erase_if(flying, [&](const auto& f) { return f.second == e.which; });
        } else {
          REQUIRE(open.erase(e.which) == 1);
          const auto unseen = e.kind == ef::fail ? e.why.unseen_attempts : e.unseen_attempts;
          REQUIRE(unseen <= billable[e.which]);
        }
      }
      REQUIRE(b.state.flying <= b.state.rules.max_in_flight);
      REQUIRE(flying.size() == b.state.flying);
      REQUIRE(b.state.requests.size() == open.size());
    };
    for (int turn = 0; turn < 300 || !open.empty(); ++turn) {
      REQUIRE(turn < 20'000);
      const double next = std::min(flying.empty() ? unlimited : flying.begin()->first, next_wake(b.state, b.now));
      if (turn < 300 && random.chance(0.4)) {
        billable[++last] = 1 + static_cast<std::uint32_t>(random.below(3));
        open.insert(last);
        handle(b(asked(last, b.now + 500 * random.uniform(), billable[last], random.chance(0.5) ? "m" : "n")));
      } else if (!open.empty() && random.chance(0.05)) {
        handle(b(cancelled(*open.begin())));
      } else if (next < unlimited) {
        b.now = std::max(b.now, next);
        if (!flying.empty() && flying.begin()->first <= b.now) {
          const request_number which = flying.begin()->second;
          flying.erase(flying.begin());
          course_event e = ended(which, std::nullopt);
          if (random.chance(health)) {
            constexpr failure_kind kinds[] = {failure_kind::rate_limit, failure_kind::server, failure_kind::network, failure_kind::timeout, failure_kind::bad_request};
            e = ended(which, kinds[random.below(5)], random.chance(0.3));
            if (random.chance(0.3))
              e.end.retry_after_s = random.uniform() * 200;
          }
          if (random.chance(0.2))
            e.end.limits.requests = {60 + random.uniform() * 600, std::floor(random.uniform() * 3), random.uniform() * 10};
          handle(b(e));
        } else {
          handle(b());
        }
      }
    }
    CHECK(b.state.requests.empty());
    CHECK(b.state.flying == 0);
  }
}
