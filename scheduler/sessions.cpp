// kevolve sessions …: what ran, what it came to, watching one live. Reads the store; only cancel writes, and only when nobody else does.
#include "scheduler/answers.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/session_lookup.hpp"
#include "scheduler/single_host.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <thread>

namespace kevolve::scheduler {

namespace {

report_facts facts_of(const context& in, const session_account& of) {
  report_facts facts;
  facts.command = in.command();
  facts.data_option = in.data_option();
  facts.needed_s = needed_seconds(of.spent, in.configured.compile_slots ? in.configured.compile_slots : std::max(1u, std::thread::hardware_concurrency()));
  return facts;
}

/// A session runs only while somebody writes the store: after kill -9 or a full disk its log ends without saying so.
void mark_interrupted(std::string& state, const context& in) {
  if (state == "running" && !kb::is_being_written(in.configured.data))
    state = "interrupted";
}

/// Progress as far as the log alone tells it.
session_progress progress_of(const session_account& of) {
  session_progress p;
  p.session = of.opening.session;
  p.phase = of.state == "running" ? "searching" : of.state;
  p.evaluations = of.evaluations;
  p.evaluations_budget = of.opening.settings.evaluations;
  p.outcomes = of.outcomes;
  p.elapsed_s = of.wall_s;
  p.time_left_s = of.opening.settings.time_s > 0 ? std::max(0.0, of.opening.settings.time_s - of.wall_s) : -1;
  if (of.best) {
    const node_account& best = of.nodes[*of.best];
    p.best_over_root = best.over_root;
    p.best_latency_s = best.latency_s;
    p.roofline_fraction = best.diagnosed.roofline_fraction;
    p.best_edge = best.edge.summary;
  }
  return p;
}

} // namespace

result<int> list_sessions(context& in) {
  auto memory = open_for_reading(in);
  if (!memory && memory.error().code == errc::not_found) {
    in.out.answer(sessions_answer({}));
    in.out.say(sessions_table({}, in.look()));
    return 0;
  }
  if (!memory)
    return memory.error();
  KEVOLVE_TRY(all, (*memory)->sessions());
  for (kb::session_summary& s : all)
    mark_interrupted(s.state, in);
  in.out.answer(sessions_answer(all));
  in.out.say(sessions_table(all, in.look()));
  return 0;
}

result<int> show_session(context& in, const std::string& session) {
  KEVOLVE_TRY(memory, open_for_reading(in));
  KEVOLVE_TRY(found, find_session(*memory, session));
  KEVOLVE_TRY(events, memory->events(found.session));
  KEVOLVE_TRY(account, account_of(events));
  mark_interrupted(account.state, in);
  const report_facts facts = facts_of(in, account);
  in.out.answer(session_answer(account, facts));
  in.out.say(session_report(account, facts, in.look()));
  return 0;
}

result<int> watch_session(context& in, const std::string& session) {
  std::size_t seen = 0;
  for (;;) {
    const bool written = kb::is_being_written(in.configured.data); // asked first: what its writer wrote last is then seen
    KEVOLVE_TRY(memory, open_for_reading(in));
    KEVOLVE_TRY(found, find_session(*memory, session));
    KEVOLVE_TRY(events, memory->events(found.session));
    KEVOLVE_TRY(account, account_of(events));
    if (!written && account.state == "running")
      account.state = "interrupted";
    if (events.size() != seen)
      in.out.progress(progress_line(account.opening.subject.op.name, progress_of(account)), true);
    seen = events.size();
    if (account.state != "running" || in.signals.received()) {
      const report_facts facts = facts_of(in, account);
      in.out.answer(session_answer(account, facts));
      if (account.state == "interrupted")
        in.out.note(fmt::format("no process runs it; go on with: {} optimize --resume {}{}", in.command(), account.opening.session, in.data_option()));
      if (account.state != "running")
        in.out.say(session_report(account, facts, in.look()));
      return in.signals.received() ? in.signals.exit_code() : 0;
    }
    memory.reset();
    for (int i = 0; i < 10 && !in.signals.received(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

result<int> pause_session(context& in, const std::string& session) {
  KEVOLVE_TRY(memory, open_for_reading(in));
  KEVOLVE_TRY(found, find_session(*memory, session));
  mark_interrupted(found.state, in);
  if (found.state != "running")
    return error{errc::refused, fmt::format("session {} is {}: there is nothing to pause", found.session, found.state)};
  return error{errc::refused, fmt::format("session {} belongs to the process that runs it: press Ctrl-C there (or send it SIGINT), which pauses it; pausing from "
                                          "another process is not in this version",
                                          found.session)};
}

result<int> cancel_session(context& in, const std::string& session) {
  session_account account;
  {
    KEVOLVE_TRY(memory, open_for_reading(in));
    KEVOLVE_TRY(found, find_session(*memory, session));
    KEVOLVE_TRY(events, memory->events(found.session));
    KEVOLVE_TRY(read, account_of(events));
    account = std::move(read);
  }
  if (account.finished)
    return error{errc::refused, fmt::format("session {} is {} (stopped by {}): there is nothing to cancel", account.opening.session, account.state,
                                            account.finished->stopped_by)};
  auto memory = kb::store::open(in.configured.data, kb::access::read_write);
  if (!memory && memory.error().code == errc::busy)
    return error{errc::busy, fmt::format("session {} may be running in the process that owns {}: press Ctrl-C there first; cancelling from another process is not "
                                         "in this version",
                                         account.opening.session, in.configured.data.string())};
  if (!memory)
    return memory.error();
  session_finished ending;
  ending.stopped_by = "cancelled";
  ending.wall_s = account.wall_s;
  ending.cpu_s = account.cpu_s;
  ending.at_ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  result<std::uint64_t> appended = error{errc::io, "not written"};
  (*memory)->append(account.opening.session, ending, [&](result<std::uint64_t> done) { appended = std::move(done); });
  KEVOLVE_TRY_VOID((*memory)->flush());
  if (!appended)
    return appended.error();
  in.out.note(fmt::format("session {} cancelled after {} evaluations", account.opening.session, account.evaluations));
  account.finished = ending;
  account.state = "finished";
  in.out.answer(session_answer(account, facts_of(in, account)));
  return 0;
}

} // namespace kevolve::scheduler
