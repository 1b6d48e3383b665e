#include "actors/client_port.hpp"

#include "actors/zeromq_socket.hpp"
#include "protocol/codec.hpp"

#include <atomic>
#include <charconv>
#include <chrono>
#include <thread>

namespace kevolve {
namespace {

using namespace std::chrono_literals;

class router_port final : public client_port {
public:
  router_port(const link_security& security, handler answer) : security_(security), answer_(std::move(answer)) {}
  ~router_port() override {
    stopping_ = true;
    if (thread_.joinable())
      thread_.join();
  }

  result<void> bind(const std::string& endpoint, void* context) {
    try {
      owned_.reset(zmq_socket(context, ZMQ_ROUTER));
      if (!owned_)
        throw zmq::error_t();
      socket_ = zmq::socket_ref(zmq::from_handle, owned_.get());
      socket_.set(zmq::sockopt::linger, 200);
      socket_.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(limits::frame_bytes));
      set_liveness(socket_);
      listen_securely(socket_, security_.own.secret_key, "client");
      socket_.bind(endpoint);
    } catch (const zmq::error_t& e) {
      return error{e.num() == EADDRINUSE ? errc::busy : errc::configuration, "listening on " + endpoint + ": " + e.what()};
    }
    thread_ = std::thread([this] { run(); });
    return {};
  }

private:
  void run() {
    zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0}};
    while (!stopping_) {
      try {
        zmq::poll(items, 1, 100ms);
        if (items[0].revents & ZMQ_POLLIN)
          serve_one();
      } catch (const zmq::error_t& e) {
        if (e.num() == ETERM)
          break;
      }
    }
    owned_.reset();
  }

  void serve_one() {
    zmq::message_t identity, frame;
    if (!socket_.recv(identity, zmq::recv_flags::dontwait))
      return;
    (void)socket_.recv(frame, zmq::recv_flags::none);
    const bool more = frame.more();
    for (zmq::message_t rest; more && socket_.recv(rest, zmq::recv_flags::none) && rest.more();) {
    }
    const std::string who = admitted_as(frame);
    client_reply reply;
    auto asked = decode<client_request>(frame.to_string_view());
    if (!security_.allowed->holds(who, key_role::client))
      reply = {.failure = "key '" + who + "' has been revoked", .exit = 4};
    else if (more || !asked)
      reply = {.failure = "the request cannot be read" + (asked ? std::string() : ": " + asked.error().message), .exit = 2};
    else if (asked->version != client_protocol_version)
      reply = {.failure = "protocol version " + std::to_string(asked->version) + ", this scheduler speaks " + std::to_string(client_protocol_version), .exit = 4};
    else
      reply = answer_(*asked, who);
    const std::string bytes = encode(reply);
    try {
      (void)socket_.send(identity, zmq::send_flags::sndmore | zmq::send_flags::dontwait);
      (void)socket_.send(zmq::buffer(bytes), zmq::send_flags::dontwait);
    } catch (const zmq::error_t&) { // whoever asked is gone
    }
  }

  const link_security security_;
  const handler answer_;
  owned_socket owned_{nullptr};
  zmq::socket_ref socket_;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;
};

} // namespace

result<std::unique_ptr<client_port>> client_port::open(const std::string& endpoint, void* zmq_context, const link_security& security, handler answer) {
  auto made = std::make_unique<router_port>(security, std::move(answer));
  KEVOLVE_TRY_VOID(made->bind(endpoint, zmq_context));
  return std::unique_ptr<client_port>(std::move(made));
}

result<std::string> ask_scheduler(const std::string& endpoint, const key_file& key, const client_request& what, double patience_s) {
  try {
    zmq::context_t context(1);
    zmq::socket_t socket(context, zmq::socket_type::dealer);
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(limits::frame_bytes));
    socket.set(zmq::sockopt::rcvtimeo, static_cast<int>(patience_s * 1000));
    socket.set(zmq::sockopt::sndtimeo, static_cast<int>(patience_s * 1000));
    connect_securely(socket, key.public_key, key.secret_key, key.scheduler);
    socket.connect(endpoint);
    const std::string bytes = encode(what);
    if (bytes.size() > limits::frame_bytes)
      return error{errc::specification, "the request has " + std::to_string(bytes.size()) + " bytes, a frame holds " + std::to_string(limits::frame_bytes)};
    zmq::message_t frame;
    if (!socket.send(zmq::buffer(bytes), zmq::send_flags::none) || !socket.recv(frame, zmq::recv_flags::none))
      return error{errc::timeout, "no answer from the scheduler at " + endpoint + ": it does not run there, or key '" + key.name + "' is not on its list of clients"};
    KEVOLVE_TRY(reply, decode<client_reply>(frame.to_string_view()));
    if (reply.failure.empty())
      return std::move(reply.text);
    const errc code = reply.exit == 2 ? errc::usage : reply.exit == 6 ? errc::no_agent : reply.exit == 4 ? errc::configuration : errc::refused;
    return error{code, std::move(reply.failure)};
  } catch (const zmq::error_t& e) {
    return error{errc::configuration, "reaching the scheduler at " + endpoint + ": " + e.what()};
  }
}

result<std::string> client_endpoint(const std::string& endpoint) {
  const auto colon = endpoint.rfind(':');
  unsigned port = 0;
  const char* from = endpoint.data() + colon + 1;
  const bool number = endpoint.starts_with("tcp://") && colon > 5 && colon != std::string::npos &&
                      std::from_chars(from, endpoint.data() + endpoint.size(), port).ptr == endpoint.data() + endpoint.size() && port > 0 && port < 65535;
  if (!number)
    return error{errc::usage, "scheduler: found '" + endpoint + "', expected tcp://HOST:PORT"};
  return endpoint.substr(0, colon + 1) + std::to_string(port + 1);
}

} // namespace kevolve
