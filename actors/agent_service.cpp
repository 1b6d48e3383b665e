// The agent inside a process: one thread owns the DEALER socket and the job table, workers call the host evaluator. Capacity is one worker
// per compile slot and device slot, so that compiles run beside each other while one candidate is measured.
#include "actors/agent_service.hpp"

#include "actors/agent_introduction.hpp"
#include "actors/agent_leases.hpp"
#include "actors/answer_spool.hpp"
#include "actors/outbox.hpp"
#include "actors/zeromq_socket.hpp"
#include "node-agent/evaluate.hpp"
#include "protocol/codec.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <thread>

namespace kevolve {
namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr auto tick_every = 250ms;
constexpr auto heartbeat_every = 1s;
constexpr auto silence = 30s;         // of a scheduler that welcomes us every ten: it is gone
constexpr double drain_limit_s = 600;
constexpr std::size_t kept_said = 256; // of the spool's prints in a hello, the newest
constexpr std::size_t lease_bound = 256;
constexpr std::size_t answer_bound = 1024; // > lease_bound: workers never wait for the socket's thread

struct worker_answer {
  std::string lease;
  std::uint64_t epoch = 0;
  lease_answer answer;
};

class dealer_agent final : public agent_service {
public:
  dealer_agent(agent::host_evaluator& host, std::string name, std::shared_ptr<answer_spool> spool, std::vector<found_device> found)
      : host_(host), agent_(std::move(name)), spool_(std::move(spool)), found_(std::move(found)), identity_(agent_ + "/" + incarnation()), leases_(lease_bound), answers_(answer_bound) {}

  ~dealer_agent() override {
    stopping_ = true;
    answers_.wake();
    if (socket_thread_.joinable())
      socket_thread_.join();
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
      waiting_.clear();
    }
    work_arrived_.notify_all();
    for (auto& worker : workers_)
      worker.join();
  }

  void drain() override {
    draining_ = true;
    answers_.wake();
  }
  std::uint32_t held() const override { return held_; }
  bool connected() const override { return connected_; }
  std::uint64_t rounds() const override { return rounds_; }
  std::uint32_t answered_from_spool() const override { return from_spool_; }
  std::string spool_trouble() const override {
    std::lock_guard lock(mutex_);
    return spool_trouble_;
  }

  result<void> connect(const std::string& endpoint, void* context, const std::optional<key_file>& key) {
    try {
      if (!context)
        context = own_context_.emplace(1).handle();
      owned_socket_.reset(zmq_socket(context, ZMQ_DEALER));
      if (!owned_socket_)
        throw zmq::error_t();
      socket_ = zmq::socket_ref(zmq::from_handle, owned_socket_.get());
      socket_.set(zmq::sockopt::linger, 0);
      socket_.set(zmq::sockopt::routing_id, identity_);
      socket_.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(limits::frame_bytes));
      set_liveness(socket_);
      if (key)
        connect_securely(socket_, key->public_key, key->secret_key, key->scheduler);
      socket_.connect(endpoint);
    } catch (const zmq::error_t& e) {
      return error{errc::configuration, "connecting to " + endpoint + ": " + e.what()};
    }
    devices_ = host_.devices();
    unsigned device_slots = 0;
    for (const auto& device : devices_)
      device_slots += device.slots;
    unsigned cores = std::max(1u, std::thread::hardware_concurrency());
    compile_slots_ = cores;
    for (unsigned i = 0; i < compile_slots_ + device_slots; ++i)
      workers_.emplace_back([this] { work_until_closed(); });
    socket_thread_ = std::thread([this] { run(); });
    return {};
  }

