#include "kb/layout.hpp"
#include "kb/opening.hpp"
#include "protocol/rng.hpp"
#include "tests/kb/opening.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::kb;

namespace {

constexpr std::int64_t long_after = 1'800'000'000'000; // milliseconds since 1970: after every end in these tests
constexpr node_number nodes = 150;                     // 453 events: two segments

const std::vector<session_id> names{"s-0", "s-1", "s-2"};
const session_id still_running = "s-running";
std::vector<session_id> all_names() {
  std::vector<session_id> out = names;
  out.push_back(still_running);
  return out;
}

void append_all(store& to, const session_id& session, std::vector<event> events) {
  for (event& e : events)
    to.append(session, std::move(e), [](result<std::uint64_t> done) { REQUIRE(done.has_value()); });
}

void fill(store& to) {
  for (std::size_t i = 0; i < names.size(); ++i)
    append_all(to, names[i], small_session(names[i], i, nodes));
  std::vector<event> running = small_session(still_running, 9, 40);
  running.pop_back();
  append_all(to, still_running, std::move(running));
  REQUIRE(to.flush().has_value());
}

std::size_t records_of(const std::filesystem::path& directory, table t) {
  auto opened = open_database(directory, kb::access::read_only, {});
  REQUIRE(opened.has_value());
  auto at = reading::begin(*opened->data);
  REQUIRE(at.has_value());
  std::size_t count = 0;
  REQUIRE(at->scan(t, {}, [&](auto, auto) -> result<bool> { return ++count != 0; }).has_value());
  return count;
}

std::string asked_all(const store& from, const std::vector<session_id>& sessions) {
  auto answer = everything(from, sessions);
  REQUIRE_MESSAGE(answer.has_value(), (answer ? "" : answer.error().message));
  return *std::move(answer);
}

seal_report sealed(store& in, std::int64_t before = long_after) {
  auto report = in.seal(before);
  REQUIRE_MESSAGE(report.has_value(), (report ? "" : report.error().message));
  return *report;
}

void check_is_clean(store& what) {
  const auto report = what.check(false);
  REQUIRE(report.has_value());
  CHECK(report->damage == std::vector<std::string>{});
}

void change(const std::filesystem::path& directory, const std::function<int(MDB_txn*, const database&)>& how) {
  auto opened = open_database(directory, kb::access::read_write, {});
  REQUIRE(opened.has_value());
  lmdb::transaction txn;
  REQUIRE(lmdb::transaction::begin(opened->data->env.get(), 0, txn) == 0);
  REQUIRE(how(txn.get(), *opened->data) == 0);
  REQUIRE(txn.commit() == 0);
}

std::uint32_t schema_of(const std::filesystem::path& directory) {
  auto opened = open_database(directory, kb::access::read_only, {});
  REQUIRE(opened.has_value());
  auto at = reading::begin(*opened->data);
  REQUIRE(at.has_value());
  return (*at->row<store_row>(table::root, "store", "store"))->schema;
}

} // namespace

TEST_CASE("a sealed store answers everything as before, and takes less room") {
  const scratch_directory where;
  {
    auto memory = open_store(where.path());
    fill(*memory);
    const std::string before = asked_all(*memory, all_names());
    const seal_report early = sealed(*memory, 1); // no session ended so early; candidates never change
    CHECK(early.sessions == 0);
    CHECK(early.candidates == (names.size() * nodes + 40) / 64 * 64);
    CHECK(early.bytes_after * 2 < early.bytes_before);
    const seal_report report = sealed(*memory);
    CHECK(report.sessions == names.size());
    CHECK(report.events == names.size() * small_session(names[0], 0, nodes).size());
    CHECK(report.bytes_after * 3 < report.bytes_before);
    CHECK(asked_all(*memory, all_names()) == before);
    check_is_clean(*memory);
    const seal_report again = sealed(*memory);
    CHECK(again.sessions + again.events + again.candidates == 0);
    memory.reset();
    memory = open_store(where.path());
    CHECK(asked_all(*memory, all_names()) == before);
    REQUIRE(memory->snapshot(where.path() / "copy").has_value());
    memory.reset();
    CHECK(asked_all(*open_store(where.path() / "copy", kb::access::read_only), all_names()) == before);
  }
  CHECK(schema_of(where.path()) == 2);
  CHECK(records_of(where.path(), table::events) == small_session(still_running, 9, 40).size() - 1);
  CHECK(records_of(where.path(), table::event_segments) == 2 * names.size());
}

