// The scheduler's end of the wire: one thread owns the ROUTER socket, encodes and decodes envelopes, and refuses what breaks the protocol
// (undecodable, wrong version, a sender that is not the connection's, a repeated sequence number). Decides nothing: messages go to
// `received` on the link's thread. `send` may be called by any thread. Names no CAF type.
#pragma once

#include "actors/frozen_lease.hpp"
#include "actors/gatekeeper.hpp"
#include "protocol/message.hpp"
#include "protocol/result.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace kevolve {

struct link_callbacks {
  std::function<void(std::string agent, message what)> received;
  /// A message that could not be handed to the agent's connection (gone, its queue is full, too large), with why.
  std::function<void(std::string agent, std::string reason)> undeliverable;
  /// A frame that was refused, with why: for the log.
  std::function<void(std::string agent, std::string reason)> refused;
};

struct link_counts {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t refused = 0;
  std::uint64_t undeliverable = 0;
};

class link {
public:
  /// Binds `endpoint`. `zmq_context` null: the link owns one (then nobody can reach an inproc endpoint, so that is an error).
  /// With `security` only agents of the allow list come in, by CURVE; a message from one whose key was revoked since is refused, and so is an
  /// agent that is not named after its key ("KEY" or "KEY.host").
  static result<std::unique_ptr<link>> open(const std::string& endpoint, void* zmq_context, std::string name, link_callbacks callbacks,
                                            std::optional<link_security> security = std::nullopt);
  /// Sends what is queued (half a second at most), then closes.
  virtual ~link() = default;

  /// Queues a message to an agent; errc::full when the queue's bound is reached.
  virtual result<void> send(std::string agent, message what) = 0;
  /// The same for a lease whose work is frozen. Here: thaws it and sends a lease_granted.
  virtual result<void> grant(std::string agent, const frozen_lease& what);
  [[nodiscard]] virtual link_counts counts() const = 0;
};

} // namespace kevolve
