#include "actors/synthesis/llm/provider.hpp"

#include "actors/synthesis/llm/exec.hpp"
#include "actors/synthesis/llm/http_provider.hpp"
#include "actors/synthesis/llm/manual.hpp"
#include "actors/synthesis/llm/record.hpp"

#include <array>
#include <utility>

namespace kevolve::llm {
namespace {

constexpr std::array<std::pair<provider_kind, const char*>, 6> kind_names{{{provider_kind::openai_chat, "openai-chat"},
                                                                           {provider_kind::openai_responses, "openai-responses"},
                                                                           {provider_kind::anthropic, "anthropic"},
                                                                           {provider_kind::exec, "exec"},
                                                                           {provider_kind::manual, "manual"},
                                                                           {provider_kind::replay, "replay"}}};

result<std::shared_ptr<provider>> make_plain(const provider_settings& from, surroundings& around) {
  switch (from.kind) {
    case provider_kind::exec: return make_exec(from, around);
    case provider_kind::replay: return make_replay(from);
    case provider_kind::manual: return make_manual(from);
    default: return make_http(from, around);
  }
}

} // namespace

const char* to_string(provider_kind kind) noexcept {
  for (const auto& [known, name] : kind_names)
    if (known == kind)
      return name;
  return "unknown";
}

std::optional<provider_kind> provider_kind_from_string(std::string_view text) {
  for (const auto& [kind, name] : kind_names)
    if (text == name)
      return kind;
  return std::nullopt;
}

result<std::shared_ptr<provider>> make_provider(const provider_settings& from, surroundings& around) {
  auto made = make_plain(from, around);
  if (!made || from.record.empty())
    return made;
  return make_recording(*std::move(made), from.record);
}

} // namespace kevolve::llm
