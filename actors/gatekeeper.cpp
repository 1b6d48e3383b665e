#include "actors/gatekeeper.hpp"

#include "actors/zeromq_socket.hpp"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace kevolve {
namespace {

using namespace std::chrono_literals;

constexpr const char* endpoint = "inproc://zeromq.zap.01"; // by RFC 27
constexpr std::size_t key_bytes = 32;

class zap_thread final : public gatekeeper {
public:
  explicit zap_thread(std::shared_ptr<allow_list> allowed) : allowed_(std::move(allowed)) {}
  ~zap_thread() override {
    stopping_ = true;
    if (thread_.joinable())
      thread_.join();
  }

  result<void> bind(void* context) {
    try {
      owned_.reset(zmq_socket(context, ZMQ_REP));
      if (!owned_)
        throw zmq::error_t();
      socket_ = zmq::socket_ref(zmq::from_handle, owned_.get());
      socket_.set(zmq::sockopt::linger, 0);
      socket_.bind(endpoint);
    } catch (const zmq::error_t& e) {
      return error{errc::configuration, std::string("authentication cannot be set up: ") + e.what()};
    }
    thread_ = std::thread([this] { run(); });
    return {};
  }
  std::uint64_t admitted() const override { return admitted_; }
  std::uint64_t refused() const override { return refused_; }

private:
  void run() {
    zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0}};
    while (!stopping_) {
      try {
        zmq::poll(items, 1, 100ms);
        if (items[0].revents & ZMQ_POLLIN)
          answer();
      } catch (const zmq::error_t& e) {
        if (e.num() == ETERM)
          break;
      }
    }
    owned_.reset();
  }

  /// version, request id, domain, address, identity, mechanism, then the mechanism's credentials: CURVE's is the client's public key.
  void answer() {
    std::vector<std::string> parts;
    zmq::message_t part;
    do {
      (void)socket_.recv(part, zmq::recv_flags::none);
      parts.push_back(part.to_string());
    } while (part.more());
    std::optional<allowed_key> who;
    if (parts.size() == 7 && parts[0] == "1.0" && parts[5] == "CURVE" && parts[6].size() == key_bytes) {
      char text[41];
      if (zmq_z85_encode(text, reinterpret_cast<const unsigned char*>(parts[6].data()), key_bytes))
        who = allowed_->find(text);
      if (who && to_string(who->role) != parts[2])
        who.reset(); // an agent's key on the clients' port, and the reverse
    }
    ++(who ? admitted_ : refused_);
    const std::string id = parts.size() > 1 ? parts[1] : "";
    const std::string reply[] = {"1.0", id, who ? "200" : "400", who ? "welcome" : "not on the allow list", who ? who->name : "", ""};
    for (std::size_t i = 0; i < std::size(reply); ++i)
      (void)socket_.send(zmq::buffer(reply[i]), i + 1 < std::size(reply) ? zmq::send_flags::sndmore : zmq::send_flags::none);
  }

  std::shared_ptr<allow_list> allowed_;
  owned_socket owned_{nullptr};
  zmq::socket_ref socket_;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> admitted_ = 0, refused_ = 0;
};

} // namespace

result<std::unique_ptr<gatekeeper>> gatekeeper::open(void* zmq_context, std::shared_ptr<allow_list> allowed) {
  auto made = std::make_unique<zap_thread>(std::move(allowed));
  KEVOLVE_TRY_VOID(made->bind(zmq_context));
  return std::unique_ptr<gatekeeper>(std::move(made));
}

} // namespace kevolve
