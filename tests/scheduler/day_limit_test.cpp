#include "scheduler/day_limit.hpp"

#include <doctest/doctest.h>

using namespace kevolve::scheduler;

namespace {
constexpr std::int64_t day = 86'400'000;
}

TEST_CASE("a day's limit counts what is reserved, and what came of it") {
  day_limit l({1000, 0}, {100, 0}, 0);
  CHECK(l.reserve(1, {800, 1}));
  CHECK_FALSE(l.reserve(1, {200, 1}));
  l.settle({800, 1}, {50, 0.1});
  CHECK(l.spent().tokens == 150);
  CHECK(l.reserve(1, {850, 1}));
  day_limit usd({0, 2}, {}, 0);
  CHECK(usd.reserve(1, {1'000'000, 2}));
  CHECK_FALSE(usd.reserve(1, {1, 0.01}));
}

TEST_CASE("what is under way at midnight makes the new day no cheaper") {
  day_limit l({1000, 0}, {}, day - 1);
  CHECK(l.reserve(day - 1, {400, 0}));
  CHECK(l.reserve(day, {500, 0}));      // 400 of yesterday are still under way
  CHECK_FALSE(l.reserve(day, {200, 0}));
  l.settle({400, 0}, {10, 0});          // yesterday's
  CHECK(l.spent().tokens == 510);
  CHECK_FALSE(l.reserve(day, {500, 0}));
  CHECK(l.reserve(day, {490, 0}));
  CHECK(l.reserve(2 * day, {10, 0}));   // both of yesterday's are still under way
  CHECK(l.spent().tokens == 1000);
}
