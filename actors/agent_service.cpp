// The agent inside a process: one thread owns the DEALER socket and the job table; what leases ask for is given to its workers, or fetched first, or taken
// from the spool. What is being written is written once, however many leases ask for it.
#include "actors/agent_service.hpp"

#include "actors/agent_introduction.hpp"
#include "actors/agent_leases.hpp"
#include "actors/agent_workers.hpp"
#include "actors/answer_spool.hpp"
#include "actors/errand_line.hpp"
#include "actors/program_shelf.hpp"
#include "actors/shared_writing.hpp"
#include "actors/writer.hpp"
#include "actors/zeromq_socket.hpp"
#include "node-agent/evaluate.hpp"
#include "protocol/codec.hpp"
#include "protocol/failpoint.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <thread>
#include <utility>

namespace kevolve {
namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr auto tick_every = 250ms;
constexpr auto heartbeat_every = 1s;
constexpr auto silence = 30s;         // of a scheduler that welcomes us every ten: it is gone
constexpr auto deaf_after = 15s;      // no welcome: above the ten seconds between two of them, and above those after which ROUTER gives up a connection that is dead
constexpr double drain_limit_s = 600;
constexpr std::size_t kept_said = 256; // of the spool's prints in a hello, the newest
constexpr std::size_t lease_bound = 256;
constexpr std::size_t answer_bound = 1024; // > lease_bound: workers never wait for the socket's thread

class dealer_agent final : public agent_service {
public:
  dealer_agent(agent::host_evaluator& host, std::string name, std::shared_ptr<answer_spool> spool, std::vector<found_device> found, const agent_terms& terms, agent_writing writes)
      : host_(host), agent_(std::move(name)), spool_(std::move(spool)), found_(std::move(found)), writes_(std::move(writes)), identity_(agent_ + "/" + incarnation()), leases_(lease_bound), terms_(terms),
        errands_(terms.piece_bytes),
        workers_(host, writes_.by, spool_, programs_, answer_bound) {}

  ~dealer_agent() override {
    stopping_ = true;
    line_->close();
    workers_.wake();
    if (socket_thread_.joinable())
      socket_thread_.join();
    workers_.close();
  }

  void drain() override {
    draining_ = true;
    workers_.wake();
  }
  void suspend(const std::string& device, const std::string& why) override { workers_.suspend(device, why); }
  std::uint32_t held() const override { return held_; }
  bool connected() const override { return connected_; }
  std::uint64_t rounds() const override { return rounds_; }
  exchanged exchanges() const override { return {workers_.compiled(), blobs_, pieces_, pieces_again_, pieces_twice_}; }
  std::uint32_t answered_from_spool() const override { return from_spool_; }
  std::string spool_trouble() const override { return workers_.spool_trouble(); }

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
      endpoint_ = endpoint;
      connected_at_ = steady::now();
    } catch (const zmq::error_t& e) {
      return error{errc::configuration, "connecting to " + endpoint + ": " + e.what()};
    }
    unsigned device_slots = 0;
    for (const auto& device : terms_.offers_devices ? host_.devices() : std::vector<device_description>())
      device_slots += device.slots;
    compile_slots_ = host_.compile_slots() > 0 ? host_.compile_slots() : std::max(1u, std::thread::hardware_concurrency());
    toolchains_ = host_.toolchains();
    host_.use({[line = line_](const compile_work& what, const std::atomic<bool>& cancelled) { return line->compile(what, cancelled); },
               [line = line_](const blob_reference& what, const std::atomic<bool>& cancelled) { return line->fetch(what, cancelled); }});
    workers_.start(compile_slots_ + device_slots, toolchains_.empty() ? 0 : compile_slots_, writes_.by ? writes_.by->slots() : 0);
    socket_thread_ = std::thread([this] { run(); });
    return {};
  }

