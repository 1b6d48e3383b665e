// What a person's command and a running scheduler say to each other: one request, one reply, MessagePack over ZeroMQ. Answers are the JSON text
// that the command prints with --json. Pure data.
#pragma once

#include "protocol/event.hpp"
#include "protocol/operator.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace kevolve {

inline constexpr std::uint32_t client_protocol_version = 1;

/// A session to begin.
struct submission {
  problem subject;
  target on;
  session_settings settings;
  double weight = 0;                 // of "stand": how much a gain is worth
};

struct client_request {
  std::uint32_t version = client_protocol_version;
  std::string what;                  // "submit", "sessions", "show", "progress", "pause", "resume", "cancel", "agents", "drain", "stand", "standing", "unstand"
  std::string about;                 // a session, an agent
  std::optional<submission> session; // of "submit"
};

struct client_reply {
  std::uint32_t version = client_protocol_version;
  std::string failure;               // "": good
  std::uint32_t exit = 0;            // the contract's exit code of a failure
  std::string text;                  // JSON, or a session's id
};

template <class Inspector>
bool inspect(Inspector& f, submission& x) {
  return f.object(x).fields(f.field("subject", x.subject), f.field("on", x.on), f.field("settings", x.settings), f.field("weight", x.weight));
}
template <class Inspector>
bool inspect(Inspector& f, client_request& x) {
  return f.object(x).fields(f.field("version", x.version), f.field("what", x.what), f.field("about", x.about), f.field("session", x.session));
}
template <class Inspector>
bool inspect(Inspector& f, client_reply& x) {
  return f.object(x).fields(f.field("version", x.version), f.field("failure", x.failure), f.field("exit", x.exit), f.field("text", x.text));
}

} // namespace kevolve
