// Synthesizers that migrate: what an agent says of who can write there, the work of a lease that has a candidate written, and what comes back.
// The frozen actor itself is `write_work::state` (actors/synthesis/frozen_synthesizer.hpp). No key is ever in any of it. Pure data.
#pragma once

#include "protocol/candidate.hpp"
#include "protocol/event.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kevolve {

constexpr std::uint64_t enum_max(errc) { return static_cast<std::uint64_t>(errc::infrastructure); }

/// Somebody who writes candidates on an agent's host: the generator, or a model that the agent's own settings name.
struct writer_description {
  std::string name;                    // "generator", or as --synthesizer names a model
  std::string model, provider;         // "": the generator
  std::uint32_t max_output_tokens = 0;
  std::uint32_t prompt_tokens = 24'000; // what a prompt is sized to
  std::uint32_t repairs = 2;
  std::uint32_t billable_attempts = 2; // of one request: so often it may be paid for
  bool blank_feedback = false;
  bool priced = true;                  // false: nobody knows what it costs; the prices are 0 then
  double input_usd = 0, cached_input_usd = 0, cache_write_usd = 0, output_usd = 0; // per million tokens
  double limit_s = 120;                // of one proposal, repairs included

  friend bool operator==(const writer_description&, const writer_description&) = default;
};

/// Write one candidate: a frozen synthesizer, thawed on the host where somebody answers for it.
struct write_work {
  std::string synthesizer;             // a writer_description's name
  std::string print;                   // SHA-256 of what the answer depends on: the same proposal asked for again, whatever is reserved for it
  std::string state;                   // the actor's whole state, one MessagePack value
  std::uint64_t reserved_tokens = 0;   // at most what all its requests may take; whoever writes keeps to it. 0 for the generator
  double reserved_usd = 0;
  double limit_s = 120;                // wall clock
};

/// Give what is kept, or under way, of a write_work of this print, and begin nothing: where it is not, that is infrastructure's fault.
struct kept_work { std::string print; };

/// One request of a model and what came of it, as the session's log has them.
struct model_exchange {
  model_asked asked;
  model_answered said;
};

/// What became of a write_work. Its requests are all in it, paid for and failed ones too.
struct written {
  std::string print;                   // of the work
  std::optional<candidate> what;       // none: `failure` says why
  transformation edge;
  errc failed = errc::synthesizer;     // refused: nothing new; budget: what was reserved did not reach; otherwise the synthesizer's fault
  std::string failure;
  std::vector<model_exchange> said;
};

template <class Inspector>
bool inspect(Inspector& f, writer_description& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("model", x.model), f.field("provider", x.provider), f.field("max_output_tokens", x.max_output_tokens),
                            f.field("prompt_tokens", x.prompt_tokens), f.field("repairs", x.repairs), f.field("billable_attempts", x.billable_attempts),
                            f.field("blank_feedback", x.blank_feedback), f.field("priced", x.priced), f.field("input_usd", x.input_usd),
                            f.field("cached_input_usd", x.cached_input_usd), f.field("cache_write_usd", x.cache_write_usd), f.field("output_usd", x.output_usd),
                            f.field("limit_s", x.limit_s));
}
template <class Inspector>
bool inspect(Inspector& f, write_work& x) {
  return f.object(x).fields(f.field("synthesizer", x.synthesizer), f.field("print", x.print), f.field("state", x.state),
                            f.field("reserved_tokens", x.reserved_tokens), f.field("reserved_usd", x.reserved_usd), f.field("limit_s", x.limit_s));
}
template <class Inspector>
bool inspect(Inspector& f, kept_work& x) {
  return f.object(x).fields(f.field("print", x.print));
}
template <class Inspector>
bool inspect(Inspector& f, model_exchange& x) {
  return f.object(x).fields(f.field("asked", x.asked), f.field("said", x.said));
}
template <class Inspector>
bool inspect(Inspector& f, written& x) {
  return f.object(x).fields(f.field("print", x.print), f.field("what", x.what), f.field("edge", x.edge), f.field("failed", x.failed), f.field("failure", x.failure),
                            f.field("said", x.said));
}

} // namespace kevolve