private:
  static std::string incarnation() {
    std::random_device entropy;
    return std::to_string((std::uint64_t{entropy()} << 32 | entropy()) & 0xffffffffffff);
  }

  // --- the socket's thread

  void run() {
    zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, workers_.wake_descriptor(), ZMQ_POLLIN, 0}, {nullptr, line_->wake_descriptor(), ZMQ_POLLIN, 0}};
    auto next_heartbeat = steady::now() + heartbeat_every;
    say_hello();
    while (!stopping_) {
      try {
        zmq::poll(items, 3, tick_every);
      } catch (const zmq::error_t& e) {
        if (e.num() == ETERM)
          break;
      }
      ++rounds_;
      receive_all();
      for (auto& got : workers_.answers())
        done(got);
      apply(leases_.tick(steady::now()));
      mind_suspended_devices();
      run_errands();
      held_ = leases_.held();
      connected_ = steady::now() - heard_ < silence && heard_ != steady::time_point{};
      if (draining_ && !said_draining_) {
        said_draining_ = true;
        say(agent_drain{drain_limit_s});
        pass(failpoint::drain_told);
      }
      if (steady::now() - std::max(heard_, connected_at_) > deaf_after)
        connect_anew();
      if (introduction_.is_due(steady::now()))
        say_hello();
      if (steady::now() >= next_heartbeat) {
        next_heartbeat = steady::now() + heartbeat_every;
        say(agent_heartbeat{leases_.held(), load()});
      }
    }
    for (const auto& each : leases_.running())
      stop(each.lease, each.epoch);
    pass(failpoint::goodbye_before_send);
    say(agent_goodbye{"the agent stops"});
    owned_socket_.reset();
  }

  /// Where only we know that a connection has broken, ROUTER takes the next one for a second peer of our name and never hears it, though it keeps it alive.
  /// Once the first is given up there, too, another connection is heard.
  void connect_anew() {
    connected_at_ = steady::now();
    if (!endpoint_.starts_with("tcp://"))
      return;
    try {
      socket_.disconnect(endpoint_);
      socket_.connect(endpoint_);
    } catch (const zmq::error_t&) { // it goes on as it is
    }
  }

  /// The scheduler hears of it first, so that what is given back goes elsewhere.
  void mind_suspended_devices() {
    const auto back = workers_.suspended_since();
    if (!back)
      return;
    say_hello();
    for (const auto& each : *back) {
      workers_.cancel(each.lease, each.epoch);
      apply(leases_.finished(each.lease, each.epoch, each.why, steady::now()));
    }
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

  /// What workers want compiled or fetched elsewhere, and leases' work that is to be fetched.
  void run_errands() {
    for (auto& each : line_->serve(errands_, steady::now()))
      say(std::move(each));
    for (auto& each : errands_.due(steady::now()))
      say(std::move(each));
    for (auto& each : errands_.take_done()) {
      if (std::holds_alternative<errands::fetched>(each.how))
        ++blobs_;
      if (!line_->ended(each))
        begin_fetched(each);
    }
    pieces_ = errands_.counted().pieces;
    pieces_again_ = errands_.counted().asked_again;
    pieces_twice_ = errands_.counted().repeated;
  }

  void begin_fetched(errands::done& what) {
    auto found = fetching_.find(what.which);
    if (found == fetching_.end())
      return;
    start_work begin = std::move(found->second);
    fetching_.erase(found);
    std::string trouble = "its work could not be fetched: ";
    if (const auto* got = std::get_if<errands::fetched>(&what.how)) {
      auto thawed = decode<work>(*got->content);
      if (thawed) {
        begin.what = std::move(*thawed);
        begin.fetch = {};
        return start(std::move(begin));
      }
      trouble += thawed.error().message;
    } else {
      trouble += std::get<errands::failed>(what.how).reason;
    }
    apply(leases_.finished(begin.lease, begin.epoch, trouble, steady::now()));
  }

  void take(agent_welcome& what) {
    scheduler_takes_blobs_ = what.pieces;
    if (introduction_.welcomed(what.scheduler, steady::now()))
      say_hello();
  }
  void take(lease_granted& what) {
    pass(failpoint::lease_taken);
    apply(leases_.granted(std::move(what), steady::now()));
  }
  void take(lease_offered& what) {
    pass(failpoint::lease_taken);
    apply(leases_.offered(std::move(what), steady::now()));
  }
  void take(compile_answered& what) { errands_.heard(std::move(what)); }
  void take(blob_piece& what) {
    pass(failpoint::piece_came);
    errands_.heard(std::move(what), steady::now());
  }
  void take(blob_missing& what) { errands_.heard(std::move(what)); }
  void take(blob_wanted& what) {
    pass(failpoint::piece_before_send);
    blob_piece piece;
    if (const auto answer = large_.find(what.hash))
      piece = piece_of(what, *answer);
    else
      piece = programs_.piece(what);
    if (piece.content.empty())
      say(blob_missing{what.hash, what.to});
    else
      say(std::move(piece));
  }
  void take(lease_cancelled& what) {
    prints_.erase(what.lease);
    answered_large_.erase(what.lease);
    apply(leases_.cancelled(what));
  }
  void take(result_acknowledged& what) {
    if (what.counted)
      pass(failpoint::answer_acknowledged);
    leases_.acknowledged(what);
    answered_large_.erase(what.lease);
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
    pass(failpoint::hello_before_send);
    const program_host programs = host_.programs();
    agent_hello hello{agent_, identity_, protocol_version, {}, compile_slots_, kept(), found_, host_.compiles(), true, toolchains_, programs.machine, programs.libc};
    if (terms_.offers_devices)
      workers_.offer(host_.devices(), hello); // what is known of them grows with calibration
    if (writes_.by) {
      hello.writers = writes_.by->offers();
      hello.writing_slots = writes_.by->slots();
    }
    hello.labels = writes_.labels;
    say(std::move(hello));
    if (told_to_drain_)
      say(agent_drain{drain_limit_s});
  }

  std::vector<std::string> kept() const {
    std::vector<std::string> newest = writing_.prints(); // as good as kept: nobody else needs to be paid for it
    for (auto& print : spool_ ? spool_->prints() : std::vector<std::string>())
      newest.push_back(std::move(print));
    if (newest.size() > kept_said)
      newest.resize(kept_said);
    return newest;
  }

  void say(message body) {
    envelope said{protocol_version, identity_, "", ++sequence_, std::move(body)};
    std::string bytes = encode(said);
    if (auto* finished = std::get_if<lease_finished>(&said.body); finished && bytes.size() > limits::inline_bytes && scheduler_takes_blobs_) {
      auto answer = std::make_shared<const std::string>(encode(finished->answer));
      finished->answer = large_.put(answer);
      answered_large_[finished->lease] = std::move(answer); // until it is acknowledged
      bytes = encode(said);
    }
    const auto* answered = std::get_if<lease_finished>(&said.body);
    const bool answers = answered && std::holds_alternative<evaluation>(answered->answer);
    if (answers)
      pass(failpoint::answer_spooled);
    try {
      // Full or not connected: what matters is repeated (hello, heartbeat, unacknowledged answers).
      (void)socket_.send(zmq::message_t(bytes.data(), bytes.size()), zmq::send_flags::dontwait);
    } catch (const zmq::error_t&) {
    }
    if (answers)
      pass(failpoint::answer_sent);
  }

  static double load() {
    double averages[1] = {0};
    return getloadavg(averages, 1) == 1 ? averages[0] : 0;
  }

  // --- workers

  void start(start_work what) {
    if (!what.fetch.hash.empty()) {
      if (std::string why = blob_receiver::refuse(what.fetch, limits::blob_bytes); !why.empty())
        return apply(leases_.finished(what.lease, what.epoch, "its work is not fetched: " + why, steady::now()));
      const auto ticket = errands_.fetch(what.fetch, steady::now());
      fetching_.emplace(ticket, std::move(what));
      return;
    }
    const auto* kept = std::get_if<kept_work>(&what.what);
    std::string print = kept ? kept->print : spool_ || std::holds_alternative<write_work>(what.what) ? work_print(what.what) : std::string();
    if (!print.empty()) {
      prints_[what.lease] = print;
      if (auto answer = spool_ ? spool_->find(print) : std::nullopt) {
        ++from_spool_;
        return apply(leases_.finished(what.lease, what.epoch, std::move(*answer), steady::now()));
      }
      if (writing_.join(print, {what.lease, what.epoch}))
        return;
    }
    if (kept)
      return apply(leases_.finished(what.lease, what.epoch, std::string("what was kept of it is not here any more"), steady::now()));
    const bool writes = std::holds_alternative<write_work>(what.what);
    if (writes && !writes_.by)
      return apply(leases_.finished(what.lease, what.epoch, std::string("nobody writes candidates here"), steady::now()));
    if (writes)
      writing_.begin(print, {what.lease, what.epoch});
    const std::string lease = what.lease;
    const auto epoch = what.epoch;
    if (std::string refused = workers_.give(std::move(what), std::move(print)); !refused.empty())
      apply(leases_.finished(lease, epoch, std::move(refused), steady::now()));
  }

  /// A worker's answer, and whoever else asked for the same.
  void done(worker_answer& got) {
    for (const auto& [lease, epoch] : writing_.end({got.lease, got.epoch}))
      apply(leases_.finished(lease, epoch, got.answer, steady::now()));
    apply(leases_.finished(got.lease, got.epoch, std::move(got.answer), steady::now()));
  }

  void stop(const std::string& lease, std::uint64_t epoch) {
    for (auto each = fetching_.begin(); each != fetching_.end(); ++each)
      if (each->second.lease == lease && each->second.epoch == epoch) {
        for (auto& said : errands_.drop(each->first))
          say(std::move(said));
        fetching_.erase(each);
        return apply(leases_.finished(lease, epoch, std::string("stopped while its work was being fetched"), steady::now()));
      }
    const auto stopped = writing_.stop({lease, epoch});
    if (stopped.waited_along)
      apply(leases_.finished(lease, epoch, std::string("stopped"), steady::now()));
    if (stopped.cancel)
      workers_.cancel(stopped.cancel->first, stopped.cancel->second);
  }

  agent::host_evaluator& host_;
  const std::string agent_;
  const std::shared_ptr<answer_spool> spool_; // null: answers are not kept
  const std::vector<found_device> found_;
  const agent_writing writes_;
  const std::string identity_;
  unsigned compile_slots_ = 1;
  std::string endpoint_;
  steady::time_point connected_at_{};
  std::optional<zmq::context_t> own_context_;
  owned_socket owned_socket_{nullptr};
  zmq::socket_ref socket_; // made by the opener, then the socket thread's alone
  agent_leases leases_;
  const agent_terms terms_;
  errands errands_;
  std::map<errands::ticket, start_work> fetching_;                    // leases whose work is on its way
  blob_shelf large_;                                                  // answers that go in pieces …
  std::map<std::string, blob_shelf::bytes> answered_large_;           // … by lease, until they are acknowledged
  bool scheduler_takes_blobs_ = false;
  std::vector<std::string> toolchains_;
  const std::shared_ptr<errand_line> line_ = std::make_shared<errand_line>(); // the host's, too, which may outlive us
  program_shelf programs_;
  std::atomic<std::uint64_t> blobs_ = 0, pieces_ = 0, pieces_again_ = 0, pieces_twice_ = 0;
  std::uint64_t sequence_ = 0;
  agent_introduction introduction_;
  agent_workers workers_;
  std::atomic<bool> stopping_ = false, draining_ = false, connected_ = false;
  std::atomic<std::uint32_t> held_ = 0;
  std::atomic<std::uint64_t> rounds_ = 0;
  bool said_draining_ = false;
  bool told_to_drain_ = false; // by a scheduler, which may have started again since
  steady::time_point heard_{};
  std::thread socket_thread_;

  std::map<std::string, std::string> prints_; // lease -> print of its work; the socket thread's
  shared_writing writing_; // likewise
  std::atomic<std::uint32_t> from_spool_ = 0;
};

} // namespace

result<std::unique_ptr<agent_service>> agent_service::start(agent::host_evaluator& host, std::string endpoint, void* zmq_context,
                                                            std::string name, const std::optional<key_file>& key, std::shared_ptr<answer_spool> spool, std::vector<found_device> found,
                                                            agent_terms terms, agent_writing writes) {
  if (!zmq_context && endpoint.starts_with("inproc://"))
    return error{errc::usage, "an inproc endpoint needs the ZeroMQ context that the scheduler uses"};
  auto made = std::make_unique<dealer_agent>(host, std::move(name), std::move(spool), std::move(found), terms, std::move(writes));
  KEVOLVE_TRY_VOID(made->connect(endpoint, zmq_context, key));
  return std::unique_ptr<agent_service>(std::move(made));
}

} // namespace kevolve
