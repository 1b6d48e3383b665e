#include "kb/crc32c.hpp"
#include "kb/layout.hpp"
#include "kb/record.hpp"
#include "kb/segment.hpp"
#include "protocol/codec.hpp"
#include "tests/kb/sample_events.hpp"

#include <cstdlib>
#include <doctest/doctest.h>
#include <fstream>
#include <map>

using namespace kevolve;
using namespace kevolve::kb;

namespace {

std::string event_record(const session_id& session, std::uint64_t position, const event& e) {
  auto body = pack_body(encode(e));
  REQUIRE(body.has_value());
  std::string fixed(as_bytes(chain_begin(session)));
  append_u64(fixed, 41);
  std::string out(body->record_bytes(fixed.size()), '\0');
  write_record(out.data(), table::events, event_key(session, position), fixed, *body);
  return out;
}

/// What version 1 wrote, by name.
std::map<std::string, std::string> version_1() {
  const candidate c = samples::made(1, 1, 100);
  candidate bare = c;
  bare.sources.clear();
  session_row row;
  row.summary.session = "golden";
  row.summary.state = "running";
  row.events = 2;
  row.chain = std::string(32, 'c');
  std::map<std::string, std::string> out;
  out["key of an event"] = event_key("golden", 258);
  out["key of a number and sequence"] = number_key(7, 9);
  out["chain after the first event"] =
    std::string(as_bytes(chain_next(chain_begin("golden"), content_hash(encode(event(samples::opened("golden")))))));
  out["event session_opened"] = event_record("golden", 0, samples::opened("golden"));
  out["event proposal_made"] = event_record("golden", 1, samples::proposed(1));
  out["event candidate_added"] = event_record("golden", 2, samples::added(1, bare));
  out["event proposal_closed"] = event_record("golden", 3, proposal_closed{1, "duplicate"});
  out["event evaluation_discarded"] = event_record("golden", 4, evaluation_discarded{1, 2, "late"});
  out["event session_paused"] = event_record("golden", 5, session_paused{"interrupted", 11});
  out["event session_resumed"] = event_record("golden", 6, session_resumed{12});
  out["event actor_restarted"] = event_record("golden", 7, actor_restarted{"evaluator", "threw"});
  out["event session_finished"] = event_record("golden", 8, session_finished{"goal", "", 1, 2, 13});
  out["event budget_changed"] = event_record("golden", 9, budget_changed{200, 60, 1.5, 14});
  out["event skills_learnt"] = event_record("golden", 10, skills_learnt{"reduction", {{"unroll(factor=4)", bound::memory, 3, 2, 1, 0.5}}, 15});
  out["event model_asked"] = event_record("golden", 11, model_asked{1, 0, "local", "m-1", "propose", "rules", {"write it"}, 4000, 0.25, 16});
  out["event model_asked of a named provider"] = event_record("golden", 11, model_asked{1, 0, "local", "m-1", "propose", "rules", {"write it"}, 4000, 0.25, 16, "vendor"});
  auto by_bandit = samples::opened("golden");
  by_bandit.settings.ensemble = ensemble_kind::bandit;
  by_bandit.synthesizers = {{"generator", {10, 9, 3, 0}}};
  out["event session_opened by a bandit"] = event_record("golden", 0, by_bandit);
  auto written_elsewhere = samples::opened("golden");
  written_elsewhere.settings.written_on = {"any"};
  out["event session_opened, written elsewhere"] = event_record("golden", 0, written_elsewhere);
  auto on_chosen_hosts = samples::opened("golden");
  on_chosen_hosts.settings.hosts = "rack1,!spot";
  out["event session_opened, on chosen hosts"] = event_record("golden", 0, on_chosen_hosts);
  auto on_an_agent = samples::added(1, bare);
  on_an_agent.agent = "fleet.host";
  on_an_agent.moves = 1;
  out["event candidate_added on an agent"] = event_record("golden", 2, on_an_agent);
  out["event model_answered"] = event_record("golden", 12, model_answered{1, 0, "text", "because", "end", "", {900, 300, 80, 20}, 0.01, 2.5, 2, "req-1", 17});
  out["session row"] = make_record(table::sessions, "golden", encode(row));
  out["head"] = make_record(table::root, "head", encode(head_row{2, 1, 1, "golden", 1, 1, std::string(32, 'c')}));
  out["event segment"] = make_record(table::event_segments, event_key("golden", 1), encode(event_segment{0, std::string(32, 'c'), {{7, "first"}, {9, "second"}}}));
  out["candidate segment"] = make_record(table::candidate_segments, number_key(1), encode(candidate_segment{0, {{7, "one"}, {9, "two"}}}));
  out["candidate number"] = make_record(table::candidate_index, bytes_of_id(c.id), encode(std::uint64_t{5}));
  return out;
}

std::filesystem::path golden_file() { return std::filesystem::path(KEVOLVE_TEST_DATA) / "records_v1.txt"; }

} // namespace

