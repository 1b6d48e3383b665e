// Failpoints: named, counted, and deadly.
#include "protocol/failpoint.hpp"

#include <csignal>
#include <doctest/doctest.h>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

using namespace kevolve;

namespace {

/// How a child ends that arms this and comes by twice, then elsewhere once.
int end_of(const char* text) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!arm_failpoint(text))
      ::_exit(4);
    pass(failpoint::log_before_commit);
    pass(failpoint::log_after_commit);
    pass(failpoint::log_before_commit);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

} // namespace

TEST_CASE("every failpoint has a name of its own, in the order of the enumeration") {
  std::set<std::string_view> names;
  std::uint8_t next = 0;
  for (const auto& each : failpoints()) {
    CHECK(static_cast<std::uint8_t>(each.at) == next++);
    CHECK(names.insert(each.name).second);
    CHECK_FALSE(each.where.empty());
  }
  CHECK(static_cast<std::uint8_t>(failpoint::seal_after_commit) + 1 == next);
}

TEST_CASE("a process dies where it is told to, the time that it is told") {
  CHECK(end_of("") == 0);
  CHECK(end_of("log.before-commit") == 128 + SIGKILL);
  CHECK(end_of("log.before-commit:2") == 128 + SIGKILL);
  CHECK(end_of("log.before-commit:3") == 0);
  CHECK(end_of("log.after-commit:2") == 0);
  CHECK(end_of("answer.sent") == 0);
}

TEST_CASE("a failpoint that there is not is a mistake of the configuration, and what there is is named") {
  for (const char* text : {"log.before", "log.before-commit:0", "log.before-commit:-1", "log.before-commit:two", "log.before-commit:", ":1"}) {
    CAPTURE(text);
    const auto armed = arm_failpoint(text);
    REQUIRE_FALSE(armed);
    CHECK(armed.error().code == errc::configuration);
    CHECK(armed.error().message.find(text) != std::string::npos);
  }
  CHECK(arm_failpoint("log.before").error().message.find("answer.spooled") != std::string::npos);
  pass(failpoint::log_before_commit); // nothing is armed after a mistake
}
