#include "scheduler/campaign.hpp"

#include <cstdlib>
#include <doctest/doctest.h>
#include <fstream>

using namespace kevolve;
using namespace kevolve::scheduler;

namespace {

struct folder {
  std::filesystem::path path;
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "kevolve-campaign-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~folder() { std::filesystem::remove_all(path); }
};

const nlohmann::ordered_json identity{{"campaign", "test"}, {"seed", 1}};

} // namespace

TEST_CASE("a campaign continues after its finished trials, and a torn last line is forgotten") {
  folder at;
  const auto file = at.path / "below" / "trials.jsonl";
  {
    auto begun = campaign::open(file, identity);
    REQUIRE(begun);
    REQUIRE(begun->add({{"trial", 0}}));
    REQUIRE(begun->add({{"trial", 1}}));
  }
  std::ofstream(file, std::ios::app) << "{\"trial\": 2";
  auto again = campaign::open(file, identity);
  REQUIRE(again);
  REQUIRE(again->trials().size() == 2);
  REQUIRE(again->add({{"trial", 2}}));
  auto third = campaign::open(file, identity);
  REQUIRE(third);
  REQUIRE(third->trials().size() == 3);
  CHECK(third->trials()[2]["trial"] == 2);
}

TEST_CASE("another campaign's record is not continued") {
  folder at;
  REQUIRE(campaign::open(at.path / "t.jsonl", identity));
  const auto other = campaign::open(at.path / "t.jsonl", {{"campaign", "test"}, {"seed", 2}});
  REQUIRE_FALSE(other);
  CHECK(other.error().code == errc::refused);
}
