// A cluster of real processes on loopback for campaigns that shoot at it: `kevolve serve` and the kevolve-agents "one" and "two". Starts them, submits sessions,
// and says what is wrong: it looks for what is lost, counted twice, damaged, or left behind. The caller must be a subreaper (adopt_orphans), and have no other
// children. One thread.
#pragma once

#include "actors/client_port.hpp"
#include "protocol/rng.hpp"
#include "scheduler/child.hpp"
#include "scheduler/commands.hpp"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace kevolve::scheduler {

class live_cluster {
public:
  static constexpr const char* members[] = {"scheduler", "one", "two"};
  static constexpr auto start_limit = std::chrono::seconds(60);
  static constexpr auto session_limit = std::chrono::minutes(5);

  /// `folder` is the cluster's own, emptied by `set_up`.
  live_cluster(const kill_options& options, std::filesystem::path folder, std::filesystem::path cache) : options_(options), folder_(std::move(folder)), cache_(std::move(cache)) {}

  /// Data folder, keys, ports; nothing is started.
  result<void> set_up(rng& draw);
  /// An agent that is to use no compiler of the host: the other compiles for it, in pieces of 1 KiB.
  void compiles_elsewhere(const std::string& who) { bare_ = who; }
  /// `failpoint`: as KEVOLVE_FAILPOINT has it; "": none.
  result<void> start(const std::string& who, const std::string& failpoint = {});
  [[nodiscard]] background_child& process(const std::string& who) { return *running_.at(who); }

  /// What a person's command would be answered.
  result<nlohmann::ordered_json> ask(const std::string& what, const std::string& about = {}) const;
  /// Agents on the scheduler's list; empty while it does not answer.
  nlohmann::ordered_json agents() const;
  /// It is over, and not for a while.
  bool ended(const std::string& session) const;
  result<void> await(const std::string& what, const std::function<bool()>& is_true) const;
  /// By `kevolve submit`, which is tried until the scheduler is there. `meanwhile` is called every 0.1 s.
  result<std::string> submit(const std::function<result<void>()>& meanwhile = {});
  [[nodiscard]] const std::vector<std::string>& sessions() const { return sessions_; }
  /// Also those that were begun for somebody who was never told of it.
  result<void> take_all_sessions();
  /// A command of ours on the cluster's data; its exit status, or 128 + signal.
  result<int> command(std::vector<std::string> words, const std::string& failpoint = {});

  /// By SIGTERM; what does not end as it should is a fault.
  void stop_all();
  /// Processes of ours that belong to nobody who runs, ten seconds from now.
  void check_orphans(const std::string& when);
  /// While nobody writes: everything that was durable before is there, unchanged.
  result<void> compare_with_before();
  /// At the end: each session has the evaluations that it was to have, each once; the store is whole. The evaluations.
  result<std::uint64_t> check_store();

  void fault(std::string sentence) { faults_.push_back(std::move(sentence)); }
  [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }
  /// For whoever reads a bad round.
  [[nodiscard]] std::string logs() const;
  [[nodiscard]] std::filesystem::path data() const { return folder_ / "data"; }

private:
  const kill_options& options_;
  const std::filesystem::path folder_, cache_;
  std::string endpoint_, people_, bare_;
  key_file person_;
  std::vector<std::string> sessions_, faults_;
  std::map<std::string, std::unique_ptr<background_child>> running_;
  std::map<session_id, std::pair<std::uint64_t, std::string>> durable_; // events and their digest when nobody wrote
};

} // namespace kevolve::scheduler
