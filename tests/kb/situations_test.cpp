// How well retrieval finds what a diagnosed situation calls for, among the documents that ship: tests/kb/situations/tuned.json, and unseen.json, which
// nobody looks at who changes retrieval. A situation counts when one of its expected documents is among the first three passages.
#include "kb/retrieval.hpp"

#include <algorithm>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

using namespace kevolve::kb;
namespace fs = std::filesystem;

namespace {

const fs::path source = KEVOLVE_SOURCE_DIR;

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

library shipped() {
  std::vector<document> all;
  const fs::path root = source / "kb/documents";
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const fs::path& file = entry.path();
    if (file.extension() != ".md" || file.filename() == "README.md" || file.filename() == "index.md")
      continue;
    auto read = read_document(file.lexically_relative(root).replace_extension().generic_string(), text_of(file), {}, file.string());
    REQUIRE_MESSAGE(read, read.error().message);
    all.push_back(std::move(*read));
  }
  return library(std::move(all));
}

struct count {
  std::size_t right = 0, all = 0;
};

/// Names those that were not found; `quiet`: only counts, so that nobody tunes on them.
count measure(const library& known, const fs::path& file, bool quiet) {
  count counted;
  for (const auto& s : nlohmann::json::parse(text_of(file))) {
    const auto expected = s.at("expected").get<std::vector<std::string>>();
    for (const std::string& id : expected)
      CHECK_MESSAGE(known.find(id), file.string() << ": expects " << id << ", which is no document");
    bool right = false;
    std::string got;
    for (const auto& f : known.search({s.at("platform"), s.value("architecture", ""), s.value("language", ""), s.value("signals", std::vector<std::string>{}), s.at("words"), 3})) {
      right = right || std::find(expected.begin(), expected.end(), f.of->id) != expected.end();
      got += f.of->id + " (" + f.why + ") ";
    }
    ++counted.all;
    counted.right += right;
    if (!right && !quiet)
      MESSAGE(s.at("words").get<std::string>() << ": found " << got);
  }
  return counted;
}

} // namespace

TEST_CASE("the right document is among the first three for 24 of 25 situations of each half") {
  const library known = shipped();
  const count tuned = measure(known, source / "tests/kb/situations/tuned.json", false);
  MESSAGE("tuned: " << tuned.right << " of " << tuned.all);
  CHECK(tuned.all == 25);
  CHECK(tuned.right >= 24); // measured: 25; one may fall as documents are added
  const count unseen = measure(known, source / "tests/kb/situations/unseen.json", true);
  MESSAGE("unseen: " << unseen.right << " of " << unseen.all);
  CHECK(unseen.all == 25);
  CHECK(unseen.right >= 24); // measured once, with nothing tuned after it: 25
}

TEST_CASE("a situation's words and signals matter: with those of another, its document is rarely found") {
  const library known = shipped();
  const auto situations = nlohmann::json::parse(text_of(source / "tests/kb/situations/tuned.json"));
  std::size_t right = 0;
  for (std::size_t i = 0; i < situations.size(); ++i) {
    const auto& s = situations[i];
    const auto& other = situations[(i + 7) % situations.size()];
    const auto expected = s.at("expected").get<std::vector<std::string>>();
    for (const auto& f : known.search({s.at("platform"), s.at("architecture"), s.at("language"), other.at("signals"), other.at("words"), 3}))
      if (std::find(expected.begin(), expected.end(), f.of->id) != expected.end()) {
        ++right;
        break;
      }
  }
  MESSAGE("with another's words: " << right << " of " << situations.size());
  CHECK(right <= situations.size() / 2);
}
