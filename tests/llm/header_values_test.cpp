#include "actors/synthesis/llm/header_values.hpp"

#include <doctest/doctest.h>

using namespace kevolve::llm;

TEST_CASE("dates and durations in the forms that vendors use") {
  CHECK(http_date("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777.0);
  CHECK(http_date("Fri, 27 Nov 2026 00:00:00 GMT") == 1795737600.0);
  CHECK(rfc3339("2026-11-27T00:00:00Z") == 1795737600.0);
  CHECK(rfc3339("2026-11-27T02:00:00+02:00") == 1795737600.0);
  CHECK(*rfc3339("2026-11-27T00:00:00.250Z") == doctest::Approx(1795737600.25));
  CHECK(duration_value("6m0s") == 360.0);
  CHECK(duration_value("12ms") == doctest::Approx(0.012));
  CHECK(duration_value("1h2m3.5s") == doctest::Approx(3723.5));
  CHECK(duration_value("7") == 7.0);
  for (const char* bad : {"", "x", "Sun, 06 Nov 1994", "Sun, 99 Nov 1994 08:49:37 GMT", "2026-11-27", "2026-13-27T00:00:00Z", "2026-11-27T00:00:00", "6 minutes", "5x", "-1s", "nan", "inf"}) {
    CHECK_FALSE(http_date(bad));
    CHECK_FALSE(rfc3339(bad));
  }
  for (const char* bad : {"", "x", "6 minutes", "5x", "s", "nan", "inf", "1e999"})
    CHECK_FALSE(duration_value(bad));
}

TEST_CASE("retry-after in milliseconds, seconds and as a date, in this order") {
  CHECK(retry_after_s({{"retry-after-ms", "1500"}, {"retry-after", "9"}}, 0) == 1.5);
  CHECK(retry_after_s({{"retry-after", "2.5"}}, 0) == 2.5);
  CHECK(retry_after_s({{"retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"}}, 784111770) == 7.0);
  CHECK(retry_after_s({{"retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"}}, 784111790) == 0.0); // past
  CHECK(retry_after_s({{"retry-after", "-5"}}, 0) == 0.0);
  CHECK_FALSE(retry_after_s({{"retry-after", "soon"}}, 0));
  CHECK_FALSE(retry_after_s({}, 0));
  CHECK(should_retry({{"x-should-retry", "false"}}) == false);
  CHECK(should_retry({{"x-should-retry", "true"}}) == true);
  CHECK_FALSE(should_retry({{"x-should-retry", "perhaps"}}));
}

TEST_CASE("limits of OpenAI, Azure and Anthropic") {
  const auto openai = limits_in({{"x-ratelimit-limit-requests", "600"}, {"x-ratelimit-remaining-requests", "599"}, {"x-ratelimit-reset-requests", "100ms"},
                                 {"x-ratelimit-limit-tokens", "150000"}, {"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "6m0s"}}, 0);
  CHECK(openai.requests == told_limit{600, 599, 0.1});
  CHECK(openai.tokens == told_limit{150000, 0, 360});
  const auto azure = limits_in({{"x-ratelimit-limit-requests", "-1"}, {"x-ratelimit-remaining-requests", "0"}, {"x-ratelimit-remaining-tokens", "-1"}}, 0);
  CHECK(azure == told_limits{});
  const auto anthropic = limits_in({{"anthropic-ratelimit-requests-limit", "50"}, {"anthropic-ratelimit-requests-remaining", "0"}, {"anthropic-ratelimit-requests-reset", "2026-11-27T00:00:30Z"},
                                    {"anthropic-ratelimit-tokens-remaining", "9000"}, {"anthropic-ratelimit-output-tokens-limit", "8000"},
                                    {"anthropic-ratelimit-output-tokens-remaining", "100"}, {"anthropic-ratelimit-output-tokens-reset", "2026-11-27T00:00:10Z"}}, 1795737600.0);
  CHECK(anthropic.requests == told_limit{50, 0, 30});
  CHECK(anthropic.tokens == told_limit{8000, 100, 10}); // the one with least left
}

TEST_CASE("request ids are printable and short") {
  CHECK(request_id({{"x-request-id", "req_1"}, {"request-id", "other"}}) == "req_1");
  CHECK(request_id({{"request-id", "a\x1b[31m b"}}) == "a[31mb");
  CHECK(request_id({{"request-id", std::string(5000, 'x')}}).size() == 200);
  CHECK(request_id({}).empty());
}