TEST_CASE("a sealed session goes on: the same chain as one that was never sealed, and its new events are sealed when they are enough") {
  const scratch_directory where, beside;
  auto memory = open_store(where.path()), never_sealed = open_store(beside.path());
  for (store* each : {memory.get(), never_sealed.get()})
    fill(*each);
  sealed(*memory);
  const auto go_on = [&](std::size_t events) {
    for (store* each : {memory.get(), never_sealed.get()})
      for (std::size_t i = 0; i < events; ++i)
        REQUIRE(put(*each, names[1], samples::verified(1, samples::measured(samples::made(1, 1).id))).has_value());
  };
  const auto same = [&] {
    CHECK(asked_all(*memory, all_names()) == asked_all(*never_sealed, all_names()));
    for (std::uint64_t count : {1, 255, 256, 257, 453, 454})
      CHECK(*memory->digest(names[1], count) == *never_sealed->digest(names[1], count));
    check_is_clean(*memory);
  };
  go_on(3);
  for (store* each : {memory.get(), never_sealed.get()}) { // a session of candidates that are sealed already
    append_all(*each, "late", small_session("late", 1, 3));
    REQUIRE(each->flush().has_value());
  }
  CHECK(sealed(*memory).sessions == 1); // the late one: three more events do not pay for a segment
  same();
  go_on(40);
  CHECK(sealed(*memory).sessions == 1);
  same();
}

TEST_CASE("views are rebuilt from sealed events") {
  const scratch_directory where;
  std::string before;
  {
    auto memory = open_store(where.path());
    fill(*memory);
    sealed(*memory);
    before = asked_all(*memory, all_names());
  }
  change(where.path(), [](MDB_txn* txn, const database& data) { return mdb_drop(txn, data.handle(table::evaluations), 0); });
  change(where.path(), [](MDB_txn* txn, const database& data) { return mdb_drop(txn, data.handle(table::candidate_index), 0); });
  auto memory = open_store(where.path());
  CHECK(memory->check(false)->damage.size() > 10);
  const auto repaired = memory->check(true);
  REQUIRE(repaired.has_value());
  CHECK(repaired->repaired);
  CHECK(asked_all(*memory, all_names()) == before);
}

TEST_CASE("damage in a segment is named, and leaves the others readable") {
  const scratch_directory where;
  {
    auto memory = open_store(where.path());
    fill(*memory);
    sealed(*memory);
  }
  change(where.path(), [](MDB_txn* txn, const database& data) {
    const std::string key = event_key(names[1], 255), record = "garbage of some length, longer than a header";
    MDB_val k = lmdb::as_value(key), v = lmdb::as_value(record);
    return mdb_put(txn, data.handle(table::event_segments), &k, &v, 0);
  });
  change(where.path(), [](MDB_txn* txn, const database& data) {
    const std::string key = number_key(63);
    MDB_val k = lmdb::as_value(key);
    return mdb_del(txn, data.handle(table::candidate_segments), &k, nullptr);
  });
  auto memory = open_store(where.path());
  const auto broken = memory->events(names[1]);
  REQUIRE(!broken.has_value());
  CHECK(broken.error().code == errc::damaged);
  CHECK(broken.error().message.find("event_segments, session s-1, up to position 255: checksum") != std::string::npos);
  CHECK(broken.error().message.find("comes back only from a snapshot") != std::string::npos);
  CHECK(memory->events(names[0]).error().message.find("candidate number 0: missing") != std::string::npos);
  CHECK(memory->events(names[2]).has_value());
  CHECK(memory->find_candidate(samples::made(2, 1).id).has_value());
  const auto report = memory->check(false);
  REQUIRE(report.has_value());
  const auto says = [&](const std::string& text) {
    return std::any_of(report->damage.begin(), report->damage.end(), [&](const std::string& d) { return d.find(text) != std::string::npos; });
  };
  CHECK(says("session s-1, up to position 255"));
  CHECK(says("candidate number 0"));
}

