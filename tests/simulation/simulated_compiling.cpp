// Compiling for others in the simulated cluster: the scheduler's side, put together as its dispatcher does it, and the agents'.
#include "protocol/digest.hpp"
#include "tests/simulation/simulated_agent.hpp"
#include "tests/simulation/simulated_scheduler.hpp"

namespace kevolve::simulation {
namespace {

constexpr double compiler_wait_s = 15; // as the dispatcher has it
constexpr int tries_elsewhere = 3;     // as the evaluation library has it

} // namespace

// ---- the scheduler

void simulated_scheduler::say(std::optional<dispatch::letter> what) {
  if (what)
    say(what->agent, std::move(what->what));
}

/// False: it is about something else.
bool simulated_scheduler::hear_of_compiling(const std::string& agent, message& what) {
  if (auto* wanted = std::get_if<compile_wanted>(&what)) {
    if (!life_->agents.contains(agent))
      return true;
    auto opened = life_->compilations.wanted(agent, std::move(*wanted));
    say(std::move(opened.refusal));
    if (opened.task)
      step(std::move(*opened.task));
  } else if (auto* dropped = std::get_if<compile_dropped>(&what)) {
    if (std::string task = life_->compilations.dropped(agent, dropped->request); !task.empty()) {
      books_.ended(task);
      step(dispatch::withdraw{task});
    }
  } else if (auto* asked = std::get_if<blob_wanted>(&what)) {
    if (life_->agents.contains(agent))
      say(life_->compilations.asked(agent, std::move(*asked)));
  } else if (auto* piece = std::get_if<blob_piece>(&what)) {
    say(life_->compilations.came(agent, std::move(*piece)));
  } else if (auto* missing = std::get_if<blob_missing>(&what)) {
    say(life_->compilations.missing(agent, std::move(*missing)));
  } else if (auto* finished = std::get_if<lease_finished>(&what); finished && is_compilation(finished->lease)) {
    const auto* made = std::get_if<compile_made>(&finished->answer);
    if (made && life_->compilations.has(finished->lease) && !life_->compilations.answers(finished->lease, *made))
      finished->answer = std::string("the agent answered a compilation with something else");
    const auto* why = std::get_if<std::string>(&finished->answer);
    life_->answer = finished;
    step(dispatch::finished{agent, finished->lease, finished->epoch, why != nullptr, why ? *why : ""});
    life_->answer = nullptr;
  } else {
    return false;
  }
  return true;
}

/// False: it is about something else.
bool simulated_scheduler::carry_out_compiling(const dispatch::effect& what) {
  auto& desk = life_->compilations;
  if (const auto* e = std::get_if<dispatch::grant>(&what); e && desk.has(e->lease)) {
    books_.granted(*e);
    w_.note("grant " + e->lease + " epoch " + std::to_string(e->epoch) + " to " + e->agent);
    say(e->agent, lease_granted{e->lease, e->epoch, e->deadline_s, desk.work_of(e->lease)});
  } else if (const auto* e = std::get_if<dispatch::deliver>(&what); e && desk.has(e->task)) {
    books_.delivered(*e);
    w_.note("deliver " + e->task + " epoch " + std::to_string(e->epoch) + " of " + e->agent);
    say(desk.delivered(e->task, e->agent, std::get<compile_made>(life_->answer->answer)));
  } else if (const auto* e = std::get_if<dispatch::give_up>(&what); e && desk.has(e->task)) {
    books_.ended(e->task);
    w_.note("give up " + e->task + ": " + e->reason);
    say(desk.given_up(e->task, e->reason));
  } else {
    return false;
  }
  return true;
}

void simulated_scheduler::give_up_compiling() {
  for (const auto& task : life_->compilations.hopeless([this](const dispatch::submit& like) { return life_->logic.serves(like); }, w_.now_s, compiler_wait_s)) {
    if (!life_->compilations.has(task))
      continue; // it went with its agent meanwhile
    w_.note("nobody compiles " + task);
    say(life_->compilations.given_up(task, "no agent compiles it"));
    books_.ended(task);
    step(dispatch::withdraw{task});
  }
}

void simulated_scheduler::forget_the_gone() {
  for (const std::string& agent : std::exchange(life_->gone, {}))
    for (const auto& task : life_->compilations.agent_gone(agent)) {
      step(dispatch::withdraw{task});
      life_->compilations.forget(task);
    }
}

// ---- an agent that compiles for others

void simulated_agent::compile(const start_work& what, const compile_work& work) {
  const bool hangs = hangs_next > 0 && hangs_next-- > 0;
  working_[{what.lease, what.epoch}] = hangs;
  w_.note(identity_ + " compiles " + what.lease + " epoch " + std::to_string(what.epoch) + (hangs ? ", hangs" : ""));
  if (hangs)
    return;
  compile_made made;
  made.candidate = work.what.id;
  made.good = compiles(work.what.id);
  made.toolchain = "g++ 12.2.0";
  if (made.good) {
    std::string program = program_of(work.what.id);
    made.artifact = {sha256_hex(program), program.size()};
    if (lies_next > 0 && lies_next-- > 0) {
      w_.note(identity_ + " lies about " + what.lease);
      if (w_.draw.chance(0.5))
        made.candidate[0] = made.candidate[0] == '0' ? '1' : '0';
      else
        program[0] ^= 1; // not what its hash says
    }
    programs_[made.artifact.hash] = std::move(program);
  }
  w_.later(node_, 0.05 + 0.5 * w_.draw.uniform(), [this, lease = what.lease, epoch = what.epoch, made] { finish(lease, epoch, made); });
}

void simulated_agent::give_piece(const blob_wanted& what) {
  const auto found = programs_.find(what.hash);
  blob_piece piece = found == programs_.end() ? blob_piece{} : piece_of(what, found->second);
  if (piece.content.empty())
    say_(node_, identity_, blob_missing{what.hash, what.to});
  else
    say_(node_, identity_, std::move(piece));
}

// ---- an agent without a compiler

void simulated_agent::ask_elsewhere(const std::string& lease) {
  foreign& mine = foreign_.at(lease);
  ++mine.tries;
  mine.waits = errands_->compile({mine.what, "g++", {"x86_64", 2036, {}}, 10}, now());
  run_errands();
}

void simulated_agent::run_errands() {
  for (auto& each : errands_->due(now()))
    say_(node_, identity_, std::move(each));
  for (const auto& each : errands_->take_done())
    heard_of(each);
}

void simulated_agent::heard_of(const errands::done& what) {
  for (auto& [lease, mine] : foreign_) {
    if (mine.waits != what.which)
      continue;
    const auto end = [&, lease = lease](lease_answer answer) {
      const std::uint64_t epoch = mine.epoch;
      foreign_.erase(lease);
      measure(lease, epoch, std::move(answer));
    };
    if (const auto* made = std::get_if<errands::made>(&what.how)) {
      if (made->what.good)
        mine.waits = errands_->fetch(made->what.artifact, now());
      else
        end(std::move(mine.answer)); // which says the same
    } else if (const auto* got = std::get_if<errands::fetched>(&what.how)) {
      books_.check_program(mine.what.id, *got->content);
      end(std::move(mine.answer));
    } else if (mine.tries < tries_elsewhere) {
      ask_elsewhere(std::string(lease));
    } else {
      end(std::get<errands::failed>(what.how).reason);
    }
    return;
  }
}

} // namespace kevolve::simulation
