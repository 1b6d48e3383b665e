// Blobs in pieces, and what agents have their scheduler do for them: bounded, resumed where they were, checked at the end.
#include "actors/blob_transfer.hpp"
#include "actors/errands.hpp"
#include "protocol/digest.hpp"
#include "protocol/rng.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>

using namespace kevolve;
using namespace std::chrono_literals;

namespace {

std::string some_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  rng draw(3, 0, "bytes");
  for (char& c : bytes)
    c = static_cast<char>(draw.below(256));
  return bytes;
}

blob_reference named(const std::string& bytes) { return {sha256_hex(bytes), bytes.size()}; }

errands::time at(std::chrono::milliseconds since) { return errands::time{} + 1h + since; }

template <class Kind>
std::vector<Kind> only(const std::vector<message>& said) {
  std::vector<Kind> found;
  for (const auto& each : said)
    if (const auto* it = std::get_if<Kind>(&each))
      found.push_back(*it);
  return found;
}

compile_work to_compile() {
  compile_work w;
  w.what.id = std::string(64, 'a');
  w.toolchain = "g++";
  w.runs_on.machine = "x86_64";
  return w;
}

} // namespace

TEST_CASE("a blob is asked for in bounded pieces, a bounded number at a time, and comes whole") {
  const std::string bytes = some_bytes(10 * 1000 + 7);
  blob_receiver receiver(named(bytes), 1000, at(0ms));
  std::deque<blob_wanted> under_way;
  std::size_t asked = 0, most = 0;
  while (!receiver.complete()) {
    for (auto& each : receiver.due(at(0ms)))
      under_way.push_back(each), ++asked;
    most = std::max(most, under_way.size());
    REQUIRE_FALSE(under_way.empty());
    CHECK(receiver.take(piece_of(under_way.front(), bytes), at(1ms)));
    under_way.pop_front();
  }
  CHECK(asked == 11);
  CHECK(most == limits::pieces_under_way);
  CHECK(receiver.counted().asked_again == 0);
  const auto whole = std::move(receiver).content();
  REQUIRE(whole);
  CHECK(*whole == bytes);
}