TEST_CASE("a store of an older kevolve, without room for segments, opens for both and is made ready by its writer") {
  const scratch_directory where;
  std::string before;
  {
    auto memory = open_store(where.path());
    fill(*memory);
    before = asked_all(*memory, all_names());
  }
  change(where.path(), [](MDB_txn* txn, const database& data) {
    const int code = mdb_drop(txn, data.handle(table::event_segments), 1);
    return code ? code : mdb_drop(txn, data.handle(table::candidate_segments), 1);
  });
  CHECK(schema_of(where.path()) == 1);
  CHECK(asked_all(*open_store(where.path(), kb::access::read_only), all_names()) == before);
  CHECK(open_store(where.path(), kb::access::read_only)->seal(long_after).error().code == errc::refused);
  auto memory = open_store(where.path());
  CHECK(sealed(*memory).sessions == names.size());
  CHECK(asked_all(*memory, all_names()) == before);
}

TEST_CASE("sealing beside a writer: what both leave is what the writer alone would have left") {
  const scratch_directory where, beside;
  auto memory = open_store(where.path()), never_sealed = open_store(beside.path());
  std::vector<session_id> written;
  std::atomic<bool> ended = false;
  std::uint64_t sessions = 0;
  std::thread sealer([&] {
    while (!ended)
      if (auto report = memory->seal(long_after))
        sessions += report->sessions;
  });
  for (std::uint64_t i = 0; i < 60; ++i) {
    written.push_back("w-" + std::to_string(i));
    for (store* each : {memory.get(), never_sealed.get()})
      append_all(*each, written.back(), small_session(written.back(), i / 2, 20));
    if (i % 10 == 9)
      REQUIRE(memory->flush().has_value());
  }
  REQUIRE(never_sealed->flush().has_value());
  REQUIRE(memory->flush().has_value());
  ended = true;
  sealer.join();
  sessions += sealed(*memory).sessions; // those that ended just now
  CHECK(sessions == written.size());
  CHECK(asked_all(*memory, written) == asked_all(*never_sealed, written));
  check_is_clean(*memory);
}

TEST_CASE("killed while it seals and writes: everything acknowledged is there, once") {
  const char* asked = std::getenv("KEVOLVE_STORE_KILLS");
  const int kills = asked ? std::atoi(asked) : 8;
  const scratch_directory where;
  auto* acknowledged = static_cast<std::atomic<std::uint64_t>*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(acknowledged != MAP_FAILED);
  rng draw(20261128);
  std::uint64_t segments = 0;
  for (int round = 0; round < kills; ++round) {
    *acknowledged = 0;
    const pid_t writer = ::fork();
    REQUIRE(writer >= 0);
    if (writer == 0) {
      auto memory = store::open(where.path(), kb::access::read_write);
      if (!memory)
        ::_exit(3);
      for (std::uint64_t i = 0;; ++i) {
        const session_id name = "k-" + std::to_string(round) + "-" + std::to_string(i);
        for (event& e : small_session(name, i, 12))
          (*memory)->append(name, std::move(e), {});
        if (!(*memory)->flush())
          ::_exit(4);
        acknowledged->store(i + 1);
        if (!(*memory)->seal(long_after))
          ::_exit(5);
      }
    }
    ::usleep(static_cast<useconds_t>(30'000 + draw.below(200'000)));
    ::kill(writer, SIGKILL);
    int status = 0;
    ::waitpid(writer, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    auto memory = open_store(where.path());
    check_is_clean(*memory);
    for (std::uint64_t i = 0; i < acknowledged->load(); ++i)
      CHECK(encode(*memory->events("k-" + std::to_string(round) + "-" + std::to_string(i))) ==
            encode(small_session("k-" + std::to_string(round) + "-" + std::to_string(i), i, 12)));
    memory.reset();
    segments = records_of(where.path(), table::event_segments);
  }
  CHECK(segments > static_cast<std::uint64_t>(kills) / 2);
  ::munmap(acknowledged, 4096);
}
