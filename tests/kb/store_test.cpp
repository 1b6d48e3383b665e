#include "kb/store.hpp"
#include "protocol/codec.hpp"
#include "tests/kb/sample_events.hpp"
#include "tests/kb/scratch.hpp"

#include <doctest/doctest.h>
#include <map>

using namespace kevolve;
using namespace kevolve::kb;

namespace {

std::unique_ptr<store> open(const std::filesystem::path& directory, kb::access how = kb::access::read_write) {
  auto opened = store::open(directory, how);
  REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message));
  return *std::move(opened);
}

void put(store& to, const session_id& session, event what) {
  std::string failure;
  to.append(session, std::move(what), [&](result<std::uint64_t> done) {
    if (!done)
      failure = done.error().message;
  });
  const auto flushed = to.flush();
  REQUIRE(flushed.has_value());
  REQUIRE(failure == "");
}

std::vector<event> small_session(const session_id& session) {
  std::vector<event> events{samples::opened(session)};
  for (node_number n = 0; n < 5; ++n) {
    candidate c = samples::made(7, n);
    events.push_back(samples::proposed(n));
    events.push_back(samples::added(n, c));
    events.push_back(samples::recorded(n, samples::measured(c.id)));
  }
  events.push_back(samples::verified(3, samples::measured(samples::made(7, 3).id)));
  events.push_back(session_finished{"evaluations", "", 10, 12, 1'790'000'001'000});
  return events;
}

} // namespace

TEST_CASE("events come back as they were appended, in order, also after reopening") {
  const scratch_directory where;
  const std::vector<event> written = small_session("s-1");
  {
    auto memory = open(where.path());
    for (const event& e : written)
      memory->append("s-1", e, {});
    REQUIRE(memory->flush().has_value());
    const auto back = memory->events("s-1");
    REQUIRE(back.has_value());
    CHECK(encode(*back) == encode(written));
  }
  auto memory = open(where.path(), kb::access::read_only);
  const auto back = memory->events("s-1");
  REQUIRE(back.has_value());
  CHECK(encode(*back) == encode(written));
  const auto none = memory->events("s-2");
  REQUIRE(!none.has_value());
  CHECK(none.error().code == errc::not_found);
}
