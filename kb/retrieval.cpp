#include "kb/retrieval.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <unordered_set>

namespace kevolve::kb {
namespace {

// BM25's usual constants: a word's weight saturates by its third use; long passages pay three quarters of their length.
constexpr double saturation = 1.2;
constexpr double length_weight = 0.75;
constexpr double title_weight = 3;          // a word in title or heading counts as so many
constexpr double signal_weight = 4;         // a signal of every document of the platform is worth little, a rare one much
constexpr double overview_penalty = 0.9;    // of passages after a document's first
constexpr std::size_t passages_of_one = 2;
constexpr std::size_t words_shown = 5;
constexpr std::size_t query_words = 400;

const std::unordered_set<std::string_view>& common_words() {
  static const std::unordered_set<std::string_view> words{
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "do", "does", "each", "for", "from", "has", "have", "if", "in", "into", "is", "it", "its",
    "more", "most", "no", "not", "of", "on", "one", "only", "or", "so", "than", "that", "the", "their", "then", "there", "they", "this", "to", "was", "were", "when",
    "where", "which", "with", "what", "will", "would", "use", "used", "kernel", "host", "out", "all", "per", "any", "how"};
  return words;
}

std::string stem(std::string w) {
  const auto drop = [&](std::string_view end, std::size_t least) {
    if (w.size() >= least + end.size() && w.ends_with(end)) {
      w.resize(w.size() - end.size());
      return true;
    }
    return false;
  };
  if (!w.ends_with("ss") && !w.ends_with("us"))
    drop("s", 3);
  if (drop("ing", 4) || drop("ed", 4))
    if (w.size() > 3 && w[w.size() - 1] == w[w.size() - 2] && w.back() != 'l' && w.back() != 's')
      w.pop_back();
  drop("e", 4);
  return w;
}

bool applies(const std::vector<std::string>& to, const std::string& what) {
  return what.empty() || to.empty() || std::find(to.begin(), to.end(), what) != to.end();
}

} // namespace

std::vector<std::string> index_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto take = [&] {
    if (word.size() >= 2 && !common_words().contains(word)) {
      const bool letters = std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isalpha(c); });
      words.push_back(letters ? stem(word) : word);
      if (auto part = word.find('_'); part != word.npos) // identifiers are found by their parts, too
        for (std::size_t from = 0; from < word.size(); from = part + 1) {
          part = std::min(word.find('_', from), word.size());
          if (auto piece = word.substr(from, part - from); piece.size() >= 3 && !common_words().contains(piece))
            words.push_back(stem(piece));
        }
    }
    word.clear();
  };
  for (char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (std::isalnum(u) || c == '_' || c == '+')
      word += static_cast<char>(std::tolower(u));
    else
      take();
  }
  take();
  return words;
}

library::library(std::vector<document> documents) : documents_(std::move(documents)) {
  std::sort(documents_.begin(), documents_.end(), [](const document& a, const document& b) { return a.id < b.id; });
  double words_in_all = 0;
  for (std::uint32_t d = 0; d < documents_.size(); ++d) {
    const document& of = documents_[d];
    for (const std::string& s : of.signals)
      ++signal_documents_[s];
    for (std::uint32_t p = 0; p < of.passages.size(); ++p) {
      std::map<std::string, double> times;
      double length = 0;
      for (const std::string& w : index_words(of.passages[p].text))
        ++times[w], ++length;
      for (const std::string& w : index_words(of.title + " " + of.passages[p].heading + " " + of.id))
        times[w] += title_weight;
      const auto number = static_cast<std::uint32_t>(entries_.size());
      entries_.push_back({d, p, std::max(1.0, length)});
      words_in_all += length;
      for (const auto& [w, n] : times)
        postings_[w].push_back({number, static_cast<std::uint32_t>(n)});
    }
  }
  mean_length_ = entries_.empty() ? 1 : std::max(1.0, words_in_all / static_cast<double>(entries_.size()));
}

const document* library::find(const std::string& id) const {
  auto at = std::lower_bound(documents_.begin(), documents_.end(), id, [](const document& d, const std::string& i) { return d.id < i; });
  return at != documents_.end() && at->id == id ? &*at : nullptr;
}

std::vector<found_passage> library::search(const question& asked) const {
  const double count = static_cast<double>(std::max<std::size_t>(1, entries_.size()));
  std::vector<double> score(entries_.size(), 0);
  std::vector<std::vector<std::pair<double, std::string>>> words(entries_.size());
  auto terms = index_words(asked.words);
  if (terms.size() > query_words)
    terms.resize(query_words);
  std::map<std::string, double> wanted; // a word said twice is not twice as wanted
  for (const std::string& t : terms)
    wanted[t] = std::min(2.0, wanted[t] + 1);
  for (const auto& [term, times_wanted] : wanted) {
    const auto found = postings_.find(term);
    if (found == postings_.end())
      continue;
    const double rare = std::log(1 + (count - static_cast<double>(found->second.size()) + 0.5) / (static_cast<double>(found->second.size()) + 0.5));
    for (const posting& p : found->second) {
      const double n = p.times;
      const double part = times_wanted * rare * n * (saturation + 1) / (n + saturation * (1 - length_weight + length_weight * entries_[p.entry].length / mean_length_));
      score[p.entry] += part;
      words[p.entry].emplace_back(part, term);
    }
  }
  std::vector<found_passage> all;
  const double documents = static_cast<double>(std::max<std::size_t>(1, documents_.size()));
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const document& of = documents_[entries_[i].document];
    if (!applies(of.platforms, asked.platform) || !applies(of.languages, asked.language) || !applies(of.architectures, asked.architecture))
      continue;
    std::string signals;
    double by_signals = 0;
    for (const std::string& s : asked.signals)
      if (std::find(of.signals.begin(), of.signals.end(), s) != of.signals.end()) {
        by_signals += signal_weight * std::log(1 + documents / signal_documents_.at(s)) / std::sqrt(static_cast<double>(std::max<std::size_t>(1, of.signals.size())));
        signals += (signals.empty() ? "" : ", ") + s;
      }
    double total = score[i] + by_signals;
    if (total <= 0)
      continue;
    total *= entries_[i].passage == 0 ? 1 : overview_penalty;
    auto& hits = words[i];
    std::sort(hits.begin(), hits.end(), [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
    std::string said;
    for (std::size_t w = 0; w < std::min(words_shown, hits.size()); ++w)
      said += (w == 0 ? "" : ", ") + hits[w].second;
    std::string why = signals.empty() ? "" : "signals " + signals;
    if (!said.empty())
      why += (why.empty() ? "words " : "; words ") + said;
    all.push_back({&of, &of.passages[entries_[i].passage], total, std::move(why)});
  }
  std::stable_sort(all.begin(), all.end(), [](const found_passage& a, const found_passage& b) { return a.score > b.score; });
  std::vector<found_passage> chosen;
  std::map<const document*, std::size_t> taken;
  for (found_passage& f : all)
    if (chosen.size() < asked.limit && taken[f.of]++ < passages_of_one)
      chosen.push_back(std::move(f));
  return chosen;
}

} // namespace kevolve::kb
