// Documents are read, cut and found; the situations of tests/kb/situations say how well.
#include "kb/retrieval.hpp"

#include <algorithm>
#include <doctest/doctest.h>

using namespace kevolve;
using namespace kevolve::kb;

namespace {

document read(std::string id, std::string text) {
  auto d = read_document(std::move(id), text, {}, "test.md");
  REQUIRE_MESSAGE(d, d.error().message);
  return std::move(*d);
}

const char* const stores = R"(---
title: Non-temporal stores
platforms: cpu
languages: cpp
signals: bound:memory, hint:streaming_stores
architectures: x86-64-v3, x86-64-v4
sources: a manual
status: sourced            # not ours
---
# Non-temporal stores

A store past the cache saves the read for ownership.

## When they hurt

Outputs that are read again soon.

```cpp
# not a heading
_mm512_stream_ps(p, v);
```
)";

} // namespace

TEST_CASE("a document is its front matter and a passage for each heading; code is not cut at its comments") {
  const auto d = read("hardware/cpu/stores", stores);
  CHECK(d.title == "Non-temporal stores");
  CHECK(d.platforms == std::vector<std::string>{"cpu"});
  CHECK(d.architectures.size() == 2);
  CHECK(d.status == "sourced");
  REQUIRE(d.passages.size() == 2);
  CHECK(d.passages[1].heading == "Non-temporal stores > When they hurt");
  CHECK(d.passages[1].text.find("_mm512_stream_ps") != std::string::npos);
}

TEST_CASE("a plain text is a document, too; what cannot be read is named with its line") {
  const auto d = read("note", "The chip has 8 cores.\n\nMore.\x1b[31m\n");
  CHECK(d.title == "The chip has 8 cores.");
  CHECK(d.passages.at(0).text.find('\x1b') == std::string::npos);
  CHECK(read_document("x", "", {}, "x.md").error().message == "x.md: it is empty; expected a text");
  CHECK(read_document("x", "---\ntitle: a\n", {}, "x.md").error().message.find("no end") != std::string::npos);
  CHECK(read_document("x", "---\nplatform: cpu\n---\na", {}, "x.md").error().message.find("x.md:2: key 'platform' is not known") == 0);
  CHECK(read_document("x", "---\ncpu\n---\na", {}, "x.md").error().message.find("expected key: value") != std::string::npos);
  CHECK_FALSE(read_document("x", std::string(5 << 20, 'a'), {}, "x.md"));
}

TEST_CASE("passages are UTF-8 without hidden characters, whatever was in the file") {
  const auto d = read("hostile", "# Title\n\ncaf\xE9 \xC0\xAF \xED\xA0\x80 caf\xC3\xA9\x7F\xC2\x9B" "31m \xE2\x80\xAE" "evil\xF3\xA0\x81\x81 zero\xE2\x80\x8Bwidth\xEF\xBB\xBF \xE2\x82\xAC\fnext page\xC3");
  const std::string bad = "\xEF\xBF\xBD";
  CHECK(d.passages.at(0).text == "\ncaf" + bad + " " + bad + bad + " " + bad + bad + bad + " caf\xC3\xA9" "31m evil zerowidth \xE2\x82\xAC\nnext page" + bad + "\n");
}

TEST_CASE("no passage, title or heading is larger than its bound, and no character is halved") {
  std::string line;
  for (int i = 0; i < 20'000; ++i)
    line += "\xC3\xA9";
  std::string fence = "```\n";
  for (int i = 0; i < 2'000; ++i)
    fence += "a line of code that never ends\n";
  for (const std::string& text : {line, "text\n" + line, "# " + line + "\n" + line, fence, std::string(100'000, '#') + " x\ntext\n"}) {
    const auto d = read("large", text);
    CHECK(d.title.size() <= 120);
    CHECK(read("again", d.title).title == d.title); // it is UTF-8: nothing was replaced
    std::size_t bytes = 0;
    for (const passage& p : d.passages) {
      CHECK(p.text.size() <= 4'800);
      CHECK(p.heading.size() <= 800);
      CHECK(p.text.find("\xEF\xBF\xBD") == std::string::npos);
      CHECK((static_cast<unsigned char>(p.text.front()) & 0xC0) != 0x80);
      bytes += p.text.size();
    }
    CHECK(bytes + 40'100 >= text.size()); // all but a heading's cut end is there
  }
}

TEST_CASE("a made-up accelerator's documents are found for it, and for nobody else") {
  std::vector<document> all;
  all.push_back(read("cpu/stores", stores));
  all.push_back(read("everywhere", "Streaming stores and memory in general.\n"));
  for (const char* part : {"weft", "stores"}) {
    auto d = read_document(std::string("loom/") + part, std::string("# Loom 9 ") + part + "\n\nThe weft unit streams stores to memory in strips of 48 bytes.\n", {{"loom"}, {"loom-c"}}, "loom.md");
    REQUIRE(d);
    all.push_back(std::move(*d));
  }
  const library known(std::move(all));
  const auto found = known.search({"loom", "9", "loom-c", {}, "streaming stores to memory", 10});
  REQUIRE(found.size() == 3);
  CHECK(std::count_if(found.begin(), found.end(), [](const found_passage& f) { return f.of->id.starts_with("loom/"); }) == 2);
  CHECK(std::count_if(found.begin(), found.end(), [](const found_passage& f) { return f.of->id == "everywhere"; }) == 1);
  for (const auto& f : known.search({"cpu", "x86-64-v4", "cpp", {}, "weft unit streams stores to memory", 10}))
    CHECK_FALSE(f.of->id.starts_with("loom/"));
}

TEST_CASE("only what applies to the target is found, signals weigh, and each find says why") {
  library all({read("cpu/stores", stores), read("cuda/banks", "---\ntitle: Bank conflicts\nplatforms: cuda\nsignals: counter:bank_conflicts\n---\nShared memory has 32 banks; streaming memory.\n"),
               read("general", "Memory and streaming in general, stores and memory.\n")});
  question asked{"cpu", "x86-64-v4", "cpp", {"bound:memory"}, "streaming stores to memory", 5};
  auto found = all.search(asked);
  REQUIRE(found.size() >= 2);
  CHECK(found[0].of->id == "cpu/stores");
  CHECK(found[0].why.find("signals bound:memory") == 0);
  for (const auto& f : found)
    CHECK(f.of->id != "cuda/banks");
  asked.architecture = "neoverse-v1";
  for (const auto& f : all.search(asked))
    CHECK(f.of->id == "general");
  CHECK(all.search({"cpu", "", "", {}, "", 5}).empty());
  CHECK(all.search({"cuda", "", "", {"counter:bank_conflicts"}, "", 5}).front().of->id == "cuda/banks");
  CHECK(all.find("general"));
  CHECK_FALSE(all.find("nothing"));
}

TEST_CASE("words are found by their stems, identifiers whole and by their parts") {
  CHECK(index_words("Prefetching caches") == index_words("prefetch cache"));
  const auto words = index_words("_mm512_stream_ps is used");
  CHECK(std::find(words.begin(), words.end(), "_mm512_stream_ps") != words.end());
  CHECK(std::find(words.begin(), words.end(), "stream") != words.end());
  CHECK(std::find(words.begin(), words.end(), "is") == words.end());
}
