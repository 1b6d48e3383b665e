// Who answers prompts: an HTTP service, a command, a person, a record. One interface, no CAF; every call returns at once and the reply
// comes on a thread of the provider's. Settings are plain data (scheduler/llm_settings.hpp reads them); keys are read once, when a provider
// is made, and live only in it.
#pragma once

#include "actors/synthesis/llm/types.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>

namespace kevolve::llm {

enum class provider_kind : std::uint8_t { openai_chat, openai_responses, anthropic, exec, manual, replay };
const char* to_string(provider_kind kind) noexcept; // as in settings: "openai-chat"
std::optional<provider_kind> provider_kind_from_string(std::string_view text);

/// Of `exec`: a command that answers. Placeholders in arguments: {prompt_file} {output_file} {model} {effort} {max_output_tokens}.
struct command_settings {
  std::vector<std::string> arguments;   // [0]: a path, or a name in PATH; no shell
  std::string answer_from = "stdout";   // or "file": {output_file}
  std::string answer_pointer;           // JSON pointer into that, such as /result; "": all of it
  std::string input_tokens_pointer, cached_input_tokens_pointer, output_tokens_pointer, cost_pointer; // JSON pointers; "": unknown
  std::vector<std::string> environment; // names that it is given besides PATH, HOME, LANG and TMPDIR
  bool operator==(const command_settings&) const = default;
};

/// One `[llm.providers.X]`.
struct provider_settings {
  std::string name;
  provider_kind kind = provider_kind::openai_chat;
  std::string base_url;
  std::string api_key_env;              // name of the variable that holds the key
  std::filesystem::path api_key_file;   // or a file that only its owner can read
  bool bearer = false;                  // Anthropic: `Authorization: Bearer` instead of `x-api-key` (gateways)
  std::map<std::string, std::string> headers; // sent besides ours
  double timeout_s = 600;               // one attempt
  double connect_timeout_s = 5;
  double idle_timeout_s = 300;          // between two pieces of an answer that has begun
  std::uint32_t max_retries = 8;
  std::uint32_t requests_per_minute = 0; // 0: learnt from the provider's headers and refusals
  std::uint32_t max_in_flight = 64;
  std::uint32_t max_queued = 4096;
  std::uint64_t max_answer_bytes = 8u << 20; // of its text; a longer one is no answer
  std::filesystem::path ca_file;        // certificates to trust instead of the system's
  command_settings command;             // exec
  std::filesystem::path folder;         // manual
  std::filesystem::path file;           // replay
  std::filesystem::path record;         // every answer is appended here; "": nowhere
  bool operator==(const provider_settings&) const = default;
};

using handle = std::uint64_t;
using reply_handler = std::function<void(reply)>;

class provider {
public:
  virtual ~provider() = default;
  /// `then` is called exactly once, on a thread of the provider's, never from within this call; also after `cancel` and on destruction
  /// (then with `cancelled`). It must not block and must not destroy the provider.
  virtual handle ask(request asked, reply_handler then) = 0;
  /// Ends a request; its reply is `cancelled` unless it was on its way already. Unknown handles: nothing.
  virtual void cancel(handle which) = 0;
};

class transport;

/// What providers of one process share and where they look things up.
struct surroundings {
  std::function<std::optional<std::string>(const std::string&)> env; // variables of the environment
  std::shared_ptr<transport> http;      // one event loop thread for all requests; made by the first that needs it
};

/// Errors name the provider and the setting (errc::configuration).
result<std::shared_ptr<provider>> make_provider(const provider_settings& from, surroundings& around);

} // namespace kevolve::llm
