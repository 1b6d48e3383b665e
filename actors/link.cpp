#include "actors/link.hpp"

#include "actors/outbox.hpp"
#include "actors/zeromq_socket.hpp"
#include "protocol/codec.hpp"

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <unordered_map>
#include <zmq.hpp>

namespace kevolve {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t queue_bound = 1 << 16; // far above the leases that any fleet holds; reached only when the thread is stuck
constexpr int socket_bound = 1 << 14;        // messages per agent; an agent has tens of leases at most
constexpr int connecting_at_once = 4096;     // a whole fleet comes back when the scheduler does; ZeroMQ's own 100 cost the others seconds of retries
constexpr auto drain_time = 500ms;

struct outgoing {
  std::string agent;
  std::variant<message, frozen_lease> what;
};

class router_link final : public link {
public:
  router_link(std::string name, link_callbacks callbacks, std::optional<link_security> security)
      : name_(std::move(name)), callbacks_(std::move(callbacks)), security_(std::move(security)), outbox_(queue_bound) {}

  ~router_link() override {
    stopping_ = true;
    outbox_.wake();
    if (thread_.joinable())
      thread_.join();
  }

  result<void> bind(const std::string& endpoint, void* context) {
    try {
      if (!context)
        context = own_context_.emplace(1).handle();
      owned_socket_.reset(zmq_socket(context, ZMQ_ROUTER));
      if (!owned_socket_)
        throw zmq::error_t();
      socket_ = zmq::socket_ref(zmq::from_handle, owned_socket_.get());
      socket_.set(zmq::sockopt::linger, 0);
      socket_.set(zmq::sockopt::router_mandatory, true); // an agent that is gone is an error here, not silence
      socket_.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(limits::frame_bytes));
      socket_.set(zmq::sockopt::sndhwm, socket_bound);
      socket_.set(zmq::sockopt::rcvhwm, socket_bound);
      socket_.set(zmq::sockopt::backlog, connecting_at_once);
      set_liveness(socket_);
      if (security_)
        listen_securely(socket_, security_->own.secret_key, "agent");
      socket_.bind(endpoint);
    } catch (const zmq::error_t& e) {
      return error{e.num() == EADDRINUSE ? errc::busy : errc::configuration, "listening on " + endpoint + ": " + e.what()};
    }
    thread_ = std::thread([this] { run(); });
    return {};
  }

  result<void> send(std::string agent, message what) override {
    if (!outbox_.put({std::move(agent), std::move(what)}))
      return error{errc::full, "the link's queue holds " + std::to_string(queue_bound) + " messages"};
    return {};
  }

  result<void> grant(std::string agent, const frozen_lease& what) override {
    if (!outbox_.put({std::move(agent), what}))
      return error{errc::full, "the link's queue holds " + std::to_string(queue_bound) + " messages"};
    return {};
  }

