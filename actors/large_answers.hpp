// Answers of leases that are larger than a frame should be: the scheduler fetches each from its agent, which keeps it until it is acknowledged. Pure:
// no actor, socket or clock. One thread (the dispatcher's).
#pragma once

#include "actors/blob_transfer.hpp"
#include "actors/compile_desk.hpp"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kevolve::dispatch {

class large_answers {
public:
  using time = blob_receiver::time;
  /// Said again while it is being fetched, it changes nothing; one that cannot be fetched is answered as the agent's failure.
  std::optional<lease_finished> finished(const std::string& agent, const lease_finished& what, time now);
  /// The answer, once the last piece of it has come.
  std::optional<lease_finished> came(const std::string& agent, blob_piece&& what, time now);
  /// What is to be said now.
  std::vector<letter> due(time now);
  void missing(const std::string& agent, const std::string& hash);
  void agent_gone(const std::string& agent);

private:
  struct transfer {
    std::string lease;
    std::uint64_t epoch = 0;
    blob_receiver from;
  };
  std::map<std::pair<std::string, std::string>, transfer> under_way_; // (agent, hash)
  std::uint64_t promised_bytes_ = 0;
  void end(std::map<std::pair<std::string, std::string>, transfer>::iterator which);
};

} // namespace kevolve::dispatch
