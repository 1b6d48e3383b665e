#include "actors/blob_transfer.hpp"

#include "protocol/check.hpp"
#include "protocol/digest.hpp"

#include <algorithm>
#include <utility>

namespace kevolve {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds first_patience = 2s; // above any round trip; frames are lost only with their connection
constexpr std::chrono::milliseconds most_patience = 8s;

bool is_hash(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

} // namespace

blob_receiver::blob_receiver(blob_reference what, std::uint64_t piece, time now)
    : what_(std::move(what)), piece_(std::clamp<std::uint64_t>(piece, 1, limits::piece_bytes)), progressed_(now), asked_at_(now), patience_(first_patience) {}

std::string blob_receiver::refuse(const blob_reference& what, std::uint64_t most_bytes) {
  if (!is_hash(what.hash))
    return "a blob is named by 64 hexadecimal digits";
  if (what.bytes == 0 || what.bytes > most_bytes)
    return "a blob of " + std::to_string(what.bytes) + " bytes; expected 1 to " + std::to_string(most_bytes);
  return {};
}

void blob_receiver::resume(time now) {
  progressed_ = now;
  asked_at_ = time{};
  patience_ = 0ms;
}

std::vector<blob_wanted> blob_receiver::due(time now) {
  std::vector<blob_wanted> wanted;
  if (!asked_.empty() && now >= std::max(progressed_, asked_at_) + patience_) {
    for (const std::uint64_t offset : asked_)
      wanted.push_back(ask(offset));
    counts_.asked_again += wanted.size();
    asked_at_ = now;
    patience_ = std::clamp(2 * patience_, first_patience, most_patience);
  }
  for (; asked_.size() + ahead_.size() < limits::pieces_under_way && unasked_ < what_.bytes; unasked_ += size_at(unasked_)) {
    if (asked_.empty())
      asked_at_ = now;
    asked_.insert(unasked_);
    wanted.push_back(ask(unasked_));
  }
  return wanted;
}

bool blob_receiver::take(blob_piece&& piece, time now) {
  const auto asked = asked_.find(piece.offset);
  if (piece.hash == what_.hash && asked == asked_.end() && (piece.offset < content_.size() || ahead_.contains(piece.offset)))
    ++counts_.repeated;
  if (piece.hash != what_.hash || asked == asked_.end() || piece.content.size() != size_at(piece.offset))
    return false;
  asked_.erase(asked);
  ++counts_.pieces;
  progressed_ = now;
  patience_ = first_patience;
  ahead_.emplace(piece.offset, std::move(piece.content));
  for (auto next = ahead_.find(content_.size()); next != ahead_.end(); next = ahead_.find(content_.size())) {
    content_ += next->second;
    ahead_.erase(next);
  }
  return true;
}

result<std::string> blob_receiver::content() && {
  KEVOLVE_CHECK(complete());
  if (sha256_hex(content_) != what_.hash)
    return error{errc::damaged, "the blob that came is not the one with the hash " + what_.hash};
  return std::move(content_);
}

blob_piece piece_of(const blob_wanted& what, std::string_view content) {
  const bool within = what.bytes <= limits::piece_bytes && what.offset < content.size() && what.bytes <= content.size() - what.offset;
  return {what.hash, what.offset, within ? std::string(content.substr(what.offset, what.bytes)) : std::string(), what.to};
}

blob_reference blob_shelf::put(const bytes& what) {
  std::erase_if(held_, [](const auto& each) { return each.second.expired(); });
  blob_reference named{sha256_hex(*what), what->size()};
  held_[named.hash] = what;
  return named;
}

blob_shelf::bytes blob_shelf::find(const std::string& hash) const {
  const auto found = held_.find(hash);
  return found == held_.end() ? nullptr : found->second.lock();
}

} // namespace kevolve