  link_counts counts() const override { return {sent_, received_, refused_, undeliverable_}; }

private:
  void run() {
    zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, outbox_.wake_descriptor(), ZMQ_POLLIN, 0}};
    while (!stopping_) {
      poll(items);
      receive_all();
      send_all();
    }
    auto until = std::chrono::steady_clock::now() + drain_time;
    while (send_all() && std::chrono::steady_clock::now() < until)
      std::this_thread::yield();
    owned_socket_.reset();
  }

  void poll(zmq::pollitem_t (&items)[2]) {
    try {
      zmq::poll(items, 2, 1000ms);
    } catch (const zmq::error_t& e) {
      if (e.num() == ETERM)
        stopping_ = true;
    }
  }

  void receive_all() {
    for (;;) {
      zmq::message_t identity, frame;
      try {
        if (!socket_.recv(identity, zmq::recv_flags::dontwait))
          return;
        (void)socket_.recv(frame, zmq::recv_flags::none);
      } catch (const zmq::error_t& e) {
        if (e.num() == ETERM)
          stopping_ = true;
        return;
      }
      bool more = frame.more();
      while (frame.more()) // never sent by us; drain it so that the next message starts at its identity
        (void)socket_.recv(frame, zmq::recv_flags::none);
      std::string agent = identity.to_string();
      if (more)
        refuse(std::move(agent), "a message of more than one frame");
      else
        take(std::move(agent), frame.to_string_view(), admitted_as(frame));
    }
  }

  void take(std::string agent, std::string_view bytes, const std::string& key) {
    if (security_ && !security_->allowed->holds(key, key_role::agent))
      return refuse(std::move(agent), "key '" + key + "' has been revoked");
    const std::string name = agent.substr(0, agent.find('/'));
    if (security_ && name != key && !name.starts_with(key + "."))
      return refuse(std::move(agent), "it came in with key '" + key + "' and calls itself otherwise");
    auto got = decode<envelope>(bytes);
    if (!got)
      return refuse(std::move(agent), got.error().message);
    if (got->version != protocol_version)
      return refuse(std::move(agent), "protocol version " + std::to_string(got->version) + ", this scheduler speaks " +
                                        std::to_string(protocol_version));
    if (got->sender != agent)
      return refuse(std::move(agent), "the envelope names sender '" + got->sender + "'");
    auto& last = last_sequence_[agent];
    if (got->sequence <= last)
      return refuse(std::move(agent), "sequence " + std::to_string(got->sequence) + " after " + std::to_string(last));
    last = got->sequence;
    ++received_;
    bool leaves = std::holds_alternative<agent_goodbye>(got->body);
    if (leaves)
      last_sequence_.erase(agent);
    callbacks_.received(std::move(agent), std::move(got->body));
  }

  void refuse(std::string agent, std::string reason) {
    ++refused_;
    if (callbacks_.refused)
      callbacks_.refused(std::move(agent), std::move(reason));
  }

  /// True when there was something to send.
  bool send_all() {
    auto batch = outbox_.take();
    for (auto& item : batch) {
      std::string reason = send_one(item);
      if (reason.empty()) {
        ++sent_;
        continue;
      }
      ++undeliverable_;
      if (callbacks_.undeliverable)
        callbacks_.undeliverable(std::move(item.agent), std::move(reason));
    }
    return !batch.empty();
  }

  std::string send_one(outgoing& item) {
    const std::string bytes = encoded(item);
    if (bytes.size() > limits::frame_bytes)
      return "the message has " + std::to_string(bytes.size()) + " bytes, a frame holds " + std::to_string(limits::frame_bytes);
    try {
      if (!socket_.send(zmq::buffer(item.agent), zmq::send_flags::sndmore | zmq::send_flags::dontwait))
        return "its queue is full";
      (void)socket_.send(zmq::message_t(bytes.data(), bytes.size()), zmq::send_flags::dontwait);
    } catch (const zmq::error_t& e) {
      return e.num() == EHOSTUNREACH ? "the agent is not connected" : e.what();
    }
    return {};
  }

  std::string encoded(outgoing& item) {
    ++next_sequence_;
    if (const auto* frozen = std::get_if<frozen_lease>(&item.what))
      return encode_frozen(name_, item.agent, next_sequence_, *frozen);
    return encode(envelope{protocol_version, name_, item.agent, next_sequence_, std::move(std::get<message>(item.what))});
  }

  const std::string name_;
  const link_callbacks callbacks_;
  const std::optional<link_security> security_;
  outbox<outgoing> outbox_;
  std::optional<zmq::context_t> own_context_;
  owned_socket owned_socket_{nullptr};
  zmq::socket_ref socket_; // made by the opener, then the thread's alone
  std::thread thread_;
  std::atomic<bool> stopping_ = false;
  std::uint64_t next_sequence_ = 0;
  std::unordered_map<std::string, std::uint64_t> last_sequence_;
  std::atomic<std::uint64_t> sent_ = 0, received_ = 0, refused_ = 0, undeliverable_ = 0;
};

} // namespace

result<void> link::grant(std::string agent, const frozen_lease& what) {
  KEVOLVE_TRY(thawed, decode<work>(*what.work));
  return send(std::move(agent), lease_granted{what.lease, what.epoch, what.deadline_s, std::move(thawed)});
}

result<std::unique_ptr<link>> link::open(const std::string& endpoint, void* zmq_context, std::string name, link_callbacks callbacks,
                                         std::optional<link_security> security) {
  if (!zmq_context && endpoint.starts_with("inproc://"))
    return error{errc::usage, "an inproc endpoint needs the ZeroMQ context that its agents use"};
  auto made = std::make_unique<router_link>(std::move(name), std::move(callbacks), std::move(security));
  KEVOLVE_TRY_VOID(made->bind(endpoint, zmq_context));
  return std::unique_ptr<link>(std::move(made));
}

} // namespace kevolve
