// Bytes that travel in pieces. `blob_receiver` asks for a blob by its hash, a bounded number of pieces at a time (its credit); what was asked for
// and does not come is asked for again, and nothing that came is: a connection that is cut costs the pieces that were under way. `blob_shelf` gives
// pieces of what somebody else keeps. Pure: no socket, clock or file. One thread each.
#pragma once

#include "protocol/limits.hpp"
#include "protocol/message.hpp"
#include "protocol/result.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve {

class blob_receiver {
public:
  using time = std::chrono::steady_clock::time_point;
  /// `what` must have passed `refuse`. `piece`: bytes asked for at once, at most limits::piece_bytes.
  blob_receiver(blob_reference what, std::uint64_t piece, time now);

  /// Empty, or why such a blob is not fetched at all: asked before anything is allocated.
  static std::string refuse(const blob_reference& what, std::uint64_t most_bytes);

  /// It was left alone for a while: what was under way is asked for again at once.
  void resume(time now);
  /// What is to be asked for now.
  std::vector<blob_wanted> due(time now);
  /// False: a piece that nobody waits for, or not the one that was asked for.
  bool take(blob_piece&& piece, time now);
  [[nodiscard]] bool complete() const { return content_.size() == what_.bytes; }
  /// Nothing has come since.
  [[nodiscard]] time progressed() const { return progressed_; }
  /// The bytes; errc::damaged where they have another hash than was asked for.
  result<std::string> content() &&;

  [[nodiscard]] const blob_reference& what() const { return what_; }
  [[nodiscard]] std::uint64_t received_bytes() const { return content_.size(); }
  struct counts { std::uint64_t pieces = 0, asked_again = 0, repeated = 0; }; // repeated: came though they were here
  [[nodiscard]] const counts& counted() const { return counts_; }

private:
  [[nodiscard]] std::uint64_t size_at(std::uint64_t offset) const { return std::min(piece_, what_.bytes - offset); }
  [[nodiscard]] blob_wanted ask(std::uint64_t offset) const { return {what_.hash, offset, size_at(offset), {}}; }

  blob_reference what_;
  std::uint64_t piece_;
  std::string content_;                         // without a gap; grows with what comes
  std::map<std::uint64_t, std::string> ahead_;  // pieces that overtook others, by offset
  std::set<std::uint64_t> asked_;               // under way, by offset
  std::uint64_t unasked_ = 0;                   // from here on nothing was asked for yet
  time progressed_;
  time asked_at_;
  std::chrono::milliseconds patience_;
  counts counts_;
};

/// The piece of `content` that is asked for; empty content where there is none such.
blob_piece piece_of(const blob_wanted& what, std::string_view content);

/// Blobs by hash for as long as somebody else holds them.
class blob_shelf {
public:
  using bytes = std::shared_ptr<const std::string>;
  blob_reference put(const bytes& what);
  [[nodiscard]] bytes find(const std::string& hash) const;

private:
  std::map<std::string, std::weak_ptr<const std::string>> held_;
};

} // namespace kevolve
