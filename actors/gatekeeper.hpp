// Who may connect: ZeroMQ's authentication (ZAP, RFC 27) for the CURVE sockets of one context. A connection is let in when its public key is on
// the allow list with the role of the socket's domain ("agent" or "client"); its User-Id is then the key's name. Without a gatekeeper CURVE lets
// anybody in (measured), so sockets enforce their domain and it is opened before they are bound. Owns one thread.
#pragma once

#include "actors/keys.hpp"

#include <memory>

namespace kevolve {

class gatekeeper {
public:
  static result<std::unique_ptr<gatekeeper>> open(void* zmq_context, std::shared_ptr<allow_list> allowed);
  virtual ~gatekeeper() = default;
  [[nodiscard]] virtual std::uint64_t admitted() const = 0;
  [[nodiscard]] virtual std::uint64_t refused() const = 0;
};

/// What a socket that listens for one role needs.
struct link_security {
  key_file own;                          // the scheduler's
  std::shared_ptr<allow_list> allowed;
};

} // namespace kevolve
