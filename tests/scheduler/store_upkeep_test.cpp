// The scheduler's own sealing: which sessions, that it goes on by itself, and what it says where it cannot.
#include "scheduler/store_upkeep.hpp"
#include "tests/kb/opening.hpp"

#include <doctest/doctest.h>
#include <mutex>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <string>
#include <vector>

using namespace kevolve;
using namespace kevolve::kb;
using namespace std::chrono_literals;

namespace {

/// What is logged while it lives.
class log_lines final : public spdlog::sinks::base_sink<std::mutex> {
public:
  std::vector<std::string> with(const std::string& part) {
    std::lock_guard lock(mutex_);
    std::vector<std::string> found;
    for (const std::string& line : lines_)
      if (line.find(part) != std::string::npos)
        found.push_back(line);
    return found;
  }
  static std::shared_ptr<log_lines> capture() {
    auto lines = std::make_shared<log_lines>();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("upkeep", lines));
    return lines;
  }

private:
  void sink_it_(const spdlog::details::log_msg& what) override { lines_.emplace_back(what.payload.data(), what.payload.size()); }
  void flush_() override {}
  std::vector<std::string> lines_;
};

template <class Is>
bool comes_true(Is is) {
  for (int i = 0; i < 6000; ++i) {
    if (is())
      return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

std::int64_t ms_ago(std::chrono::milliseconds how_long) {
  return std::chrono::duration_cast<std::chrono::milliseconds>((std::chrono::system_clock::now() - how_long).time_since_epoch()).count();
}

void add_session(store& to, const session_id& session, std::uint64_t seed, std::int64_t ended_ms) {
  std::vector<event> events = small_session(session, seed, 40);
  std::get<session_finished>(events.back()).at_ms = ended_ms;
  for (event& e : events)
    to.append(session, std::move(e), [](result<std::uint64_t> done) { REQUIRE(done.has_value()); });
  REQUIRE(to.flush().has_value());
}

} // namespace

TEST_CASE("sessions that ended long enough ago are sealed by and by, later ones when it is their time, and all answer as before") {
  const scratch_directory where;
  const auto said = log_lines::capture();
  auto memory = open_store(where.path());
  add_session(*memory, "old", 1, ms_ago(2h));
  add_session(*memory, "new", 2, ms_ago(0ms));
  const auto before = encode(*memory->events("old")) + encode(*memory->events("new"));
  {
    const scheduler::store_upkeep upkeep(*memory, 1h, 5ms);
    REQUIRE(comes_true([&] { return !said->with("sealed 1 finished sessions").empty(); }));
    add_session(*memory, "older", 3, ms_ago(3h)); // it looks again
    REQUIRE(comes_true([&] { return said->with("sealed 1 finished sessions").size() == 2; }));
  }
  const auto left = memory->seal(ms_ago(-1h));
  REQUIRE(left.has_value());
  CHECK(left->sessions == 1); // the new one alone was left
  CHECK(encode(*memory->events("old")) + encode(*memory->events("new")) == before);
  CHECK(memory->check(false)->damage.empty());
}

TEST_CASE("where it cannot seal it says so once, not at every look") {
  const scratch_directory where;
  {
    auto memory = open_store(where.path());
    add_session(*memory, "old", 1, ms_ago(2h));
  }
  const auto said = log_lines::capture();
  const auto memory = open_store(where.path(), kb::access::read_only);
  {
    const scheduler::store_upkeep upkeep(*memory, 1h, 1ms);
    REQUIRE(comes_true([&] { return !said->with("sealing finished sessions: ").empty(); }));
    std::this_thread::sleep_for(50ms); // many looks
  }
  CHECK(said->with("sealing finished sessions: ").size() == 1);
}

TEST_CASE("it ends at once, however far its next look is") {
  const scratch_directory where;
  auto memory = open_store(where.path());
  add_session(*memory, "old", 1, ms_ago(2h));
  { const scheduler::store_upkeep upkeep(*memory, 1h); } // would wait a minute
  const auto left = memory->seal(ms_ago(1h));
  REQUIRE(left.has_value());
  CHECK(left->sessions == 1); // it had not looked
}
