// A synthesizer that migrates, frozen for one proposal: all that it would have drawn on at home as one MessagePack value, so that another host
// writes what home would have written. A model's prompt is made before it leaves, since it reads the scheduler's documents; a schedule that a
// model answers with, and the generator's own proposals, are printed where it is thawed. No key is in it. Pure; any thread.
#pragma once

#include "actors/synthesis/prompts/writing.hpp"
#include "protocol/event.hpp"
#include "protocol/writing.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kevolve::synthesis {

/// An `attempt` without sources and evaluation: those were read for the prompt.
struct frozen_attempt {
  schedule printed_from;
  transformation edge;
  outcome result = outcome::passed;
  double gain = 1;
  double fitness = 0;
  diagnosis diagnosed;
};

struct frozen_context {
  memory_operator memory = memory_operator::inherit;
  std::string root;
  std::optional<frozen_attempt> parent, second_parent;
  std::vector<frozen_attempt> trajectory, siblings;
  std::vector<schedule> priors;
};

/// What a model is told, and what its answer is read with.
struct frozen_prompt {
  std::string instructions;
  std::string text;
  std::vector<source_file> parent;     // the files that edits apply to
  language in;
  std::uint32_t repairs = 2;
  bool may_schedule = false;
};

struct frozen_synthesizer {
  std::string synthesizer;             // its name, as in the session's settings
  session_id session;
  node_number number = 0;
  std::uint64_t seed = 0;
  problem subject;
  target on;
  std::string compiler;
  std::optional<frozen_context> given; // none: the root
  std::vector<skill> skills;           // what the session began with; empty where they are kept from it
  std::string policy_model;            // likewise; "": the rules rank
  std::string known_ids;               // of the session's candidates before this one: 16 bytes each, in order
  std::string known_likenesses;        // 8 bytes each, in order
  std::optional<frozen_prompt> told;   // none: it is the generator
  std::vector<model_answered> said;    // for this proposal, in an earlier life: paid for already
};

frozen_context freeze(const context& of);
/// With skills and policy, without `is_known`.
result<context> thaw(const frozen_synthesizer& from);
/// The model's half. `from` must outlive it.
writing_task task_of(const frozen_synthesizer& from, context given);

/// One of the session's candidates, or one that differs from them in names and layout only.
bool is_known(const frozen_synthesizer& by, const candidate_id& id);
bool is_alike_known(const frozen_synthesizer& by, const candidate& what);
/// Sorts and packs; of more than `known_bound` the newest, which are last, stay. The session itself refuses a twin of an older one.
inline constexpr std::size_t known_bound = 50'000;
/// An id as its first 32 digits.
std::string pack_ids(const std::vector<std::array<std::uint64_t, 2>>& of);
std::string pack_likenesses(const std::vector<std::uint64_t>& of);

/// What the answer depends on, but for the words of the prompt (documents may change while a scheduler is away, and the proposal is the same),
/// what is known, and what was answered before (what came to nothing is another asking): the same proposal of the same session gives the same print in every life of the scheduler.
std::string print_of(const frozen_synthesizer& of);

template <class Inspector>
bool inspect(Inspector& f, frozen_attempt& x) {
  return f.object(x).fields(f.field("printed_from", x.printed_from), f.field("edge", x.edge), f.field("result", x.result), f.field("gain", x.gain),
                            f.field("fitness", x.fitness), f.field("diagnosed", x.diagnosed));
}
template <class Inspector>
bool inspect(Inspector& f, frozen_context& x) {
  return f.object(x).fields(f.field("memory", x.memory), f.field("root", x.root), f.field("parent", x.parent), f.field("second_parent", x.second_parent),
                            f.field("trajectory", x.trajectory), f.field("siblings", x.siblings), f.field("priors", x.priors));
}
template <class Inspector>
bool inspect(Inspector& f, forbidden_word& x) {
  return f.object(x).fields(f.field("word", x.word), f.field("because", x.because));
}
template <class Inspector>
bool inspect(Inspector& f, language& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("platform", x.platform), f.field("title", x.title), f.field("fence", x.fence),
                            f.field("main_file", x.main_file), f.field("entry", x.entry), f.field("build", x.build), f.field("abi", x.abi),
                            f.field("example", x.example), f.field("forbidden", x.forbidden), f.field("described", x.described), f.field("runs", x.runs),
                            f.field("compile_check", x.compile_check));
}
template <class Inspector>
bool inspect(Inspector& f, frozen_prompt& x) {
  return f.object(x).fields(f.field("instructions", x.instructions), f.field("text", x.text), f.field("parent", x.parent), f.field("in", x.in),
                            f.field("repairs", x.repairs), f.field("may_schedule", x.may_schedule));
}
template <class Inspector>
bool inspect(Inspector& f, frozen_synthesizer& x) {
  return f.object(x).fields(f.field("synthesizer", x.synthesizer), f.field("session", x.session), f.field("number", x.number), f.field("seed", x.seed),
                            f.field("subject", x.subject), f.field("on", x.on), f.field("compiler", x.compiler), f.field("given", x.given),
                            f.field("skills", x.skills), f.field("policy_model", x.policy_model), f.field("known_ids", x.known_ids),
                            f.field("known_likenesses", x.known_likenesses), f.field("told", x.told), f.field("said", x.said));
}

} // namespace kevolve::synthesis
