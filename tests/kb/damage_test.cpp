#include "kb/database.hpp"
#include "kb/opening.hpp"
#include "kb/store.hpp"
#include "protocol/rng.hpp"
#include "tests/kb/opening.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <sys/wait.h>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::kb;

namespace {

const std::vector<session_id> names{"s-0", "s-1", "s-2", "s-3"};

void fill(const std::filesystem::path& directory) {
  auto memory = open_store(directory);
  for (std::size_t i = 0; i < names.size(); ++i)
    for (const event& e : small_session(names[i], i, 12))
      REQUIRE(put(*memory, names[i], e).has_value()); // commit by commit, so that pages are freed and used again
}

enum verdict : int { same = 0, refused_to_open = 10, read_error = 11, silently_wrong = 12, wrong_code = 13 };

/// Opens and reads everything in a process of its own.
int judge(const std::filesystem::path& directory, const std::string& expected) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, STDERR_FILENO);
    auto memory = store::open(directory, kb::access::read_write);
    if (!memory)
      ::_exit(memory.error().code == errc::damaged ? refused_to_open : wrong_code);
    const auto found = everything(**memory, names);
    if (!found)
      ::_exit(found.error().code == errc::damaged ? read_error : wrong_code);
    ::_exit(*found == expected ? same : silently_wrong);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1'000 + WTERMSIG(status);
}

void overwrite(const std::filesystem::path& file, std::uintmax_t offset, const std::string& bytes) {
  const int descriptor = ::open(file.c_str(), O_WRONLY);
  REQUIRE(descriptor >= 0);
  REQUIRE(::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes.size()));
  ::close(descriptor);
}

std::string read_at(const std::filesystem::path& file, std::uintmax_t offset, std::size_t size) {
  std::string bytes(size, '\0');
  const int descriptor = ::open(file.c_str(), O_RDONLY);
  REQUIRE(::pread(descriptor, bytes.data(), size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size));
  ::close(descriptor);
  return bytes;
}

} // namespace

