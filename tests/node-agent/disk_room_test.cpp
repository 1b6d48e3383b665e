// When an agent's disk counts as full.
#include "node-agent/disk_room.hpp"

#include <doctest/doctest.h>

using namespace kevolve::agent;

TEST_CASE("a disk that was full has to have more room than one that was not") {
  disk_room room("/var/cache/somewhere");
  CHECK_FALSE(room.is_full_with(disk_room::full_below_bytes));
  CHECK(room.is_full_with(disk_room::full_below_bytes - 1));
  CHECK(room.is_full_with(disk_room::full_below_bytes));
  CHECK(room.is_full_with(disk_room::roomy_from_bytes - 1));
  CHECK_FALSE(room.is_full_with(disk_room::roomy_from_bytes));
  CHECK_FALSE(room.is_full_with(disk_room::full_below_bytes));
}

TEST_CASE("what is full is named, with what is free and what is waited for") {
  disk_room room("/var/cache/somewhere");
  REQUIRE(room.is_full_with(3 << 20));
  CHECK(room.trouble() == "the disk of '/var/cache/somewhere' is full (3 MiB are free): no work is taken until 32 MiB are");
}

TEST_CASE("a folder that cannot be asked about is not taken for full") {
  CHECK_FALSE(disk_room("/no/such/folder").is_full());
}
