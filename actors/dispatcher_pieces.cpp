// The dispatcher's part in compiling elsewhere, and in what goes in pieces.
#include "actors/dispatcher.hpp"

#include "protocol/failpoint.hpp"

#include <utility>

namespace kevolve::actors {
namespace {

constexpr double compiler_wait_s = 15; // for somebody who compiles for others: long enough for one that starts again

} // namespace

void dispatch_shell::heard_from(const std::string& agent, compile_wanted& what) {
  if (!agents_.contains(agent))
    return; // it introduces itself first, and asks again
  auto opened = compilations_.wanted(agent, std::move(what));
  say(std::move(opened.refusal));
  if (opened.task)
    step(std::move(*opened.task));
}

void dispatch_shell::heard_from(const std::string& agent, compile_dropped& what) {
  if (std::string task = compilations_.dropped(agent, what.request); !task.empty())
    step(dispatch::withdraw{std::move(task)});
}

void dispatch_shell::heard_from(const std::string& agent, blob_wanted& what) {
  if (!agents_.contains(agent))
    return;
  what.to.clear();
  const auto held = large_work_.find(what.hash);
  if (!held)
    return say(compilations_.asked(agent, std::move(what)));
  blob_piece piece = piece_of(what, *held);
  if (piece.content.empty())
    say(agent, blob_missing{what.hash, {}});
  else
    say(agent, std::move(piece));
}

void dispatch_shell::heard_from(const std::string& agent, blob_piece& what) {
  if (!what.to.empty()) {
    pass(failpoint::piece_before_relay);
    return say(compilations_.came(agent, std::move(what)));
  }
  if (auto whole = large_answers_.came(agent, std::move(what), steady_now()))
    heard_from(agent, *whole);
  fetch_large_answers();
}

void dispatch_shell::heard_from(const std::string& agent, blob_missing& what) {
  if (what.to.empty())
    large_answers_.missing(agent, what.hash);
  else
    say(compilations_.missing(agent, std::move(what)));
}

void dispatch_shell::fetch_large_answers() {
  for (auto& each : large_answers_.due(steady_now()))
    say(std::move(each));
}

/// Whoever waits for a compiler that nobody has is told so: its own work is then asked for elsewhere, or later.
void dispatch_shell::give_up_compiling() {
  for (const auto& task : compilations_.hopeless([this](const dispatch::submit& like) { return logic_.serves(like); }, now_s(), compiler_wait_s)) {
    if (!compilations_.has(task))
      continue; // it went with its agent meanwhile
    const auto& what = compilations_.work_of(task);
    std::string reason = "no agent compiles with " + what.toolchain + " for " + what.runs_on.machine + " with glibc " + std::to_string(what.runs_on.libc / 1000) + "." + std::to_string(what.runs_on.libc % 1000);
    say(compilations_.given_up(task, std::move(reason)));
    step(dispatch::withdraw{task});
  }
}

/// After the effects of a step: some of them may be about tasks of an agent that is gone.
void dispatch_shell::forget_the_gone() {
  for (const std::string& agent : std::exchange(gone_, {})) {
    large_answers_.agent_gone(agent);
    for (const auto& task : compilations_.agent_gone(agent)) {
      step(dispatch::withdraw{task});
      compilations_.forget(task);
    }
  }
}

} // namespace kevolve::actors
