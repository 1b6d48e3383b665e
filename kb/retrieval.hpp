// Finds passages for a situation: filtered by platform, language and architecture, ranked by the signals that a document names and by BM25 over its
// words, each with why it was chosen. The same documents and question give the same answer. Immutable once made; any thread.
#pragma once

#include "kb/document.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace kevolve::kb {

struct question {
  std::string platform, architecture, language; // "": any
  std::vector<std::string> signals;
  std::string words;                             // a diagnosis, a compiler's message, a person's query
  std::size_t limit = 3;
};

struct found_passage {
  const document* of = nullptr;
  const passage* what = nullptr;
  double score = 0;
  std::string why;                               // "signals bound:memory; words streaming, stores"
};

/// Words as the index knows them: lower case, "vmovntps" and "bound:memory" whole, plurals and -ing cut, the commonest left out.
std::vector<std::string> index_words(std::string_view text);

class library {
public:
  explicit library(std::vector<document> documents);

  [[nodiscard]] const std::vector<document>& documents() const { return documents_; }
  [[nodiscard]] const document* find(const std::string& id) const;
  /// Best first; at most two passages of one document, at most `limit`.
  [[nodiscard]] std::vector<found_passage> search(const question& asked) const;

private:
  struct entry {
    std::uint32_t document = 0, passage = 0;
    double length = 0; // in words
  };
  struct posting {
    std::uint32_t entry = 0;
    std::uint32_t times = 0;
  };
  std::vector<document> documents_;
  std::vector<entry> entries_;
  std::unordered_map<std::string, std::vector<posting>> postings_;
  std::unordered_map<std::string, std::uint32_t> signal_documents_; // how many documents name a signal
  double mean_length_ = 1;
};

} // namespace kevolve::kb