private:
  struct job {
    start_work what;
    std::string print = {}; // of the work; "": its answer is not kept
    std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
  };

  static std::string incarnation() {
    std::random_device entropy;
    return std::to_string((std::uint64_t{entropy()} << 32 | entropy()) & 0xffffffffffff);
  }

  // --- the socket's thread

  void run() {
    zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, answers_.wake_descriptor(), ZMQ_POLLIN, 0}};
    auto next_heartbeat = steady::now() + heartbeat_every;
    say_hello();
    while (!stopping_) {
      try {
        zmq::poll(items, 2, tick_every);
      } catch (const zmq::error_t& e) {
        if (e.num() == ETERM)
          break;
      }
      ++rounds_;
      receive_all();
      for (auto& got : answers_.take())
        apply(leases_.finished(got.lease, got.epoch, std::move(got.answer), steady::now()));
      apply(leases_.tick(steady::now()));
      held_ = leases_.held();
      connected_ = steady::now() - heard_ < silence && heard_ != steady::time_point{};
      if (draining_ && !said_draining_) {
        said_draining_ = true;
        say(agent_drain{drain_limit_s});
      }
      if (introduction_.is_due(steady::now()))
        say_hello();
      if (steady::now() >= next_heartbeat) {
        next_heartbeat = steady::now() + heartbeat_every;
        say(agent_heartbeat{leases_.held(), load()});
      }
    }
    for (const auto& each : leases_.running())
      stop(each.lease, each.epoch);
    say(agent_goodbye{"the agent stops"});
    owned_socket_.reset();
  }

  void receive_all() {
    for (;;) {
      zmq::message_t frame;
      try {
        if (!socket_.recv(frame, zmq::recv_flags::dontwait))
          return;
      } catch (const zmq::error_t&) {
        return;
      }
      auto got = decode<envelope>(frame.to_string_view());
      if (got && got->version == protocol_version && got->receiver == identity_) {
        heard_ = steady::now();
        std::visit([this](auto& body) { take(body); }, got->body);
      }
    }
  }

  void take(agent_welcome& what) {
    if (introduction_.welcomed(what.scheduler, steady::now()))
      say_hello();
  }
  void take(lease_granted& what) { apply(leases_.granted(std::move(what), steady::now())); }
  void take(lease_cancelled& what) {
    prints_.erase(what.lease);
    apply(leases_.cancelled(what));
  }
  void take(result_acknowledged& what) {
    leases_.acknowledged(what);
    auto done = prints_.find(what.lease);
    if (done == prints_.end())
      return;
    if (spool_ && what.counted)
      spool_->forget(done->second);
    prints_.erase(done);
  }
  void take(agent_drain&) { told_to_drain_ = true; } // it grants nothing more; the next scheduler is told
  template <class Other>
  void take(Other&) {}

  void apply(std::vector<agent_effect> effects) {
    for (auto& effect : effects) {
      if (auto* begin = std::get_if<start_work>(&effect))
        start(std::move(*begin));
      else if (auto* end = std::get_if<stop_work>(&effect))
        stop(end->lease, end->epoch);
      else
        say(std::move(std::get<message>(effect)));
    }
  }

  void say_hello() {
    introduction_.said(steady::now());
    if (draining_)
      return;
    say(agent_hello{agent_, identity_, protocol_version, devices_, compile_slots_, kept(), found_, host_.compiles()});
    if (told_to_drain_)
      say(agent_drain{drain_limit_s});
  }

  std::vector<std::string> kept() const {
    std::vector<std::string> newest = spool_ ? spool_->prints() : std::vector<std::string>();
    if (newest.size() > kept_said)
      newest.resize(kept_said);
    return newest;
  }

  void say(message body) {
    std::string bytes = encode(envelope{protocol_version, identity_, "", ++sequence_, std::move(body)});
    try {
      // Full or not connected: what matters is repeated (hello, heartbeat, unacknowledged answers).
      (void)socket_.send(zmq::message_t(bytes.data(), bytes.size()), zmq::send_flags::dontwait);
    } catch (const zmq::error_t&) {
    }
  }

  static double load() {
    double averages[1] = {0};
    return getloadavg(averages, 1) == 1 ? averages[0] : 0;
  }

  // --- workers

  void start(start_work what) {
    std::string print = spool_ ? work_print(what.what) : std::string();
    if (!print.empty()) {
      prints_[what.lease] = print;
      if (auto kept = spool_->find(print)) {
        ++from_spool_;
        return apply(leases_.finished(what.lease, what.epoch, std::move(*kept), steady::now()));
      }
    }
    {
      std::lock_guard lock(mutex_);
      waiting_.push_back(job{std::move(what), std::move(print)});
      live_.push_back({waiting_.back().what.lease, waiting_.back().what.epoch, waiting_.back().cancelled});
    }
    work_arrived_.notify_one();
  }

  void stop(const std::string& lease, std::uint64_t epoch) {
    std::lock_guard lock(mutex_);
    for (auto& each : live_)
      if (each.lease == lease && each.epoch == epoch)
        *each.cancelled = true;
  }

  void work_until_closed() {
    for (;;) {
      std::unique_lock lock(mutex_);
      work_arrived_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
      if (closed_)
        return;
      job mine = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      worker_answer answer{mine.what.lease, mine.what.epoch, attempt(mine)};
      lock.lock();
      std::erase_if(live_, [&](const live& each) { return each.lease == answer.lease && each.epoch == answer.epoch; });
      lock.unlock();
      (void)answers_.put(std::move(answer)); // the bound is above the number of leases; a lost answer would be found by its deadline
    }
  }

  lease_answer attempt(job& mine) {
    if (*mine.cancelled)
      return std::string("cancelled before it started");
    try {
      if (auto* evaluate = std::get_if<evaluate_work>(&mine.what.what)) {
        auto got = host_.evaluate(*evaluate, *mine.cancelled);
        if (got && got->result != outcome::infrastructure && got->candidate == evaluate->what.id && !mine.print.empty())
          if (auto kept = spool_->keep(mine.print, *got); !kept) {
            std::lock_guard lock(mutex_);
            spool_trouble_ = kept.error().message;
          }
        if (got)
          return std::move(*got);
        return got.error().message;
      }
      if (auto* trace = std::get_if<trace_work>(&mine.what.what)) {
        auto got = host_.trace(*trace, *mine.cancelled);
        if (got)
          return std::move(*got);
        return got.error().message;
      }
      return std::string("this agent compiles for nobody else");
    } catch (const std::exception& e) {
      return std::string("the agent's evaluator threw: ") + e.what();
    }
  }

  struct live {
    std::string lease;
    std::uint64_t epoch;
    std::shared_ptr<std::atomic<bool>> cancelled;
  };

  agent::host_evaluator& host_;
  const std::string agent_;
  const std::shared_ptr<answer_spool> spool_; // null: answers are not kept
  const std::vector<found_device> found_;
  const std::string identity_;
  std::vector<device_description> devices_;
  unsigned compile_slots_ = 1;
  std::optional<zmq::context_t> own_context_;
  owned_socket owned_socket_{nullptr};
  zmq::socket_ref socket_; // made by the opener, then the socket thread's alone
  agent_leases leases_;
  std::uint64_t sequence_ = 0;
  agent_introduction introduction_;
  outbox<worker_answer> answers_;
  std::atomic<bool> stopping_ = false, draining_ = false, connected_ = false;
  std::atomic<std::uint32_t> held_ = 0;
  std::atomic<std::uint64_t> rounds_ = 0;
  bool said_draining_ = false;
  bool told_to_drain_ = false; // by a scheduler, which may have started again since
  steady::time_point heard_{};
  std::thread socket_thread_;

  std::map<std::string, std::string> prints_; // lease -> print of its work; the socket thread's
  std::atomic<std::uint32_t> from_spool_ = 0;

  mutable std::mutex mutex_; // guards what follows
  std::string spool_trouble_;
  std::condition_variable work_arrived_;
  std::deque<job> waiting_;
  std::vector<live> live_;
  bool closed_ = false;
  std::vector<std::thread> workers_;
};

} // namespace

result<std::unique_ptr<agent_service>> agent_service::start(agent::host_evaluator& host, std::string endpoint, void* zmq_context,
                                                            std::string name, const std::optional<key_file>& key, std::shared_ptr<answer_spool> spool, std::vector<found_device> found) {
  if (!zmq_context && endpoint.starts_with("inproc://"))
    return error{errc::usage, "an inproc endpoint needs the ZeroMQ context that the scheduler uses"};
  auto made = std::make_unique<dealer_agent>(host, std::move(name), std::move(spool), std::move(found));
  KEVOLVE_TRY_VOID(made->connect(endpoint, zmq_context, key));
  return std::unique_ptr<agent_service>(std::move(made));
}

} // namespace kevolve
