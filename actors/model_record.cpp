#include "actors/model_record.hpp"

#include <algorithm>

namespace kevolve {
namespace {

using synthesis::writing;

double price_of(const llm::token_usage& used, const llm::model_settings& model) { return model.price ? llm::cost_usd(used, *model.price) : 0; }

token_counts counted(const llm::token_usage& used) { return {used.input, used.cached_input, used.output, used.reasoning}; }

} // namespace

llm::request request_of(const llm::model_settings& model, const session_id& session, node_number number, const writing::ask& what) {
  llm::request r;
  r.system = what.instructions;
  for (std::size_t i = 0; i < what.turns.size(); ++i)
    r.messages.push_back({i % 2 == 0 ? llm::speaker::user : llm::speaker::assistant, what.turns[i]});
  r.model = model;
  r.idempotency_key = session + "/" + std::to_string(number) + "/" + std::to_string(what.step);
  return r;
}

model_spending most_spent(const llm::request& asked) {
  const auto most = llm::most_usage(asked);
  const std::uint64_t times = std::max(1u, asked.billable_attempts);
  return {times * (most.input + most.output), static_cast<double>(times) * price_of(most, asked.model)};
}

model_asked record_of(const llm::request& asked, const std::string& synthesizer, node_number number, const writing::ask& what) {
  const model_spending most = most_spent(asked);
  model_asked record;
  record.number = number;
  record.step = what.step;
  record.synthesizer = synthesizer;
  record.model = asked.model.name;
  record.provider = asked.model.provider;
  record.role = what.step == 0 ? "propose" : "repair";
  record.instructions = what.instructions;
  record.turns = what.turns;
  record.reserved_tokens = most.tokens;
  record.reserved_usd = most.usd;
  return record;
}

model_answered record_of(node_number number, std::uint32_t step, const llm::reply& got, const llm::request& asked) {
  model_answered a;
  a.number = number;
  a.step = step;
  llm::token_usage used;
  std::uint32_t unseen = 0;
  if (got) {
    a.text = got->text;
    a.reasoning = got->reasoning;
    a.stop = llm::to_string(got->stopped);
    a.seconds = got->seconds;
    a.attempts = got->attempts;
    a.request = got->request_id;
    used = got->counted ? got->used : llm::most_usage(asked); // who tells no usage may have used as much
    unseen = got->unseen_attempts;
    a.cost_usd = got->recorded ? 0 : got->cost_usd.value_or(price_of(used, asked.model));
  } else {
    a.stop = llm::to_string(got.failure().kind);
    a.failure = got.failure().message;
    a.attempts = got.failure().attempts;
    unseen = got.failure().unseen_attempts;
  }
  const auto most = llm::most_usage(asked); // of an attempt whose answer was lost: it may have been billed
  a.used = counted(used);
  a.used.input += unseen * most.input;
  a.used.output += unseen * most.output;
  a.cost_usd += unseen * price_of(most, asked.model);
  return a;
}

} // namespace kevolve