TEST_CASE("flipped bits, zeroed and swapped pages and truncation are detected or harmless") {
  const char* text = std::getenv("KEVOLVE_STORE_DAMAGE");
  const unsigned rounds = text ? static_cast<unsigned>(std::atoi(text)) : 120;
  const scratch_directory where;
  const std::filesystem::path good = where.path() / "good", bad = where.path() / "bad";
  fill(good);
  std::string expected;
  {
    auto memory = open_store(good);
    auto found = everything(*memory, names);
    REQUIRE(found.has_value());
    expected = *found;
  }
  REQUIRE(judge(good, expected) == same);
  const auto size = std::filesystem::file_size(good / "data.mdb");
  rng draw(7);
  unsigned detected = 0, harmless = 0;
  for (unsigned round = 0; round < rounds; ++round) {
    std::filesystem::remove_all(bad);
    std::filesystem::create_directories(bad);
    for (const char* name : {"data.mdb", "writer.lock"})
      std::filesystem::copy_file(good / name, bad / name);
    const auto file = bad / "data.mdb";
    const unsigned kind = round % 12;
    const std::uintmax_t offset = kind == 1 ? draw.below(8'192) : draw.below(size), page = offset / 4'096 * 4'096; // 1: the meta pages
    if (kind == 9) {
      overwrite(file, page, std::string(4'096, '\0'));
    } else if (kind == 10) {
      const std::uintmax_t other = draw.below(size / 4'096) * 4'096;
      const std::string a = read_at(file, page, 4'096), b = read_at(file, other, 4'096);
      overwrite(file, page, b);
      overwrite(file, other, a);
    } else if (kind == 11) {
      std::filesystem::resize_file(file, round % 24 == 11 ? page : offset);
    } else {
      std::string byte = read_at(file, offset, 1);
      byte[0] = static_cast<char>(byte[0] ^ 1 << draw.below(8));
      overwrite(file, offset, byte);
    }
    const int found = judge(bad, expected);
    const bool fine = found == same || found == refused_to_open || found == read_error;
    CHECK_MESSAGE(fine, "round " << round << ", kind " << kind << ", offset " << offset << ": " << found);
    ++(found == same ? harmless : detected);
  }
  CHECK(detected > 0);
  MESSAGE(rounds << " damaged stores: " << detected << " detected, " << harmless << " harmless");
}

TEST_CASE("an empty, foreign, newer or missing database is told apart") {
  const scratch_directory where;
  const auto message = [](const std::filesystem::path& directory, kb::access how = kb::access::read_write) {
    const auto opened = store::open(directory, how);
    REQUIRE(!opened.has_value());
    return std::string(to_string(opened.error().code)) + ": " + opened.error().message;
  };
  const auto says = [](const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; };
  const std::string damaged = std::string(to_string(errc::damaged)) + ": ";

  CHECK(says(message(where.path() / "nothing", kb::access::read_only), to_string(errc::not_found)));
  fill(where.path() / "lost");
  std::filesystem::resize_file(where.path() / "lost" / "data.mdb", 0);
  CHECK(says(message(where.path() / "lost"), damaged));
  std::filesystem::remove(where.path() / "lost" / "data.mdb");
  CHECK(says(message(where.path() / "lost"), damaged));

  const auto foreign = where.path() / "foreign";
  std::filesystem::create_directories(foreign);
  {
    auto env = lmdb::open_environment(foreign, 0, 1 << 20);
    REQUIRE(env.has_value());
    lmdb::transaction txn;
    REQUIRE(lmdb::transaction::begin(env->get(), 0, txn) == 0);
    MDB_dbi table = 0;
    REQUIRE(mdb_dbi_open(txn.get(), "theirs", MDB_CREATE, &table) == 0);
    REQUIRE(txn.commit() == 0);
  }
  CHECK(says(message(foreign), "is not a kevolve store"));
  overwrite(foreign / "data.mdb", 0, std::string(8'192, 'x'));
  CHECK(says(message(foreign), "magic"));

  const auto newer = where.path() / "newer";
  fill(newer);
  {
    auto opened = open_database(newer, kb::access::read_write, {});
    REQUIRE(opened.has_value());
    lmdb::transaction txn;
    REQUIRE(lmdb::transaction::begin(opened->data->env.get(), 0, txn) == 0);
    store_row row;
    row.schema = 99;
    const std::string record = make_record(table::root, "store", encode(row));
    MDB_val k = lmdb::as_value("store"), v = lmdb::as_value(record);
    REQUIRE(mdb_put(txn.get(), opened->data->handle(table::root), &k, &v, 0) == 0);
    REQUIRE(txn.commit() == 0);
  }
  CHECK(says(message(newer), "newer kevolve (schema 99"));
}

namespace {

/// Replaces (or, given nothing, deletes) a record behind the store's back.
void tamper(const std::filesystem::path& directory, table t, const std::string& key, const std::optional<std::string>& record) {
  auto opened = open_database(directory, kb::access::read_write, {});
  REQUIRE(opened.has_value());
  lmdb::transaction txn;
  REQUIRE(lmdb::transaction::begin(opened->data->env.get(), 0, txn) == 0);
  MDB_val k = lmdb::as_value(key);
  if (record) {
    MDB_val v = lmdb::as_value(*record);
    REQUIRE(mdb_put(txn.get(), opened->data->handle(t), &k, &v, 0) == 0);
  } else {
    REQUIRE(mdb_del(txn.get(), opened->data->handle(t), &k, nullptr) == 0);
  }
  REQUIRE(txn.commit() == 0);
}

} // namespace

TEST_CASE("a store whose creation was cut short begins anew; the same bytes without that mark are damage") {
  const scratch_directory where;
  const auto file = where.path() / "data.mdb";
  for (const bool marked : {false, true}) {
    std::filesystem::remove_all(where.path());
    std::filesystem::create_directories(where.path());
    { std::ofstream(file, std::ios::binary) << std::string(8'192, '\0'); } // the length came through, LMDB's first pages did not
    if (marked)
      std::ofstream(where.path() / "writer.lock") << "12345\nstore being created\n";
    const auto looked = store::open(where.path(), kb::access::read_only);
    REQUIRE_FALSE(looked);
    CHECK(looked.error().code == (marked ? errc::not_found : errc::damaged));
    const auto opened = store::open(where.path(), kb::access::read_write);
    CHECK(opened.has_value() == marked);
    CHECK(std::filesystem::exists(where.path() / "data.mdb.unfinished") == marked); // set aside, not removed
  }
  std::filesystem::remove(file); // from here on it was created: a loss
  const auto lost = store::open(where.path(), kb::access::read_write);
  REQUIRE_FALSE(lost);
  CHECK(lost.error().code == errc::damaged);
}

TEST_CASE("views that differ from the log are reported and rebuilt") {
  const scratch_directory where;
  fill(where.path());
  std::string expected;
  {
    auto memory = open_store(where.path());
    const auto report = memory->check(false);
    REQUIRE(report.has_value());
    CHECK(report->damage == std::vector<std::string>{});
    CHECK(report->sessions == names.size());
    expected = *everything(*memory, names);
  }
  session_row forged;
  forged.summary.session = names[1];
  forged.summary.best_speedup = 100;
  tamper(where.path(), table::sessions, names[1], make_record(table::sessions, names[1], encode(forged)));
  tamper(where.path(), table::occurrences, number_key(0, 2), std::nullopt);
  tamper(where.path(), table::verifications, "softmax", make_record(table::verifications, "softmax", encode(verification_row{})));
  tamper(where.path(), table::candidate_index, bytes_of_id(samples::made(0, 3).id), std::string("garbage"));
  auto memory = open_store(where.path());
  const auto found = memory->check(false);
  REQUIRE(found.has_value());
  CHECK(found->damage.size() == 4);
  const auto repaired = memory->check(true);
  REQUIRE(repaired.has_value());
  CHECK(repaired->repaired);
  CHECK(repaired->remaining == std::vector<std::string>{});
  const auto after = everything(*memory, names);
  REQUIRE(after.has_value());
  CHECK(*after == expected);
  REQUIRE(put(*memory, names[1], session_resumed{1}).has_value()); // the writer goes on
  CHECK(memory->check(false)->damage == std::vector<std::string>{});
}

TEST_CASE("a writer that meets damage stops: it neither guesses nor gives a candidate a second number") {
  const candidate known = samples::made(0, 3);
  const std::string id = bytes_of_id(known.id);
  for (const std::string& damage : {std::string("no record"), make_record(table::candidate_index, id, "\xc1")})
    for (const event& what : {event(samples::added(40, known)), event(samples::recorded(3, samples::measured(known.id)))}) {
      const scratch_directory where;
      fill(where.path());
      tamper(where.path(), table::candidate_index, id, damage);
      auto memory = open_store(where.path());
      const auto refused = put(*memory, names[1], what);
      REQUIRE(!refused.has_value());
      CHECK(refused.error().message.find("the store stops") != std::string::npos);
      CHECK(!memory->health().has_value());
      CHECK(!memory->recover().has_value());
      CHECK(memory->events(names[1])->size() == small_session(names[1], 1, 12).size());
    }
}

TEST_CASE("damage in one session's log is named, leaves the others readable, and is never appended to") {
  const scratch_directory where;
  fill(where.path());
  tamper(where.path(), table::events, event_key(names[2], 17), std::string("garbage of some length, longer than a header"));
  auto memory = open_store(where.path());
  const auto broken = memory->events(names[2]);
  REQUIRE(!broken.has_value());
  CHECK(broken.error().code == errc::damaged);
  CHECK(broken.error().message.find("session s-2, position 17") != std::string::npos);
  for (const session_id& other : {names[0], names[1], names[3]})
    CHECK(memory->events(other).has_value());
  const auto repaired = memory->check(true);
  REQUIRE(repaired.has_value());
  CHECK(!repaired->repaired);
  CHECK(repaired->damage.size() >= 1);
  REQUIRE(repaired->remaining.size() == 1);
  CHECK(repaired->remaining[0].find("session s-2, position 17") != std::string::npos);
  CHECK(put(*memory, names[2], session_resumed{1}).error().code == errc::damaged);
  CHECK(put(*memory, names[0], session_resumed{1}).has_value());
  const auto summaries = memory->sessions();
  REQUIRE(summaries.has_value());
  for (const session_summary& s : *summaries)
    CHECK((s.state == "damaged") == (s.session == names[2]));
}

TEST_CASE("events lost from the end of a log are noticed") {
  const scratch_directory where;
  fill(where.path());
  const std::uint64_t count = small_session(names[3], 3, 12).size();
  tamper(where.path(), table::events, event_key(names[3], count - 1), std::nullopt);
  const auto opened = store::open(where.path(), kb::access::read_write); // it was the newest of all
  REQUIRE(!opened.has_value());
  CHECK(opened.error().code == errc::damaged);
  store_options options;
  options.only_check = true;
  auto memory = open_store(where.path(), kb::access::read_write, options);
  const auto report = memory->check(true);
  REQUIRE(report.has_value());
  CHECK(!report->damage.empty());
  CHECK(report->remaining.size() == 1);
  memory.reset();
  memory = open_store(where.path()); // the others go on
  CHECK(memory->events(names[0]).has_value());
}
