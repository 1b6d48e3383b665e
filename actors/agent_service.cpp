// The agent inside a process: one thread owns the DEALER socket and the job table, workers call the host evaluator. Capacity is one worker
// per compile slot and device slot, so that compiles run beside each other while one candidate is measured; one per compile slot for what other
// agents want compiled, which waits for nothing but a compiler; and one per writing slot for candidates that are written here. What is being written is
// written once, however many leases ask for it.
#include "actors/agent_service.hpp"

#include "actors/agent_introduction.hpp"
#include "actors/agent_leases.hpp"
#include "actors/answer_spool.hpp"
#include "actors/errand_line.hpp"
#include "actors/program_shelf.hpp"
#include "actors/outbox.hpp"
#include "actors/writer.hpp"
#include "actors/zeromq_socket.hpp"
#include "node-agent/evaluate.hpp"
#include "protocol/codec.hpp"
#include "protocol/failpoint.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <thread>
#include <tuple>
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

struct worker_answer {
  std::string lease;
  std::uint64_t epoch = 0;
  lease_answer answer;
};

class dealer_agent final : public agent_service {
public:
  dealer_agent(agent::host_evaluator& host, std::string name, std::shared_ptr<answer_spool> spool, std::vector<found_device> found, const agent_terms& terms, agent_writing writes)
      : host_(host), agent_(std::move(name)), spool_(std::move(spool)), found_(std::move(found)), writes_(std::move(writes)), identity_(agent_ + "/" + incarnation()), leases_(lease_bound), terms_(terms),
        errands_(terms.piece_bytes), answers_(answer_bound) {}

  ~dealer_agent() override {
    stopping_ = true;
    line_->close();
    answers_.wake();
    if (socket_thread_.joinable())
      socket_thread_.join();
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
      for (job_queue* each : {&evaluating_, &compiling_, &writing_here_})
        each->waiting.clear();
    }
    for (job_queue* each : {&evaluating_, &compiling_, &writing_here_})
      each->arrived.notify_all();
    for (auto& worker : workers_)
      worker.join();
  }

  void drain() override {
    draining_ = true;
    answers_.wake();
  }
  void suspend(const std::string& device, const std::string& why) override {
    {
      std::lock_guard lock(mutex_);
      if (why.empty())
        suspended_.erase(device);
      else
        suspended_[device] = why;
      suspension_changed_ = true;
    }
    answers_.wake();
  }
  std::uint32_t held() const override { return held_; }
  bool connected() const override { return connected_; }
  std::uint64_t rounds() const override { return rounds_; }
  exchanged exchanges() const override { return {compiled_, blobs_, pieces_, pieces_again_, pieces_twice_}; }
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
      endpoint_ = endpoint;
      connected_at_ = steady::now();
    } catch (const zmq::error_t& e) {
      return error{errc::configuration, "connecting to " + endpoint + ": " + e.what()};
    }
    devices_ = terms_.offers_devices ? host_.devices() : std::vector<device_description>();
    unsigned device_slots = 0;
    for (const auto& device : devices_)
      device_slots += device.slots;
    compile_slots_ = host_.compile_slots() > 0 ? host_.compile_slots() : std::max(1u, std::thread::hardware_concurrency());
    toolchains_ = host_.toolchains();
    host_.use({[line = line_](const compile_work& what, const std::atomic<bool>& cancelled) { return line->compile(what, cancelled); },
               [line = line_](const blob_reference& what, const std::atomic<bool>& cancelled) { return line->fetch(what, cancelled); }});
    for (unsigned i = 0; i < compile_slots_ + device_slots; ++i)
      workers_.emplace_back([this] { work_until_closed(evaluating_); });
    for (unsigned i = 0; i < compile_slots_ && !toolchains_.empty(); ++i)
      workers_.emplace_back([this] { work_until_closed(compiling_); });
    for (unsigned i = 0; writes_.by && i < writes_.by->slots(); ++i)
      workers_.emplace_back([this] { work_until_closed(writing_here_); });
    socket_thread_ = std::thread([this] { run(); });
    return {};
  }

