#include "actors/large_answers.hpp"

#include "protocol/codec.hpp"
#include "protocol/limits.hpp"

namespace kevolve::dispatch {
namespace {

constexpr std::uint64_t most_promised_bytes = 512u << 20; // of answers that are being fetched, together; the others are said again
constexpr auto give_up_after = std::chrono::seconds(60);  // without a piece: the agent says it again if it still has it

} // namespace

std::optional<lease_finished> large_answers::finished(const std::string& agent, const lease_finished& what, time now) {
  const auto& named = std::get<blob_reference>(what.answer);
  if (std::string why = blob_receiver::refuse(named, limits::blob_bytes); !why.empty())
    return lease_finished{what.lease, what.epoch, "its answer is not fetched: " + why};
  if (!under_way_.contains({agent, named.hash}) && promised_bytes_ + named.bytes <= most_promised_bytes) {
    under_way_.emplace(std::pair(agent, named.hash), transfer{what.lease, what.epoch, blob_receiver(named, limits::piece_bytes, now)});
    promised_bytes_ += named.bytes;
  }
  return std::nullopt;
}

std::optional<lease_finished> large_answers::came(const std::string& agent, blob_piece&& what, time now) {
  const auto found = under_way_.find({agent, what.hash});
  if (found == under_way_.end() || !found->second.from.take(std::move(what), now) || !found->second.from.complete())
    return std::nullopt;
  lease_finished whole{found->second.lease, found->second.epoch, {}};
  auto bytes = std::move(found->second.from).content();
  end(found);
  auto answer = bytes ? decode<decltype(lease_finished::answer)>(*bytes) : result<decltype(lease_finished::answer)>(bytes.error());
  if (answer && !std::holds_alternative<blob_reference>(*answer))
    whole.answer = std::move(*answer);
  else
    whole.answer = "its answer was no answer: " + (answer ? std::string("it names another blob") : answer.error().message);
  return whole;
}

std::vector<letter> large_answers::due(time now) {
  std::vector<letter> said;
  for (auto each = under_way_.begin(); each != under_way_.end();) {
    const auto current = each++;
    for (auto& wanted : current->second.from.due(now))
      said.push_back({current->first.first, std::move(wanted)});
    if (now - current->second.from.progressed() >= give_up_after)
      end(current);
  }
  return said;
}

void large_answers::missing(const std::string& agent, const std::string& hash) {
  if (const auto found = under_way_.find({agent, hash}); found != under_way_.end())
    end(found);
}

void large_answers::agent_gone(const std::string& agent) {
  for (auto each = under_way_.begin(); each != under_way_.end();)
    if (const auto current = each++; current->first.first == agent)
      end(current);
}

void large_answers::end(std::map<std::pair<std::string, std::string>, transfer>::iterator which) {
  promised_bytes_ -= which->second.from.what().bytes;
  under_way_.erase(which);
}

} // namespace kevolve::dispatch
