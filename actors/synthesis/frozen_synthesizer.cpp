#include "actors/synthesis/frozen_synthesizer.hpp"

#include "actors/synthesis/learned.hpp"
#include "protocol/codec.hpp"
#include "protocol/digest.hpp"
#include "protocol/likeness.hpp"

#include <algorithm>

namespace kevolve::synthesis {
namespace {

constexpr std::size_t word_bytes = 8;

frozen_attempt freeze(const attempt& of) { return {of.printed_from, of.edge, of.result, of.gain, of.fitness, of.diagnosed}; }

attempt thaw(const frozen_attempt& from) { return {from.printed_from, from.edge, from.result, from.gain, from.fitness, from.diagnosed}; }

std::string packed(std::uint64_t word) { // the most significant byte first: sorted as bytes is sorted
  std::string bytes(word_bytes, '\0');
  for (std::size_t i = 0; i < word_bytes; ++i)
    bytes[i] = static_cast<char>(word >> (8 * (word_bytes - 1 - i)));
  return bytes;
}

std::string packed(const std::array<std::uint64_t, 2>& id) { return packed(id[0]) + packed(id[1]); }

std::string packed(const candidate_id& id) {
  std::array<std::uint64_t, 2> words{};
  for (std::size_t i = 0; i < 32 && i < id.size(); ++i)
    words[i / 16] = words[i / 16] << 4 | static_cast<std::uint64_t>((id[i] <= '9' ? id[i] - '0' : id[i] - 'a' + 10) & 15);
  return packed(words);
}

template <class Values>
std::string packed_all(const Values& of) {
  std::vector<std::string> each;
  for (std::size_t i = of.size() - std::min(of.size(), known_bound); i < of.size(); ++i)
    each.push_back(packed(of[i]));
  std::sort(each.begin(), each.end());
  std::string all;
  for (const std::string& one : each)
    all += one;
  return all;
}

bool contains(const std::string& sorted, const std::string& one) {
  std::size_t low = 0, high = sorted.size() / one.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    const int order = sorted.compare(middle * one.size(), one.size(), one);
    if (order == 0)
      return true;
    (order < 0 ? low : high) = order < 0 ? middle + 1 : middle;
  }
  return false;
}

} // namespace

std::string pack_ids(const std::vector<std::array<std::uint64_t, 2>>& of) { return packed_all(of); }
std::string pack_likenesses(const std::vector<std::uint64_t>& of) { return packed_all(of); }

bool is_known(const frozen_synthesizer& by, const candidate_id& id) { return contains(by.known_ids, packed(id)); }
bool is_alike_known(const frozen_synthesizer& by, const candidate& what) {
  return is_known(by, what.id) || contains(by.known_likenesses, packed(likeness_of(what)));
}

frozen_context freeze(const context& of) {
  frozen_context frozen{of.memory, of.root, {}, {}, {}, {}, of.priors};
  if (of.parent)
    frozen.parent = freeze(*of.parent);
  if (of.second_parent)
    frozen.second_parent = freeze(*of.second_parent);
  for (const attempt& each : of.trajectory)
    frozen.trajectory.push_back(freeze(each));
  for (const attempt& each : of.siblings)
    frozen.siblings.push_back(freeze(each));
  return frozen;
}

result<context> thaw(const frozen_synthesizer& from) {
  context given;
  if (from.given) {
    const frozen_context& frozen = *from.given;
    given.memory = frozen.memory;
    given.root = frozen.root;
    if (frozen.parent)
      given.parent = thaw(*frozen.parent);
    if (frozen.second_parent)
      given.second_parent = thaw(*frozen.second_parent);
    for (const frozen_attempt& each : frozen.trajectory)
      given.trajectory.push_back(thaw(each));
    for (const frozen_attempt& each : frozen.siblings)
      given.siblings.push_back(thaw(each));
    given.priors = frozen.priors;
  }
  if (!from.skills.empty())
    given.skills = std::make_shared<const std::vector<skill>>(from.skills);
  if (!from.policy_model.empty()) {
    KEVOLVE_TRY(learned, policy_from_bytes(from.policy_model));
    given.learned = std::make_shared<const learned_policy>(std::move(learned));
  }
  return given;
}

writing_task task_of(const frozen_synthesizer& from, context given) {
  const frozen_prompt& told = *from.told;
  writing_task task;
  task.facts.subject = std::shared_ptr<const problem>(std::shared_ptr<const problem>(), &from.subject);
  task.facts.on = from.on;
  task.facts.in = &told.in;
  task.facts.number = from.number;
  task.facts.may_schedule = told.may_schedule;
  task.facts.given = std::move(given);
  if (task.facts.given.parent) {
    candidate parent;
    parent.sources = told.parent;
    task.facts.given.parent->written = std::make_shared<const candidate>(std::move(parent));
  }
  task.ready = prompt{told.instructions, told.text, {}};
  task.author = from.synthesizer;
  task.compiler = from.compiler;
  task.repairs = told.repairs;
  task.is_known = [&from](const candidate& c) { return is_alike_known(from, c); };
  return task;
}

std::string print_of(const frozen_synthesizer& of) {
  frozen_synthesizer alone = of;
  alone.known_ids.clear();
  alone.known_likenesses.clear();
  std::erase_if(alone.said, [](const model_answered& a) { return a.failure.empty(); }); // one that came to nothing is asked for anew
  if (alone.told)
    alone.told->instructions.clear(), alone.told->text.clear();
  return sha256_hex(encode(alone));
}

} // namespace kevolve::synthesis
