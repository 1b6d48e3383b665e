// The power goes while the store writes. A kill cannot show a missing sync, since the page cache survives it; so the store's writes are recorded,
// and every state that the disk may be in after them is opened by the real store: all that it acknowledged must be there, and nothing that was
// not appended, in order; views as the log says; and it must take the next event. The control opens LMDB with MDB_NOSYNC and must lose something.
// KEVOLVE_POWER_CUT_IMAGES: how many (CI: 200); each recording gives 250.
#include "kb/store.hpp"
#include "tests/kb/crash_images.hpp"
#include "tests/kb/opening.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <lmdb.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::kb;
using power_cut::recorded;

namespace {

constexpr std::uint64_t images_of_a_recording = 250;
constexpr std::size_t reason_bytes = 400;
constexpr std::uint64_t ends_at = 12; // a session's end; what it takes afterwards is sealed by and by
const std::vector<session_id> names{"cut-0", "cut-1", "cut-2"};

std::uint64_t images_asked() {
  const char* text = std::getenv("KEVOLVE_POWER_CUT_IMAGES");
  return text ? std::strtoull(text, nullptr, 10) : 200;
}

/// The event that a session has at a position, small ones and some that fill pages of their own.
event event_at(const session_id& session, std::uint64_t seed, std::uint64_t position) {
  if (position == 0)
    return samples::opened(session);
  if (position == ends_at)
    return session_finished{"evaluations", "", 10, 12, 1'790'000'001'000};
  const auto number = static_cast<node_number>((position - 1) / 3);
  const std::uint64_t key = seed * 16 + static_cast<std::uint64_t>(session.back());
  const auto made = [&] { return samples::made(key, number, number % 7 == 6 ? 40'000 : 600); };
  if (position % 3 == 1)
    return samples::proposed(number);
  if (position % 3 == 2)
    return samples::added(number, made());
  return samples::recorded(number, samples::measured(made().id));
}

/// Two lives of a store that is given events in bursts, so that its commits have one event or many, and that is sealed now and then. What it did to its files, and promised when.
std::vector<recorded> record(std::uint64_t seed) {
  const scratch_directory where;
  power_cut::begin(where.path());
  rng draw(seed, 0, "bursts");
  std::map<session_id, std::uint64_t> next;
  for (int life = 0; life < 2; ++life) {
    auto memory = open_store(where.path());
    for (int burst = 0; burst < 16; ++burst) {
      for (std::uint64_t n = 1 + draw.below(draw.chance(0.3) ? 40 : 4); n > 0; --n) {
        const session_id session = names[draw.below(names.size())];
        memory->append(session, event_at(session, seed, next[session]++), [session](result<std::uint64_t> at) {
          if (at)
            power_cut::promise(session, *at + 1);
        });
      }
      if (draw.chance(0.7))
        REQUIRE(memory->flush());
      if (draw.chance(0.25))
        REQUIRE(memory->seal(std::numeric_limits<std::int64_t>::max()));
    }
  }
  return power_cut::end();
}

enum verdict : int { good = 0, unopenable = 10, lost = 11, altered = 12, views_differ = 13, takes_no_more = 14 };

/// In a process of its own: damage that nobody foresaw may kill it.
verdict examine(const std::filesystem::path& directory, std::uint64_t seed, const std::map<std::string, std::uint64_t>& promised, char* reason) {
  const auto say = [&](verdict v, const std::string& why) { return std::snprintf(reason, reason_bytes, "%s", why.c_str()), v; };
  auto memory = store::open(directory, access::read_write);
  if (!memory)
    return say(unopenable, memory.error().message);
  for (const session_id& session : names) {
    const auto promise = promised.find(session);
    const std::uint64_t safe = promise == promised.end() ? 0 : promise->second;
    const auto events = (*memory)->events(session);
    const std::uint64_t there = events ? events->size() : 0;
    if (there < safe)
      return say(lost, session + ": " + std::to_string(safe) + " events were acknowledged, " + std::to_string(there) + " are there" + (events ? "" : ": " + events.error().message));
    for (std::uint64_t position = 0; position < there; ++position)
      if (encode((*events)[position]) != encode(event_at(session, seed, position)))
        return say(altered, session + ": the event at " + std::to_string(position) + " is not what was appended");
  }
  const auto checked = (*memory)->check(false);
  if (!checked || !checked->damage.empty())
    return say(views_differ, checked ? checked->damage.front() : checked.error().message);
  const auto one_more = put(**memory, "after-the-cut", samples::opened("after-the-cut"));
  if (!one_more)
    return say(takes_no_more, one_more.error().message);
  return good;
}

struct tally {
  std::uint64_t images = 0, with_pending = 0, promises = 0;
  std::map<int, std::uint64_t> found; // by verdict; 1000 + signal: it died
  std::string first;

  [[nodiscard]] std::uint64_t bad() const {
    std::uint64_t n = 0;
    for (const auto& [v, count] : found)
      n += v == good ? 0 : count;
    return n;
  }
  [[nodiscard]] std::string text() const {
    const auto of = [&](int v) { return std::to_string(found.contains(v) ? found.at(v) : 0); };
    std::uint64_t died = 0;
    for (const auto& [v, count] : found)
      died += v >= 1000 ? count : 0;
    return std::to_string(images) + " crash images (" + std::to_string(with_pending) + " with writes that no sync covered, " + std::to_string(promises) +
           " acknowledged events in them): " + of(lost) + " lost acknowledged events, " + of(unopenable) + " did not open, " + of(altered) + " altered, " + of(views_differ) +
           " with wrong views, " + of(takes_no_more) + " took no more, " + std::to_string(died) + " killed the store" + (first.empty() ? "" : "; the first: " + first);
  }
};

void lay_out(const std::filesystem::path& directory, const std::map<std::string, std::string>& files) {
  std::filesystem::remove_all(directory);
  std::filesystem::create_directory(directory);
  for (const auto& [name, bytes] : files)
    if (name != "lock.mdb") // of readers: LMDB makes it anew when nobody has it open
      std::ofstream(directory / name, std::ios::binary) << bytes;
}

void open_image(const power_cut::disk& disk, std::uint64_t seed, rng draw, const std::filesystem::path& directory, char* reason, tally& into) {
  lay_out(directory, disk.image(draw));
  reason[0] = 0;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0)
    ::_exit(examine(directory, seed, disk.promised(), reason));
  int status = 0;
  ::waitpid(child, &status, 0);
  const int found = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  ++into.images;
  into.with_pending += disk.pending("data.mdb") > 0;
  for (const auto& [session, events] : disk.promised())
    into.promises += events;
  ++into.found[found];
  if (found != good && into.first.empty())
    into.first = std::string(reason) + " (recording " + std::to_string(seed) + ")";
}

/// Images at moments drawn from the recording, more of them where writes are pending.
void cut(std::uint64_t seed, std::uint64_t images, tally& into) {
  const auto log = record(seed);
  REQUIRE(log.size() > 100);
  std::vector<std::size_t> moments;
  power_cut::disk disk;
  for (std::size_t i = 0; i < log.size(); ++i) {
    disk.apply(log[i]);
    moments.insert(moments.end(), disk.pending("data.mdb") > 0 ? 4 : 1, i);
  }
  std::map<std::size_t, std::uint64_t> chosen;
  rng draw(seed, 0, "moments");
  for (std::uint64_t i = 0; i < images; ++i)
    ++chosen[moments[draw.below(moments.size())]];

  const bool in_memory = std::filesystem::is_directory("/dev/shm");
  const scratch_directory scratch;
  const auto where = in_memory ? std::filesystem::path("/dev/shm") / scratch.path().filename() : scratch.path() / "image";
  auto* reason = static_cast<char*>(::mmap(nullptr, reason_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(reason != MAP_FAILED);
  disk = {};
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < log.size(); ++i) {
    disk.apply(log[i]);
    for (std::uint64_t n = chosen.contains(i) ? chosen[i] : 0; n > 0; --n)
      open_image(disk, seed, rng(seed, number++, "image"), where, reason, into);
  }
  ::munmap(reason, reason_bytes);
  std::filesystem::remove_all(where);
}

tally cut_power(std::uint64_t images, std::uint64_t first_seed) {
  tally all;
  for (std::uint64_t seed = first_seed; all.images < images; ++seed) {
    cut(seed, std::min(images_of_a_recording, images - all.images), all);
    if (images > images_of_a_recording)
      std::printf("%llu images, %llu bad\n", static_cast<unsigned long long>(all.images), static_cast<unsigned long long>(all.bad())), std::fflush(stdout);
  }
  return all;
}

} // namespace

TEST_CASE("whatever a power cut leaves of the disk, all that was acknowledged is there and the store opens") {
  const tally all = cut_power(images_asked(), 1);
  MESSAGE(all.text());
  CHECK_MESSAGE(all.bad() == 0, all.text());
  CHECK(all.with_pending > all.images / 4); // or the images would prove little
}

TEST_CASE("the control: without syncs the same images lose what was acknowledged") {
  power_cut::open_environments_with(MDB_NOSYNC);
  const tally all = cut_power(std::max<std::uint64_t>(60, images_asked() / 20), 1'000'000);
  power_cut::open_environments_with(0);
  MESSAGE(all.text());
  CHECK(all.bad() > all.images / 2);
  CHECK(all.found.contains(lost));
}
