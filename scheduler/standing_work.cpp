#include "scheduler/standing_work.hpp"

#include "protocol/host_selection.hpp"
#include "scheduler/account.hpp"

#include <fmt/format.h>
#include <random>
#include <spdlog/spdlog.h>

namespace kevolve::scheduler {
namespace {

constexpr const char* gives_way = "submitted work comes first";
constexpr const char* user = "standing"; // of its sessions: all of them share one turn
constexpr int priority = -1;
constexpr std::int64_t wait_after_trouble_ms = 30'000;

} // namespace

std::string standing_work::facts_of(const submission& what) {
  const target& on = what.on;
  auto agents = of_.engine.agents();
  if (!agents)
    return "";
  for (const agent_status& a : *agents)
    for (const device_description& d : a.devices)
      if (!a.draining && a.served && selects(what.settings.hosts, a.name, a.labels) && d.on.platform == on.platform && (on.architecture.empty() || d.on.architecture == on.architecture) &&
          (on.language.empty() || d.on.language.empty() || d.on.language == on.language))
        return d.hardware + "; " + d.facts;
  return "";
}

bool standing_work::adopt(const session_id& session) {
  auto log = of_.memory.events(session);
  if (!log || log->empty())
    return false;
  const auto* opened = std::get_if<session_opened>(&log->front());
  if (!opened || opened->settings.user != user)
    return false;
  std::lock_guard lock(mutex_);
  for (const standing_item& item : list_.items())
    if (!going_ && item.what.subject.op.name == opened->subject.op.name)
      going_ = going{item.name, session, true, facts_of(item.what), opened->at_ms};
  return true; // one whose item is gone stays as it is
}

session_id standing_work::session() {
  std::lock_guard lock(mutex_);
  return going_ ? going_->session : session_id();
}

void standing_work::tick(bool others, std::int64_t now_ms) {
  std::lock_guard lock(mutex_);
  if (going_) {
    const bool runs = of_.is_running(going_->session);
    if (!going_->paused && !runs)
      return conclude(now_ms);
    if (!going_->paused && others) {
      if (of_.engine.pause(going_->session)) {
        spdlog::info("session {}: {}", going_->session, gives_way);
        going_->paused = true;
      }
    } else if (going_->paused && !others && !runs && now_ms >= not_before_ms_) {
      if (auto resumed = of_.engine.resume(going_->session)) {
        of_.watch(*resumed);
        going_->paused = false;
      } else if (resumed.error().code == errc::no_agent) {
        not_before_ms_ = now_ms + wait_after_trouble_ms;
      } else { // it ended before it could be paused
        going_->paused = false;
        conclude(now_ms);
      }
    }
    return;
  }
  if (!others && now_ms >= not_before_ms_)
    begin(now_ms);
}

void standing_work::begin(std::int64_t now_ms) {
  const std::string name = next_of(list_.items(), now_ms, [this](const submission& what) { return facts_of(what); });
  const standing_item* item = name.empty() ? nullptr : list_.find(name);
  if (!item)
    return;
  session_settings settings = item->what.settings;
  settings.time_s = settings.time_s > 0 ? settings.time_s : of_.session_s;
  settings.seed = std::random_device{}();
  settings.user = user;
  settings.priority = priority;
  const std::string facts = facts_of(item->what);
  auto session = of_.engine.submit(item->what.subject, item->what.on, std::move(settings));
  if (!session) {
    if (session.error().code != errc::no_agent)
      spdlog::warn("standing {}: {}", name, session.error().message);
    not_before_ms_ = now_ms + wait_after_trouble_ms;
    return;
  }
  spdlog::info("session {}: {} from the standing list", *session, name);
  of_.watch(*session);
  going_ = going{name, *session, false, facts, now_ms};
}

void standing_work::conclude(std::int64_t now_ms) {
  const going ended = *std::exchange(going_, std::nullopt);
  standing_item* item = list_.find(ended.item);
  auto log = of_.memory.events(ended.session);
  auto account = log ? account_of(*log) : result<session_account>(log.error());
  if (!item || !account)
    return;
  const auto& verified = account->verified;
  const bool holds = verified && verified->holds;
  add_session(item->so_far, account->wall_s, holds ? verified->speedup : 0, holds ? verified->what.diagnosed.roofline_fraction : 0, ended.facts, now_ms);
  spdlog::info("standing {}: {} after {} sessions", ended.item, holds ? fmt::format("{:.2f}x", verified->speedup) : std::string("nothing verified"), item->so_far.sessions);
  if (auto saved = list_.save(*item); !saved)
    spdlog::error("standing {}: {}", ended.item, saved.error().message);
}

result<std::string> standing_work::put(standing_item item) {
  std::lock_guard lock(mutex_);
  const std::string name = item.name;
  KEVOLVE_TRY_VOID(list_.put(std::move(item)));
  return nlohmann::ordered_json{{"standing", name}}.dump();
}

result<std::string> standing_work::remove(const std::string& name) {
  std::lock_guard lock(mutex_);
  KEVOLVE_TRY_VOID(list_.remove(name));
  return nlohmann::ordered_json{{"standing", name}, {"removed", true}}.dump();
}

nlohmann::ordered_json standing_work::shown(std::int64_t now_ms) {
  std::lock_guard lock(mutex_);
  auto rows = nlohmann::ordered_json::array();
  for (const standing_item& item : list_.items()) {
    const standing_progress& p = item.so_far;
    const std::string facts = facts_of(item.what);
    rows.push_back({{"name", item.name}, {"target", to_string(item.what.on)}, {"weight", item.weight}, {"by", item.by}, {"sessions", p.sessions}, {"seconds", p.seconds},
                    {"speedup", p.speedup}, {"roofline_fraction", p.roofline_fraction}, {"without_gain", p.without_gain},
                    {"worth", facts.empty() ? 0.0 : worth_of(item, facts, now_ms)},
                    {"state", going_ && going_->item == item.name ? (going_->paused ? "gives way" : "running") : facts.empty() ? "no agent" : "waiting"}});
  }
  return rows;
}

} // namespace kevolve::scheduler
