// Ownership of a ZeroMQ socket in a context that somebody else owns (cppzmq's socket_t wants the context object). One thread at a time.
#pragma once

#include <memory>
#include <zmq.hpp>

namespace kevolve {

struct close_socket {
  void operator()(void* socket) const noexcept { zmq_close(socket); }
};
using owned_socket = std::unique_ptr<void, close_socket>;

} // namespace kevolve