private:
  struct job {
    start_work what;
    std::string print = {}; // of the work; "": its answer is not kept
    std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
  };
  struct job_queue {
    std::condition_variable arrived;
    std::deque<job> waiting;
  };

  static std::string incarnation() {
    std::random_device entropy;
    return std::to_string((std::uint64_t{entropy()} << 32 | entropy()) & 0xffffffffffff);
  }

  // --- the socket's thread

  void run() {
    zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, answers_.wake_descriptor(), ZMQ_POLLIN, 0}, {nullptr, line_->wake_descriptor(), ZMQ_POLLIN, 0}};
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
      for (auto& got : answers_.take())
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
    std::vector<std::tuple<std::string, std::uint64_t, std::string>> back;
    {
      std::lock_guard lock(mutex_);
      if (!std::exchange(suspension_changed_, false))
        return;
      for (const auto& each : live_)
        if (each.on)
          if (std::string why = why_suspended(*each.on); !why.empty())
            back.emplace_back(each.lease, each.epoch, std::move(why));
    }
    say_hello();
    for (auto& [lease, epoch, why] : back) {
      cancel(lease, epoch);
      apply(leases_.finished(lease, epoch, std::move(why), steady::now()));
    }
  }

  /// Of the device that would evaluate for this target; "": it serves. With the mutex.
  std::string why_suspended(const target& on) const {
    for (const auto& device : devices_)
      if (const auto found = suspended_.find(device.name); found != suspended_.end() && device.on.platform == on.platform && (on.language.empty() || device.on.language == on.language))
        return device.name + " is suspended: " + found->second;
    return {};
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
      offer_devices(hello);
    if (writes_.by) {
      hello.writers = writes_.by->offers();
      hello.writing_slots = writes_.by->slots();
    }
    hello.labels = writes_.labels;
    say(std::move(hello));
    if (told_to_drain_)
      say(agent_drain{drain_limit_s});
  }

  /// A suspended device is one that the host has and nothing runs on.
  void offer_devices(agent_hello& hello) {
    auto devices = host_.devices(); // what is known of them grows with calibration
    std::lock_guard lock(mutex_);
    devices_ = std::move(devices);
    for (const auto& each : devices_)
      if (const auto why = suspended_.find(each.name); why == suspended_.end())
        hello.devices.push_back(each);
      else
        hello.found.push_back({each.name, each.on.platform, each.hardware, each.on.architecture, {}, "suspended: " + why->second});
  }

  std::vector<std::string> kept() const {
    std::vector<std::string> newest; // what is being written is as good as kept: nobody else needs to be paid for it
    for (const auto& [print, lease] : writing_)
      newest.push_back(print);
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
      if (auto under_way = writing_.find(print); under_way != writing_.end()) {
        under_way->second.also.push_back({what.lease, what.epoch});
        return;
      }
    }
    if (kept)
      return apply(leases_.finished(what.lease, what.epoch, std::string("what was kept of it is not here any more"), steady::now()));
    const bool writes = std::holds_alternative<write_work>(what.what);
    if (writes && !writes_.by)
      return apply(leases_.finished(what.lease, what.epoch, std::string("nobody writes candidates here"), steady::now()));
    if (writes)
      writing_[print] = {{what.lease, what.epoch}, {}, false};
    job_queue& queue = writes ? writing_here_ : std::holds_alternative<compile_work>(what.what) && !toolchains_.empty() ? compiling_ : evaluating_;
    const auto* evaluates = std::get_if<evaluate_work>(&what.what);
    const auto on = evaluates ? std::optional(evaluates->on) : std::nullopt;
    std::string refused;
    {
      std::lock_guard lock(mutex_);
      if (on)
        refused = why_suspended(*on);
      if (refused.empty()) {
        queue.waiting.push_back(job{std::move(what), std::move(print)});
        live_.push_back({queue.waiting.back().what.lease, queue.waiting.back().what.epoch, queue.waiting.back().cancelled, on});
      }
    }
    if (!refused.empty())
      return apply(leases_.finished(what.lease, what.epoch, std::move(refused), steady::now()));
    queue.arrived.notify_one();
  }

  /// A worker's answer, and whoever else asked for the same.
  void done(worker_answer& got) {
    const auto under_way = std::find_if(writing_.begin(), writing_.end(), [&](const auto& each) { return each.second.first == std::pair(got.lease, got.epoch); });
    std::vector<std::pair<std::string, std::uint64_t>> also;
    if (under_way != writing_.end()) {
      also = std::move(under_way->second.also);
      writing_.erase(under_way);
    }
    for (const auto& [lease, epoch] : also)
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
    const std::pair ended(lease, epoch);
    for (auto w = writing_.begin(); w != writing_.end(); ++w) {
      const bool another = std::erase(w->second.also, ended) > 0;
      if (another)
        apply(leases_.finished(lease, epoch, std::string("stopped"), steady::now()));
      else if (w->second.first == ended)
        w->second.first_is_stopped = true;
      else
        continue;
      if (!w->second.also.empty() || !w->second.first_is_stopped)
        return; // somebody still wants it: the work goes on
      const auto first = w->second.first;
      writing_.erase(w); // whoever asks for it now begins anew
      return cancel(first.first, first.second);
    }
    cancel(lease, epoch);
  }

  void cancel(const std::string& lease, std::uint64_t epoch) {
    std::lock_guard lock(mutex_);
    for (auto& each : live_)
      if (each.lease == lease && each.epoch == epoch)
        *each.cancelled = true;
  }

  void work_until_closed(job_queue& queue) {
    for (;;) {
      std::unique_lock lock(mutex_);
      queue.arrived.wait(lock, [&] { return closed_ || !queue.waiting.empty(); });
      if (closed_)
        return;
      job mine = std::move(queue.waiting.front());
      queue.waiting.pop_front();
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
        pass(failpoint::answer_before_spool);
        if (got && got->result != outcome::infrastructure && got->candidate == evaluate->what.id && !mine.print.empty() && !is_suspended(evaluate->on))
          note(spool_->keep(mine.print, *got));
        if (got)
          return std::move(*got);
        return got.error().message;
      }
      if (auto* write = std::get_if<write_work>(&mine.what.what)) {
        auto got = writes_.by->write(*write, *mine.cancelled);
        if (got && spool_ && !*mine.cancelled)
          note(spool_->keep(mine.print, *got));
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
      auto* compile = std::get_if<compile_work>(&mine.what.what);
      if (!compile)
        return std::string("this agent does no work of that kind");
      auto got = host_.compile_for(*compile, *mine.cancelled);
      if (!got)
        return got.error().message;
      pass(failpoint::program_made);
      ++compiled_;
      if (got->answer.good)
        programs_.add(got->answer.artifact, got->file);
      return std::move(got->answer);
    } catch (const std::exception& e) {
      return std::string("the agent's evaluator threw: ") + e.what();
    }
  }

  bool is_suspended(const target& on) const {
    std::lock_guard lock(mutex_);
    return !why_suspended(on).empty();
  }

  void note(const result<void>& kept) {
    if (kept)
      return;
    std::lock_guard lock(mutex_);
    spool_trouble_ = kept.error().message;
  }

  struct live {
    std::string lease;
    std::uint64_t epoch;
    std::shared_ptr<std::atomic<bool>> cancelled;
    std::optional<target> on; // of an evaluation
  };

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
  std::atomic<std::uint64_t> compiled_ = 0, blobs_ = 0, pieces_ = 0, pieces_again_ = 0, pieces_twice_ = 0;
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
  struct wanted {
    std::pair<std::string, std::uint64_t> first;             // lease and epoch that a worker is about
    std::vector<std::pair<std::string, std::uint64_t>> also; // that asked for the same since
    bool first_is_stopped = false;
  };
  std::map<std::string, wanted> writing_;     // by print; the socket thread's
  std::atomic<std::uint32_t> from_spool_ = 0;

  mutable std::mutex mutex_; // guards what follows
  std::vector<device_description> devices_;      // of the host, suspended or not
  std::map<std::string, std::string> suspended_; // device -> why
  bool suspension_changed_ = false;              // and the scheduler does not know yet
  std::string spool_trouble_;
  job_queue evaluating_, compiling_, writing_here_;
  std::vector<live> live_;
  bool closed_ = false;
  std::vector<std::thread> workers_;
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
