#include "scheduler/quantity.hpp"

#include <cmath>
#include <doctest/doctest.h>
#include <limits>

using namespace kevolve::scheduler;

TEST_CASE("durations are read with and without a unit") {
  CHECK(*duration_from_string("60s") == 60);
  CHECK(*duration_from_string("1.5m") == 90);
  CHECK(*duration_from_string("2h") == 7200);
  CHECK(*duration_from_string("500ms") == doctest::Approx(0.5));
  CHECK(*duration_from_string("7") == 7);
  CHECK(*duration_from_string("0") == 0);
}

TEST_CASE("a text that is no duration is refused with what was found and expected") {
  for (const char* text : {"", "s", "-3s", "-0s", "5 minutes", "1e999", "nan", "inf", "3sec", "99999d"})
    CHECK_MESSAGE(!duration_from_string(text), text);
  CHECK(duration_from_string("soon").error().message == "found 'soon', expected a duration such as 60s, 5m, 2h or 500ms");
}

TEST_CASE("factors and counts refuse what is not one") {
  CHECK(*factor_from_string("1.5x") == 1.5);
  CHECK(*factor_from_string("2") == 2);
  for (const char* text : {"", "x", "-1x", "2xx", "nan"})
    CHECK_MESSAGE(!factor_from_string(text), text);
  CHECK(*count_from_string("18446744073709551615") == std::numeric_limits<std::uint64_t>::max());
  for (const char* text : {"", "-1", "1.5", "18446744073709551616", "ten", "3 "})
    CHECK_MESSAGE(!count_from_string(text), text);
}

TEST_CASE("lists split at commas and none is the empty one") {
  CHECK(list_from_string("eager,compile") == std::vector<std::string>{"eager", "compile"});
  CHECK(list_from_string("none").empty());
  CHECK(list_from_string("").empty());
  CHECK(list_from_string(",a,,b,") == std::vector<std::string>{"a", "b"});
}

TEST_CASE("latencies carry three digits and the unit that fits") {
  CHECK(show_latency(12.34e-6) == "12.3 us");
  CHECK(show_latency(1.0499e-3) == "1.05 ms");
  CHECK(show_latency(999.6e-6) == "1.00 ms");
  CHECK(show_latency(3.2e-8) == "32.0 ns");
  CHECK(show_latency(2.5) == "2.50 s");
  CHECK(show_latency(0) == "?");
  CHECK(show_latency(std::nan("")) == "?");
}

TEST_CASE("durations, factors, rates and ids are shown shortly") {
  CHECK(show_duration(9.94) == "9.9 s");
  CHECK(show_duration(59.6) == "1 min 0 s");
  CHECK(show_duration(7800) == "2 h 10 min");
  CHECK(show_factor(2.126) == "2.13x");
  CHECK(show_factor(0) == "?");
  CHECK(show_factor(std::numeric_limits<double>::infinity()) == "?");
  CHECK(show_rate(23.4e9, "B") == "23.4 GB/s");
  CHECK(show_rate(141e9, "FLOP") == "141 GFLOP/s");
  CHECK(show_bytes(65536) == "65.5 kB");
  CHECK(show_percent(0.884) == "88%");
  CHECK(short_id(std::string(64, 'a')) == std::string(12, 'a'));
  CHECK(short_id("eager") == "eager");
}
