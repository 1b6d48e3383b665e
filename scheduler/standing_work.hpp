// Works the standing list off while nobody waits for anything: one session at a time, of a minute or so, for the item that is worth most. Submitted
// sessions come first: its own is paused while one runs, and goes on afterwards. Called by the daemon's main loop; the list may be changed from
// other threads between.
#pragma once

#include "actors/runtime.hpp"
#include "kb/store.hpp"
#include "scheduler/standing.hpp"

#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace kevolve::scheduler {

class standing_work {
public:
  struct parts {
    runtime& engine;
    const kb::store& memory;
    std::function<void(const session_id&)> watch;         // somebody has to wait for a session
    std::function<bool(const session_id&)> is_running;
    double session_s = 60;                                // of each session, unless its item says otherwise
  };
  standing_work(standing_list list, parts of) : list_(std::move(list)), of_(std::move(of)) {}

  /// A session of an earlier life that is to go on is one of the list's: then it is the list's to resume.
  bool adopt(const session_id& session);
  /// The one that it works on; "": none.
  session_id session();
  /// `others`: sessions that somebody submitted and that run.
  void tick(bool others, std::int64_t now_ms);

  result<std::string> put(standing_item item);
  result<std::string> remove(const std::string& name);
  nlohmann::ordered_json shown(std::int64_t now_ms);

private:
  struct going {
    std::string item;
    session_id session;
    bool paused = false;
    std::string facts;
    std::int64_t since_ms = 0;
  };
  std::string facts_of(const submission& what);
  void begin(std::int64_t now_ms);
  void conclude(std::int64_t now_ms);

  std::mutex mutex_;
  standing_list list_;
  parts of_;
  std::optional<going> going_;
  std::int64_t not_before_ms_ = 0; // after something went wrong
};

} // namespace kevolve::scheduler
