// Ownership of a ZeroMQ socket in a context that somebody else owns (cppzmq's socket_t wants the context object). One thread at a time.
#pragma once

#include <memory>
#include <string>
#include <zmq.hpp>

namespace kevolve {

struct close_socket {
  void operator()(void* socket) const noexcept { zmq_close(socket); }
};
using owned_socket = std::unique_ptr<void, close_socket>;

/// Dead connections are noticed, and strangers who never finish a hand-shake are dropped.
inline void set_liveness(zmq::socket_ref socket) {
  socket.set(zmq::sockopt::handshake_ivl, 3000);
  socket.set(zmq::sockopt::heartbeat_ivl, 2000);
  socket.set(zmq::sockopt::heartbeat_timeout, 10'000);
  socket.set(zmq::sockopt::heartbeat_ttl, 10'000);
  socket.set(zmq::sockopt::tcp_keepalive, 1);
}

/// The listening side of CURVE, for connections of one role: whom the gatekeeper admits for this domain.
inline void listen_securely(zmq::socket_ref socket, const std::string& secret_key, const std::string& domain) {
  socket.set(zmq::sockopt::curve_server, true);
  socket.set(zmq::sockopt::curve_secretkey, secret_key);
  socket.set(zmq::sockopt::zap_domain, domain);
  // Nobody is let in while no gatekeeper answers. The option is in the library (4.3) and not in its stable header; a library without it will not do.
  constexpr int zap_enforce_domain = 93;
  const int enforce = 1;
  if (zmq_setsockopt(socket.handle(), zap_enforce_domain, &enforce, sizeof enforce) != 0)
    throw zmq::error_t();
}

/// The connecting side: our pair, and the key of whom we expect to meet.
inline void connect_securely(zmq::socket_ref socket, const std::string& public_key, const std::string& secret_key, const std::string& server_key) {
  socket.set(zmq::sockopt::curve_publickey, public_key);
  socket.set(zmq::sockopt::curve_secretkey, secret_key);
  socket.set(zmq::sockopt::curve_serverkey, server_key);
}

/// The name of the key that a message's connection was admitted with; empty without CURVE.
inline std::string admitted_as(const zmq::message_t& frame) {
  const char* name = zmq_msg_gets(frame.handle(), "User-Id");
  return name ? name : "";
}

} // namespace kevolve
