#include "scheduler/table.hpp"

#include <doctest/doctest.h>

using namespace kevolve::scheduler;

TEST_CASE("columns are aligned by code points and lines have no trailing spaces") {
  table t({{"name"}, {"time", align::right}, {"note"}});
  t.add({"a", "1 µs", "x"});
  t.add({"longer", "12 ms"});
  CHECK(t.render({}) == "  name     time  note\n"
                        "  a        1 µs  x\n"
                        "  longer  12 ms\n");
}

TEST_CASE("attributes appear only with colour") {
  CHECK(style{false}.good("x") == "x");
  CHECK(style{true}.good("x") == "\033[32mx\033[0m");
}

TEST_CASE("text wraps at spaces and a long word stays whole") {
  CHECK(wrap("one two three", 8, "  ") == "one two\n  three");
  CHECK(wrap("incomprehensibilities", 5, "") == "incomprehensibilities");
  CHECK(wrap("", 5, "") == "");
}
