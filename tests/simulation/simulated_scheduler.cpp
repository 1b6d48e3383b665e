#include "tests/simulation/simulated_scheduler.hpp"

#include "protocol/check.hpp"
#include "tests/simulation/simulated_agent.hpp"

namespace kevolve::simulation {
namespace {

constexpr double tick_every_s = 0.2, commit_s = 0.003;

std::string task_name(const std::string& session, node_number number, std::uint32_t attempt, bool verification) {
  return session + (verification ? "/verify-" : "/") + std::to_string(number) + "/" + std::to_string(attempt);
}

} // namespace

void simulated_scheduler::submit() {
  session_opened opening;
  opening.session = "s" + std::to_string(openings_.size() + 1);
  opening.subject.workloads.resize(1);
  opening.subject.workloads[0].uuid = "w0";
  opening.on = *target_from_string("cpu/x86-64-v4/cpp");
  opening.hardware = "simulated";
  opening.settings.seed = seed_;
  opening.settings.synthesizers = {"generator", "small"};
  opening.settings.written_on = {"", "any"};
  if (openings_.size() % 4 == 3)
    opening.settings.model_tokens = 12'000; // it ends somewhere on the way
  opening.settings.evaluations = 55;
  opening.settings.time_s = 0;
  opening.settings.in_flight = 8;
  opening.settings.plateau = 1000;
  opening.settings.baselines.clear();
  openings_[opening.session] = opening;
  disks_[opening.session];
  if (life_)
    open(opening.session);
}

void simulated_scheduler::start() {
  life_ = std::make_unique<life>("scheduler/" + std::to_string(w_.nodes[0].life));
  w_.note(life_->identity + " starts");
  for (const auto& [session, opening] : openings_)
    open(session);
  tick();
}

void simulated_scheduler::open(const std::string& session) {
  session_disk& disk = disks_[session];
  auto& logic = life_->sessions.emplace(session, search::session()).first->second;
  for (const event& e : disk.log)
    logic.replay(e);
  if (disk.log.empty())
    step(session, search::opened{openings_.at(session)});
  else
    step(session, search::resumed{});
}

void simulated_scheduler::die(bool loses_unsynced) {
  for (auto& [session, disk] : disks_) {
    const auto found = life_->sessions.find(session);
    if (found != life_->sessions.end() && found->second.appended() == disk.log.size()) { // I7: what a replay gives is what was
      search::session again;
      for (const event& e : disk.log)
        again.replay(e);
      if (again.state().digest() != found->second.state().digest())
        throw violated{"I7 resume: replaying the log of " + session + " gives another state than the one that wrote it"};
    }
    std::size_t left = disk.durable;
    if (!loses_unsynced && disk.log.size() > disk.durable)
      left += w_.draw.below(disk.log.size() - disk.durable + 1);
    if (bug_ == planted::loses_durable)
      left -= std::min<std::size_t>(left, 3);
    disk.log.resize(left);
    disk.durable = left;
    books_.check_survived(session, disk);
    books_.appended(session, disk, 0);
  }
  life_.reset();
  books_.scheduler_died();
}

void simulated_scheduler::tick() {
  w_.later(0, tick_every_s, [this] { tick(); });
  if (bug_ != planted::ignores_deadlines)
    step(dispatch::tick{});
  give_up_compiling();
  for (const auto& [session, opening] : openings_)
    if (!life_->sessions.at(session).over())
      step(session, search::tick{});
}

// ---- the disk

void simulated_scheduler::commit() {
  if (life_->commits)
    return;
  std::map<std::string, std::size_t> group;
  for (const auto& [session, disk] : disks_)
    if (disk.log.size() > disk.durable)
      group[session] = disk.log.size();
  if (group.empty())
    return;
  life_->commits = true;
  const double stalls_s = std::max(0.0, disk_stalls_until - w_.now_s);
  w_.later(0, commit_s * (0.5 + w_.draw.uniform()) + stalls_s, [this, group] {
    for (const auto& [session, events] : group)
      disks_[session].durable = events;
    w_.boundary(0);
    life_->commits = false;
    for (const auto& [session, events] : group)
      step(session, search::stored{events});
    std::vector<std::string> ready;
    std::erase_if(life_->verified, [&](const auto& each) {
      const bool is = disks_[each.second.substr(0, each.second.find('/'))].durable >= each.first;
      if (is)
        ready.push_back(each.second);
      return is;
    });
    for (const auto& task : ready)
      durable(task);
    commit();
  });
}

// ---- agents

void simulated_scheduler::say(const std::string& agent, message what) {
  if (!say_(agent, std::move(what)))
    w_.later(0, 0, [this, agent] {
      if (life_->agents.contains(agent))
        step(dispatch::lost{agent, "not connected"});
    });
}

void simulated_scheduler::hear(const std::string& agent, message what) {
  if (hear_of_compiling(agent, what))
    return;
  if (auto* hello = std::get_if<agent_hello>(&what)) {
    life_->agents.insert(agent);
    std::vector<std::string> holds;
    for (const auto& print : hello->kept)
      life_->holders[print] = agent;
    for (const auto& [task, k] : life_->tasks)
      if (auto holder = life_->holders.find(k.print); holder != life_->holders.end() && holder->second == agent)
        holds.push_back(task);
    step(dispatch::hello{agent, std::move(*hello), std::move(holds)});
  } else if (std::holds_alternative<agent_heartbeat>(what)) {
    if (!life_->agents.contains(agent))
      return say(agent, agent_welcome{life_->identity, protocol_version});
    step(dispatch::heartbeat{agent});
  } else if (auto* accepted = std::get_if<lease_accepted>(&what)) {
    step(dispatch::accepted{agent, accepted->lease, accepted->epoch});
  } else if (auto* finished = std::get_if<lease_finished>(&what)) {
    if (life_->settled.awaits_disk(finished->lease, agent, finished->epoch))
      return;
    if (const auto* late = std::get_if<written>(&finished->answer); late && !life_->tasks.contains(finished->lease) && life_->agents.contains(agent))
      life_->holders[late->print] = agent;
    const std::string why = why_no_answer(*finished);
    life_->answer = finished;
    step(dispatch::finished{agent, finished->lease, finished->epoch, !why.empty(), why});
    life_->answer = nullptr;
  }
}

void simulated_scheduler::step(dispatch::input in) {
  for (const auto& each : life_->logic.step(std::move(in), w_.now_s)) {
    w_.boundary(0);
    if (!carry_out_compiling(each))
      carry_out(each);
  }
  books_.check(life_->logic);
  forget_the_gone();
}

void simulated_scheduler::carry_out(const dispatch::effect& what) {
  if (const auto* e = std::get_if<dispatch::welcome>(&what)) {
    say(e->agent, agent_welcome{life_->identity, protocol_version});
  } else if (const auto* e = std::get_if<dispatch::grant>(&what)) {
    books_.granted(*e);
    w_.note((e->kept ? "grant, kept there, " : "grant ") + e->lease + " epoch " + std::to_string(e->epoch) + " to " + e->agent);
    const kept& k = life_->tasks.at(e->lease);
    say(e->agent, lease_granted{e->lease, e->epoch, e->deadline_s, e->kept ? work(kept_work{k.print}) : k.what});
  } else if (const auto* e = std::get_if<dispatch::revoke>(&what)) {
    books_.ended(e->lease);
    w_.note("revoke " + e->lease + " epoch " + std::to_string(e->epoch) + " of " + e->agent);
    say(e->agent, lease_cancelled{e->lease, e->epoch});
  } else if (const auto* e = std::get_if<dispatch::deliver>(&what)) {
    books_.delivered(*e);
    w_.note("deliver " + e->task + " epoch " + std::to_string(e->epoch) + " of " + e->agent);
    const origin whose = life_->tasks.at(e->task).whose;
    const bool writes = std::holds_alternative<write_work>(life_->tasks.at(e->task).what);
    life_->settled.settle(e->task, {e->agent, e->epoch, whose});
    life_->tasks.erase(e->task);
    if (writes)
      w_.later(0, 0, [this, arrived = migration::arrived{e->task, e->agent, e->epoch, std::get<written>(life_->answer->answer)}, session = whose.session] { step(session, arrived); });
    else
      answer(whose, std::get<evaluation>(life_->answer->answer), "");
    if (bug_ == planted::acknowledges_early || (bug_ == planted::forgets_written && writes))
      durable(e->task);
  } else if (const auto* e = std::get_if<dispatch::give_up>(&what)) {
    books_.over(e->task);
    w_.note("give up " + e->task + ": " + e->reason);
    if (auto found = life_->tasks.find(e->task); found != life_->tasks.end()) {
      if (std::holds_alternative<write_work>(found->second.what))
        w_.later(0, 0, [this, lost = migration::lost{e->task, {errc::infrastructure, e->reason}}, session = found->second.whose.session] { step(session, lost); });
      else
        answer(found->second.whose, std::nullopt, e->reason);
      life_->tasks.erase(found);
    }
  } else if (const auto* e = std::get_if<dispatch::ask_permit>(&what)) {
    w_.note("a slot of " + e->agent + " waits for the permission of " + e->task);
    books_.asked_permit(*e, life_->logic, w_.now_s);
    w_.later(0, 0, [this, task = e->task] {
      auto found = life_->tasks.find(task);
      if (found == life_->tasks.end())
        return;
      if (bug_ != planted::pays_unreserved)
        return step(found->second.whose.session, migration::unpermitted{task});
      std::get<write_work>(found->second.what).reserved_tokens = 2 * most_tokens;
      books_.permitted(task);
      step(dispatch::permit{task});
    });
  } else if (const auto* e = std::get_if<dispatch::discarded>(&what)) {
    w_.note("discard " + e->task + " epoch " + std::to_string(e->epoch) + " of " + e->agent + ": " + e->reason);
    if (bug_ == planted::counts_late && life_->tasks.contains(e->task))
      return carry_out(dispatch::deliver{e->task, e->agent, e->epoch});
    const auto found = life_->tasks.find(e->task);
    const origin* whose = found != life_->tasks.end() ? &found->second.whose : life_->settled.origin_of(e->task);
    if (whose != nullptr)
      w_.later(0, 0, [this, to = *whose, why = e->reason] { step(to.session, search::late{to.number, to.attempt, why}); });
  } else if (const auto* e = std::get_if<dispatch::acknowledge>(&what)) {
    if (life_->answer != nullptr && why_no_answer(*life_->answer).empty())
      books_.check_not_awaited(*e);
    if (!life_->settled.awaits_disk(e->lease, e->agent, e->epoch))
      acknowledge(e->agent, e->lease, e->epoch, false);
  } else if (const auto* e = std::get_if<dispatch::requeued>(&what)) {
    books_.ended(e->task);
    w_.note("requeue " + e->task + ": " + e->reason);
  } else if (const auto* e = std::get_if<dispatch::agent_gone>(&what)) {
    books_.agent_gone(e->agent);
    life_->agents.erase(e->agent);
    life_->gone.push_back(e->agent);
    std::erase_if(life_->holders, [&](const auto& each) { return each.second == e->agent; });
    w_.note("gone " + e->agent + ": " + e->reason);
  }
}

void simulated_scheduler::answer(const origin& whose, std::optional<evaluation> got, const std::string& why) {
  w_.later(0, 0, [this, whose, got = std::move(got), why] {
    if (whose.verification && got)
      step(whose.session, search::verified{whose.number, whose.attempt, *got});
    else if (whose.verification)
      step(whose.session, search::verification_failed{whose.number, whose.attempt, why});
    else if (got)
      step(whose.session, search::evaluated{whose.number, whose.attempt, *got});
    else
      step(whose.session, search::evaluation_failed{whose.number, whose.attempt, why});
    if (whose.verification)
      life_->verified.emplace_back(life_->sessions.at(whose.session).appended(), task_name(whose.session, whose.number, whose.attempt, true));
  });
}

void simulated_scheduler::durable(const std::string& task) {
  if (auto to = life_->settled.durable(task))
    acknowledge(to->agent, task, to->epoch, true);
}

void simulated_scheduler::acknowledge(const std::string& agent, const std::string& lease, std::uint64_t epoch, bool counted) {
  if (const origin* whose = life_->settled.origin_of(lease))
    books_.check_acknowledged(lease, epoch, &disks_.at(whose->session), whose->number, whose->attempt, whose->verification);
  say(agent, result_acknowledged{lease, epoch, counted});
}

// ---- sessions

void simulated_scheduler::step(const std::string& session, search::input in) {
  const bool ticks = std::holds_alternative<search::tick>(in);
  auto& logic = life_->sessions.at(session);
  for (auto& each : logic.step(std::move(in), now())) {
    if (!ticks)
      w_.boundary(0);
    carry_out(session, std::move(each));
  }
  if (bug_ == planted::shows_early && logic.state().is_open())
    books_.check_shown(disks_.at(session), logic.state().results());
}

void simulated_scheduler::carry_out(const std::string& session, search::effect what) {
  session_disk& disk = disks_.at(session);
  if (auto* e = std::get_if<search::append_event>(&what)) {
    KEVOLVE_CHECK(e->position == disk.log.size());
    disk.log.push_back(std::move(e->what));
    books_.appended(session, disk, disk.log.size() - 1);
    commit();
  } else if (auto* e = std::get_if<search::ask_synthesis>(&what)) {
    e->synthesizer == "small" ? write_elsewhere(session, e->number) : synthesize(session, e->number);
  } else if (auto* e = std::get_if<search::permit_asking>(&what)) {
    w_.later(0, 0, [this, session, n = e->number, reserved = e->reserved] { step(session, migration::permitted{n, reserved}); });
  } else if (auto* e = std::get_if<search::refuse_asking>(&what)) {
    w_.later(0, 0, [this, session, n = e->number, why = e->why] { step(session, migration::refused{n, why}); });
  } else if (auto* e = std::get_if<search::acknowledge_writing>(&what)) {
    w_.later(0, 0, [this, session, n = e->number] { step(session, migration::counted{n}); });
  } else if (auto* e = std::get_if<search::ask_evaluation>(&what)) {
    evaluate_work work;
    work.what = *e->what;
    if (e->anchor)
      work.anchors.push_back(*e->anchor);
    submit_task(task_name(session, e->number, e->attempt, false), {session, e->number, e->attempt, false}, std::move(work));
  } else if (auto* e = std::get_if<search::ask_verification>(&what)) {
    evaluate_work work;
    work.what = *e->what;
    work.anchors.push_back(*e->root);
    work.how = effort::verify;
    submit_task(task_name(session, e->number, e->attempt, true), {session, e->number, e->attempt, true}, std::move(work));
  } else if (auto* e = std::get_if<search::withdraw>(&what)) {
    w_.later(0, 0, [this, session, n = e->number, back = e->comes_back] { step(session, migration::forgotten{n, back}); });
    if (auto found = life_->under_way.find({session, e->number}); found != life_->under_way.end())
      w_.later(0, 0, [this, task = found->second] { withdraw(task, false); });
  } else if (auto* e = std::get_if<search::acknowledge>(&what)) {
    w_.later(0, 0, [this, task = task_name(session, e->number, e->attempt, false)] { durable(task); });
  } else if (auto* e = std::get_if<search::show_progress>(&what)) {
    books_.check_shown(disk, e->evaluations);
  } else if (auto* e = std::get_if<search::finish>(&what)) {
    if (disk.durable < disk.log.size() || disk.log.empty() || !std::holds_alternative<session_finished>(disk.log.back()))
      if (e->what.stopped_by != "paused")
        throw violated{"I1 durable before visible: the end of " + session + " is told before it is durable"};
    w_.note(session + " ends: " + e->what.stopped_by);
    ended_.insert(session);
  }
}

void simulated_scheduler::synthesize(const std::string& session, node_number number) {
  rng fate(seed_, number, session);
  const double lasts_s = 0.01 + 0.05 * fate.uniform();
  const bool fails = number != 0 && fate.chance(0.02);
  candidate made;
  made.author = "generator";
  for (int i = 0; i < 64; ++i)
    made.id += "0123456789abcdef"[fate.below(16)];
  w_.later(0, lasts_s, [this, session, number, fails, made] {
    if (fails)
      step(session, search::synthesis_failed{number, {errc::synthesizer, "it fell over"}});
    else
      step(session, search::synthesized{number, made, {"change", "changed", "drawn"}});
  });
}

void simulated_scheduler::submit_task(std::string task, origin whose, evaluate_work what) {
  w_.later(0, 0, [this, task, whose, what = std::move(what)] {
    life_->under_way[{whose.session, whose.number}] = task;
    dispatch::submit asked;
    asked.task = task;
    asked.owner = whose.session;
    asked.priority = whose.verification ? 1 : 0;
    asked.on = openings_.at(whose.session).on;
    asked.hardware = "simulated";
    asked.limit_s = 10;
    submit_task(std::move(asked), {whose, what, work_print(what)});
  });
}

void simulated_scheduler::submit_task(dispatch::submit asked, kept what) {
  if (auto holder = life_->holders.find(what.print); holder != life_->holders.end())
    asked.holder = holder->second;
  life_->tasks[asked.task] = std::move(what);
  step(std::move(asked));
}

void simulated_scheduler::withdraw(const std::string& task, bool keeps) {
  auto kept = life_->tasks.find(task);
  if (kept == life_->tasks.end()) {
    if (auto to = life_->settled.withdrawn(task)) {
      const origin& whose = *life_->settled.origin_of(task);
      books_.uncounted(task, disks_.at(whose.session), whose.number, whose.attempt);
      say(to->agent, result_acknowledged{task, to->epoch, false});
    }
    return;
  }
  if (keeps)
    if (const std::string agent = life_->logic.holder_of(task); !agent.empty())
      life_->holders[kept->second.print] = agent;
  life_->settled.settle(task, {"", 0, kept->second.whose});
  life_->tasks.erase(kept);
  books_.over(task);
  step(dispatch::withdraw{task, keeps});
}

} // namespace kevolve::simulation
