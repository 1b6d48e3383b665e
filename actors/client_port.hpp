// The scheduler's port for people: requests from commands in other processes, answered one after another on a thread of its own, by CURVE with the
// gatekeeper's "client" domain; and the commands' end of it. Decides nothing. Names no CAF type.
#pragma once

#include "actors/gatekeeper.hpp"
#include "protocol/client.hpp"

#include <functional>
#include <memory>

namespace kevolve {

class client_port {
public:
  /// `answer` runs on the port's thread; `who` is the name of the key that asked.
  using handler = std::function<client_reply(client_request& asked, const std::string& who)>;
  static result<std::unique_ptr<client_port>> open(const std::string& endpoint, void* zmq_context, const link_security& security, handler answer);
  virtual ~client_port() = default;
};

/// Asks a scheduler and waits for its answer. Errors: nobody there in time, or the key is not admitted (CURVE cannot tell which), an answer that
/// cannot be read, and whatever the scheduler refused.
result<std::string> ask_scheduler(const std::string& endpoint, const key_file& key, const client_request& what, double patience_s = 10);

/// Where a scheduler that listens for agents at `endpoint` listens for people: the next port. Errors: no tcp://HOST:PORT.
result<std::string> client_endpoint(const std::string& endpoint);

} // namespace kevolve