TEST_CASE("after a cut only what was under way is asked for again, in whatever order the rest came") {
  const std::string bytes = some_bytes(20'000);
  blob_receiver receiver(named(bytes), 1000, at(0ms));
  auto first = receiver.due(at(0ms));
  REQUIRE(first.size() == limits::pieces_under_way);
  std::reverse(first.begin(), first.end());
  std::vector<std::uint64_t> lost{first[2].offset, first[5].offset};
  for (const auto& each : first)
    if (std::find(lost.begin(), lost.end(), each.offset) == lost.end())
      CHECK(receiver.take(piece_of(each, bytes), at(10ms)));
  std::set<std::uint64_t> asked;
  for (const auto& each : receiver.due(at(20ms)))
    asked.insert(each.offset);
  for (const auto offset : lost)
    CHECK_FALSE(asked.contains(offset)); // they may still come
  for (const auto& each : receiver.due(at(1900ms)))
    asked.insert(each.offset);
  const auto again = receiver.due(at(2500ms));
  std::set<std::uint64_t> offsets;
  for (const auto& each : again)
    offsets.insert(each.offset);
  for (const auto offset : lost)
    CHECK(offsets.contains(offset));
  for (const auto& each : first)
    if (std::find(lost.begin(), lost.end(), each.offset) == lost.end())
      CHECK_FALSE(offsets.contains(each.offset));
  CHECK(receiver.counted().asked_again == again.size());
}

TEST_CASE("pieces that nobody asked for, of another size or of another blob are not taken") {
  const std::string bytes = some_bytes(5000);
  blob_receiver receiver(named(bytes), 1000, at(0ms));
  const auto asked = receiver.due(at(0ms));
  REQUIRE(asked.size() == 5);
  auto piece = piece_of(asked[1], bytes);
  auto shorter = piece, other = piece, elsewhere = piece;
  shorter.content.pop_back();
  other.hash = std::string(64, '0');
  elsewhere.offset = 500;
  CHECK_FALSE(receiver.take(std::move(shorter), at(1ms)));
  CHECK_FALSE(receiver.take(std::move(other), at(1ms)));
  CHECK_FALSE(receiver.take(std::move(elsewhere), at(1ms)));
  CHECK(receiver.take(blob_piece(piece), at(1ms)));
  CHECK_FALSE(receiver.take(std::move(piece), at(1ms))); // twice
}

TEST_CASE("what came is checked by its hash, and what is named is bounded before anything is allocated") {
  const std::string bytes = some_bytes(1500);
  blob_receiver receiver(named(bytes), 1000, at(0ms));
  for (const auto& each : receiver.due(at(0ms))) {
    auto piece = piece_of(each, bytes);
    piece.content[3] ^= 1;
    CHECK(receiver.take(std::move(piece), at(1ms)));
  }
  REQUIRE(receiver.complete());
  const auto whole = std::move(receiver).content();
  REQUIRE_FALSE(whole);
  CHECK(whole.error().code == errc::damaged);
  CHECK(blob_receiver::refuse(named(bytes), 1500).empty());
  CHECK_FALSE(blob_receiver::refuse(named(bytes), 1499).empty());
  CHECK_FALSE(blob_receiver::refuse({std::string(64, 'a'), 0}, 1500).empty());
  CHECK_FALSE(blob_receiver::refuse({"../../etc/passwd", 10}, 1500).empty());
  CHECK_FALSE(blob_receiver::refuse({std::string(64, 'A'), 10}, 1500).empty());
}

TEST_CASE("a piece is given only from within the blob, and never a larger one than a frame should hold") {
  const std::string bytes = some_bytes(limits::piece_bytes + 10);
  const std::string hash = sha256_hex(bytes);
  CHECK(piece_of({hash, 10, limits::piece_bytes, ""}, bytes).content == bytes.substr(10));
  CHECK(piece_of({hash, 11, limits::piece_bytes, ""}, bytes).content.empty());
  CHECK(piece_of({hash, 0, limits::piece_bytes + 1, ""}, bytes).content.empty());
  CHECK(piece_of({hash, ~std::uint64_t{0}, 2, ""}, bytes).content.empty());
  CHECK(piece_of({hash, 0, 0, ""}, bytes).content.empty());
}

TEST_CASE("a shelf gives what somebody holds, and nothing once nobody does") {
  blob_shelf shelf;
  auto bytes = std::make_shared<const std::string>("a work");
  const auto reference = shelf.put(bytes);
  CHECK(reference.bytes == 6);
  CHECK(shelf.find(reference.hash) == bytes);
  bytes.reset();
  CHECK(shelf.find(reference.hash) == nullptr);
}

TEST_CASE("a compilation is asked for again until it is answered, and its answer counts once") {
  errands table;
  const auto ticket = table.compile(to_compile(), at(0ms));
  const auto first = only<compile_wanted>(table.due(at(0ms)));
  REQUIRE(first.size() == 1);
  CHECK(table.due(at(1900ms)).empty());
  CHECK(only<compile_wanted>(table.due(at(2100ms))).size() == 1);
  compile_made made;
  made.candidate = to_compile().what.id;
  table.heard(compile_answered{first[0].request, made});
  table.heard(compile_answered{first[0].request, made});
  const auto done = table.take_done();
  REQUIRE(done.size() == 1);
  CHECK(done[0].which == ticket);
  CHECK(std::holds_alternative<errands::made>(done[0].how));
  CHECK(table.due(at(10s)).empty());
  CHECK(table.under_way() == 0);
}

TEST_CASE("an answer about another candidate, or one that names an impossible program, is the compiling host's failure") {
  errands table;
  compile_made made;
  made.candidate = std::string(64, 'b');
  (void)table.compile(to_compile(), at(0ms));
  table.heard(compile_answered{"1", made});
  made.candidate = to_compile().what.id;
  made.good = true;
  made.artifact = {std::string(64, 'c'), limits::artifact_bytes + 1};
  (void)table.compile(to_compile(), at(0ms));
  table.heard(compile_answered{"2", made});
  for (const auto& each : table.take_done())
    CHECK(std::holds_alternative<errands::failed>(each.how));
}

TEST_CASE("whoever stops waiting has it dropped, and two that fetch one blob share its transfer") {
  errands table(1000);
  const auto compile = table.compile(to_compile(), at(0ms));
  CHECK(only<compile_dropped>(table.drop(compile)).size() == 1);
  CHECK(table.drop(compile).empty());
  const std::string bytes = some_bytes(2500);
  const auto one = table.fetch(named(bytes), at(0ms)), two = table.fetch(named(bytes), at(0ms));
  const auto asked = only<blob_wanted>(table.due(at(0ms)));
  CHECK(asked.size() == 3);
  (void)table.drop(one);
  for (const auto& each : asked)
    table.heard(piece_of(each, bytes), at(1ms));
  const auto done = table.take_done();
  REQUIRE(done.size() == 1);
  CHECK(done[0].which == two);
  CHECK(*std::get<errands::fetched>(done[0].how).content == bytes);
  CHECK(table.counted().pieces == 3);
}

TEST_CASE("a blob whose holder went goes on, with the next holder, at the piece that is missing") {
  errands table(1000);
  const std::string bytes = some_bytes(30'000);
  (void)table.fetch(named(bytes), at(0ms));
  auto asked = only<blob_wanted>(table.due(at(0ms)));
  for (const auto& each : asked)
    table.heard(piece_of(each, bytes), at(1ms));
  asked = only<blob_wanted>(table.due(at(1ms))); // eight more, which are lost with their holder
  CHECK(asked.front().offset == 8000);
  table.heard(blob_missing{named(bytes).hash, ""});
  REQUIRE(table.take_done().size() == 1);
  CHECK(table.due(at(5s)).empty());
  (void)table.fetch(named(bytes), at(60s));
  std::size_t pieces = 0;
  for (int i = 0; i < 40; ++i)
    for (const auto& each : only<blob_wanted>(table.due(at(60s)))) {
      CHECK(each.offset >= 8000);
      ++pieces;
      table.heard(piece_of(each, bytes), at(60s));
    }
  const auto done = table.take_done();
  REQUIRE(done.size() == 1);
  CHECK(*std::get<errands::fetched>(done[0].how).content == bytes);
  CHECK(pieces == 22);
}

TEST_CASE("a transfer to which nothing comes ends, and all together are bounded") {
  errands table;
  (void)table.fetch(named(some_bytes(100)), at(0ms));
  for (int s = 0; s < 70; ++s)
    (void)table.due(at(std::chrono::seconds(s)));
  REQUIRE(table.take_done().size() == 1);
  for (int i = 0; i < 8; ++i)
    (void)table.fetch({sha256_hex(std::to_string(i)), limits::artifact_bytes}, at(0ms));
  CHECK(table.take_done().empty());
  (void)table.fetch({sha256_hex("one more"), limits::artifact_bytes}, at(0ms));
  const auto refused = table.take_done();
  REQUIRE(refused.size() == 1);
  CHECK(std::holds_alternative<errands::failed>(refused[0].how));
}
