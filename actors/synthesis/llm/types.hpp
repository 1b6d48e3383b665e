// What is asked of a model and what comes back, as plain data: the same for every kind of provider. No key is ever in any of it. Any thread.
#pragma once

#include "protocol/result.hpp"

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kevolve::llm {

using json = nlohmann::json;
using moment = std::chrono::steady_clock::time_point;

enum class speaker : std::uint8_t { user, assistant };

struct message {
  speaker from = speaker::user;
  std::string content;
  bool operator==(const message&) const = default;
};

/// USD per million tokens.
struct token_price {
  double input = 0, cached_input = 0, cache_write = 0, output = 0;
  bool operator==(const token_price&) const = default;
};

/// One `[[llm.models]]` of the settings. What is empty is not sent: some models answer a field that they do not know with an error.
struct model_settings {
  std::string name;
  std::string provider;                 // a `[llm.providers.X]`
  double weight = 1;
  std::vector<std::string> roles;       // what it is asked for; empty: everything
  std::uint32_t max_output_tokens = 16'000;
  std::uint32_t context_tokens = 128'000; // the window, for sizing prompts
  std::string reasoning_effort;         // none, minimal, low, medium, high, xhigh, max
  std::uint32_t thinking_tokens = 0;    // Anthropic models that want a budget instead of an effort; at least 1024
  std::optional<double> temperature, top_p;
  bool stream = true;
  bool prompt_caching = true;
  bool legacy_limit = false;            // `max_tokens` instead of `max_completion_tokens`: many local servers
  json extra_body = json::object();     // merged into the body last
  std::optional<token_price> price;
  std::uint32_t prompt_tokens = 0;      // what a prompt is sized to; 0: by the window
  std::uint32_t repairs = 2;            // asked again within a step for what does not compile
  bool blank_feedback = false;          // for experiments: it is not told what came of its candidates
  bool operator==(const model_settings&) const = default;
};

struct request {
  std::string system;
  std::vector<message> messages;        // the last one is the user's
  model_settings model;
  std::uint32_t max_output_tokens = 0;  // 0: the model's
  std::string idempotency_key;          // the same for the same step of a session, also after a restart; "": none
  moment deadline = moment::max();      // the provider's own time limit counts, too
  /// How many attempts may be lost after the model may have begun to answer (a cut stream, a time limit) and so may be billed unseen. The
  /// ledger reserves as many. Refusals such as 429 and 503 cost nothing and do not count.
  std::uint32_t billable_attempts = 2;

  [[nodiscard]] std::uint32_t output_limit() const { return max_output_tokens ? max_output_tokens : model.max_output_tokens; }
};

/// Tokens, normalised over providers: cached and written input are parts of `input`, reasoning is a part of `output`.
struct token_usage {
  std::uint64_t input = 0, cached_input = 0, cache_write = 0, output = 0, reasoning = 0;
  bool operator==(const token_usage&) const = default;
};
double cost_usd(const token_usage& used, const token_price& price);

/// No tokeniser makes more tokens than a text has bytes; with what formats add for each message. An upper bound, four times too high for English.
std::uint64_t most_input_tokens(const request& asked);
/// The most that one attempt can use, so that a reservation of it is never exceeded.
token_usage most_usage(const request& asked);

enum class stop_reason : std::uint8_t { end, length, refusal, content_filter, tool_use, other };

struct answer {
  std::string text;
  std::string reasoning;                // as far as the provider shows it
  token_usage used;
  bool counted = true;                  // false: the provider told no usage; then it counts as `most_usage`
  stop_reason stopped = stop_reason::end;
  std::string provider;                 // who sold it: terms of use differ
  std::string model;                    // as the provider names it
  std::string request_id;               // the provider's
  std::optional<double> cost_usd;       // where the provider says it itself (commands do)
  std::uint32_t attempts = 1;
  std::uint32_t unseen_attempts = 0;    // failed ones that may have been billed; each costs at most `most_usage`
  double seconds = 0;
  bool recorded = false;                // came from a record: nothing was paid now
  bool operator==(const answer&) const = default;
};

enum class failure_kind : std::uint8_t {
  authentication,   // no key, a wrong one, or no access to the model
  quota,            // nothing left on the account
  rate_limit,
  context_too_long,
  bad_request,      // asking again gives the same
  refused,          // by the provider's policy
  network,
  server,           // 5xx, overloaded
  timeout,
  malformed,        // an answer that does not have the format
  too_large,        // longer than we read
  queue_full,
  cancelled,
  unavailable,      // no recorded answer, a command that cannot run
};

struct failure {
  failure_kind kind = failure_kind::network;
  std::string message;                  // names provider, what was found, what to do; scrubbed of keys
  std::uint32_t attempts = 0;
  std::uint32_t unseen_attempts = 0;
  bool operator==(const failure&) const = default;
};

/// An answer or why there is none; reads like a result<answer>.
class [[nodiscard]] reply {
public:
  reply(answer a) : state_(std::move(a)) {}
  reply(llm::failure f) : state_(std::move(f)) {}
  explicit operator bool() const noexcept { return state_.index() == 0; }
  answer& operator*() & { return std::get<0>(state_); }
  const answer& operator*() const& { return std::get<0>(state_); }
  answer&& operator*() && { return std::get<0>(std::move(state_)); }
  answer* operator->() { return &std::get<0>(state_); }
  const answer* operator->() const { return &std::get<0>(state_); }
  [[nodiscard]] const llm::failure& failure() const { return std::get<1>(state_); }
  [[nodiscard]] llm::failure& failure() { return std::get<1>(state_); }
  /// For whoever only passes it on.
  [[nodiscard]] kevolve::error error() const;

private:
  std::variant<answer, llm::failure> state_;
};

const char* to_string(speaker who) noexcept;
const char* to_string(stop_reason why) noexcept;
const char* to_string(failure_kind kind) noexcept;
std::optional<stop_reason> stop_reason_from_string(std::string_view text);

json to_json(const answer& a);
result<answer> answer_from_json(const json& value);

/// SHA-256 (hex) of model name, system text and messages: what recorded answers are found by.
std::string prompt_hash(const request& asked);
/// Everything as one text, for whoever reads text: a command's stdin, a file for a person.
std::string prompt_text(const request& asked);

} // namespace kevolve::llm