TEST_CASE("records of version 1 keep their bytes") {
  const auto now = version_1();
  if (std::getenv("KEVOLVE_WRITE_GOLDEN")) { // only when a new kind of record joins; what is there never changes
    std::ofstream out(golden_file());
    for (const auto& [name, bytes] : now)
      out << name << '\t' << hex(bytes) << '\n';
  }
  std::map<std::string, std::string> then;
  std::ifstream in(golden_file());
  REQUIRE(in.good());
  for (std::string line; std::getline(in, line);)
    then[line.substr(0, line.find('\t'))] = line.substr(line.find('\t') + 1);
  CHECK(then.size() == now.size());
  for (const auto& [name, bytes] : now)
    CHECK_MESSAGE(then[name] == hex(bytes), name);
}

TEST_CASE("CRC-32C is the published one, by table and by instruction") {
  CHECK(crc32c(0, "123456789", 9) == 0xe3069283u); // RFC 3720's check value
  const std::string zeros(32, '\0');
  CHECK(crc32c(0, zeros.data(), zeros.size()) == 0x8a9136aau);
  rng draw(5);
  for (std::size_t size = 0; size < 300; ++size) {
    std::string bytes(size, '\0');
    for (char& c : bytes)
      c = static_cast<char>(draw.below(256));
    CHECK(crc32c(0, bytes.data(), size) == crc32c_by_table(0, bytes.data(), size));
    const std::size_t half = size / 2;
    CHECK(crc32c(crc32c(0, bytes.data(), half), bytes.data() + half, size - half) == crc32c(0, bytes.data(), size));
  }
}

TEST_CASE("a record opens only under its table and key, and not with any bit changed") {
  const std::string key = "k", body = "some body that is long enough";
  const std::string record = make_record(table::sessions, key, body);
  REQUIRE(open_record(table::sessions, key, record).has_value());
  CHECK(open_record(table::sessions, key, record)->stored == body);
  CHECK(!open_record(table::sessions, "l", record).has_value());
  CHECK(!open_record(table::occurrences, key, record).has_value());
  for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
    std::string bad = record;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    CHECK(!open_record(table::sessions, key, bad).has_value());
  }
  for (std::size_t size = 0; size < record.size(); ++size)
    CHECK(!open_record(table::sessions, key, std::string_view(record).substr(0, size)).has_value());
}

TEST_CASE("large bodies are compressed and come back; too large ones are refused") {
  std::string text;
  while (text.size() < 100'000)
    text += "acc += x[i] * scale; ";
  auto packed = pack_body(text);
  REQUIRE(packed.has_value());
  CHECK(packed->compressed);
  CHECK(packed->bytes.size() < text.size() / 10);
  std::string record(packed->record_bytes(0), '\0');
  write_record(record.data(), table::candidates, "n", {}, *packed);
  const auto opened = open_record(table::candidates, "n", record);
  REQUIRE(opened.has_value());
  std::string buffer;
  const auto body = body_of(*opened, buffer);
  REQUIRE(body.has_value());
  CHECK(*body == text);
  CHECK(!pack_body(std::string("short"))->compressed);
  CHECK(pack_body(std::string(record_bytes_max + 1, 'x')).error().code == errc::refused);
}

TEST_CASE("what zstd makes no smaller is stored as it is, and a body that does not decompress is damage") {
  rng draw(11);
  std::string noise;
  while (noise.size() < 4'096)
    noise += static_cast<char>(draw.below(256));
  const auto packed = pack_body(noise);
  REQUIRE(packed.has_value());
  CHECK(!packed->compressed);
  CHECK(packed->bytes == noise);

  auto whole = pack_body(std::string(4'096, 'x'));
  REQUIRE(whole->compressed);
  for (std::size_t cut = 1; cut < whole->bytes.size(); ++cut) {
    const packed_body part{whole->bytes.substr(0, whole->bytes.size() - cut), true};
    std::string record(part.record_bytes(0), '\0'), buffer;
    write_record(record.data(), table::candidates, "n", {}, part); // a checksum of its own: only decompressing can tell
    const auto opened = open_record(table::candidates, "n", record);
    REQUIRE(opened.has_value());
    const auto body = body_of(*opened, buffer);
    REQUIRE(!body.has_value());
    CHECK(body.error().code == errc::damaged);
  }
}

TEST_CASE("damage is told with what was found and expected") {
  std::string record = make_record(table::sessions, "k", "twelve bytes");
  CHECK(open_record(table::sessions, "k", std::string(7, '\0'), 8).error().message == "7 bytes, at least 20 expected");
  CHECK(open_record(table::sessions, "l", record).error().message.find("checksum") == 0);
}

TEST_CASE("long or odd texts make keys of bounded length that stay different") {
  CHECK(key_part("softmax") == "softmax");
  const std::string a(5'000, 'a');
  CHECK(key_part(a).size() <= 200);
  CHECK(key_part(a) != key_part(a + "b"));
  CHECK(key_part(std::string("a\0b", 3)).find('\0') == std::string::npos);
  CHECK(bytes_of_id(std::string(64, 'g')).empty());
  CHECK(bytes_of_id(std::string(64, 'A')).empty());
  CHECK(bytes_of_id(std::string(63, 'a')).empty());
  CHECK(hex(bytes_of_id(std::string(64, 'a'))) == std::string(64, 'a'));
}
