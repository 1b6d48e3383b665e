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
