// The runtime with its real parts: the generator and the ZeroMQ link.
#include "actors/engine.hpp"

namespace kevolve {

result<std::unique_ptr<runtime>> runtime::start(kb::store& memory, runtime_settings settings) {
  engine_parts parts;
  parts.make_generator = &synthesis::generator::make;
  parts.open_link = [settings](link_callbacks callbacks) {
    return link::open(settings.endpoint, settings.zmq_context, "kevolve", std::move(callbacks), settings.security);
  };
  parts.models = settings.models;
  parts.policy_model = settings.policy_model;
  parts.agent_wait_s = settings.agent_wait_s;
  parts.unserved_limit_s = settings.unserved_limit_s;
  return start_engine(memory, settings.threads, std::move(parts));
}

} // namespace kevolve
