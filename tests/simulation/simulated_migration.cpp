// The simulated scheduler's synthesizers that migrate: the real origin (actors/migration.hpp) between session and dispatcher, as the proxy actor
// puts them together. What is frozen is a name and a number: the made-up model writes by them alone.
#include "tests/simulation/simulated_agent.hpp"
#include "tests/simulation/simulated_scheduler.hpp"

#include "protocol/codec.hpp"
#include "protocol/digest.hpp"

namespace kevolve::simulation {
namespace {

constexpr std::uint32_t repairs = 1, attempts_per_life = 256, no_attempt = ~0u;

} // namespace

void simulated_scheduler::write_elsewhere(const std::string& session, node_number number) {
  const auto& state = life_->sessions.at(session).state();
  const auto open = state.open().find(number);
  if (open == state.open().end())
    return;
  migration::set_out leaves;
  leaves.number = number;
  leaves.asked = ++life_->askings;
  leaves.task = session + "/write-" + std::to_string(number) + "/" + std::to_string(w_.nodes[0].life * attempts_per_life + leaves.asked);
  leaves.what.synthesizer = "small";
  leaves.what.print = sha256_hex(session + "/" + std::to_string(number));
  leaves.what.state = encode(simulated_state{session, number, open->second.said});
  leaves.what.limit_s = 10;
  model_asked asked;
  asked.number = number;
  asked.step = open->second.said;
  asked.synthesizer = "small";
  asked.reserved_tokens = (repairs + 1) * most_tokens;
  leaves.request = asked;
  leaves.least = {most_tokens, 0};
  leaves.under_way = state.awaits_model(number, open->second.said);
  const double prompt_s = 0.01 + 0.02 * w_.draw.uniform();
  w_.later(0, prompt_s, [this, session, leaves] { step(session, leaves); });
}

void simulated_scheduler::step(const std::string& session, migration::event e) {
  for (const auto& each : life_->away[session].step(std::move(e))) {
    w_.boundary(0);
    carry_out(session, each);
  }
}

void simulated_scheduler::carry_out(const std::string& session, const migration::effect& what) {
  if (const auto* e = std::get_if<migration::ask>(&what)) {
    w_.later(0, 0, [this, session, request = e->request, least = e->least] { step(session, search::asking{request, least}); });
  } else if (const auto* e = std::get_if<migration::submit>(&what)) {
    w_.later(0, 0, [this, session, sent = *e] {
      dispatch::submit asked;
      asked.task = sent.task;
      asked.owner = session;
      asked.on = openings_.at(session).on;
      asked.limit_s = sent.what.limit_s;
      asked.needs_device = asked.needs_compiler = false;
      asked.writer = sent.what.synthesizer;
      asked.label = "any";
      asked.paid = sent.paid;
      asked.under_way = sent.under_way;
      submit_task(std::move(asked), {{session, sent.number, no_attempt, false}, sent.what, sent.what.print});
    });
  } else if (const auto* e = std::get_if<migration::permit>(&what)) {
    w_.later(0, 0, [this, sent = *e] {
      if (auto found = life_->tasks.find(sent.task); found != life_->tasks.end()) {
        found->second.what = sent.what;
        books_.permitted(sent.task);
        step(dispatch::permit{sent.task});
      }
    });
  } else if (const auto* e = std::get_if<migration::call_back>(&what)) {
    w_.later(0, 0, [this, back = *e] { withdraw(back.task, back.keeps); });
  } else if (const auto* e = std::get_if<migration::deliver>(&what)) {
    w_.later(0, 0, [this, session, got = *e] { step(session, search::wrote{got.number, got.what, got.agent, got.moves}); });
  } else if (const auto* e = std::get_if<migration::fail>(&what)) {
    w_.later(0, 0, [this, session, n = e->number, why = e->why] { step(session, search::synthesis_failed{n, why}); });
  } else if (const auto* e = std::get_if<migration::tell_counted>(&what)) {
    w_.later(0, 0, [this, task = e->task] { durable(task); });
  }
}

std::string simulated_scheduler::why_no_answer(const lease_finished& what) const {
  if (const auto* why = std::get_if<std::string>(&what.answer))
    return *why;
  const auto found = life_->tasks.find(what.lease);
  if (found == life_->tasks.end())
    return {};
  const auto* writing = std::get_if<written>(&what.answer);
  if (std::holds_alternative<write_work>(found->second.what) != (writing != nullptr))
    return "it answered something else";
  return writing && writing->print != found->second.print ? "it is not what was asked for" : "";
}

} // namespace kevolve::simulation
