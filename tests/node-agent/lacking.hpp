// What a test says where this host lacks what it needs: it is skipped, visibly. Where KEVOLVE_TEST_SANDBOX is "full" (mutation testing, hosts that are known to have
// it all) it fails instead: code that is broken looks like a host that lacks something.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

namespace kevolve::test {

inline void lacking(const std::string& what) {
  const char* required = std::getenv("KEVOLVE_TEST_SANDBOX");
  if (required && std::string(required) == "full")
    FAIL("lacking: ", what);
  MESSAGE("skipped: ", what);
}

} // namespace kevolve::test
