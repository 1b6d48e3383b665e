#include "actors/simulated_fleet.hpp"

#include "actors/agent_introduction.hpp"
#include "actors/agent_leases.hpp"
#include "actors/made_up.hpp"
#include "actors/own_usage.hpp"
#include "actors/zeromq_socket.hpp"
#include "protocol/codec.hpp"
#include "protocol/rng.hpp"

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <queue>
#include <sys/epoll.h>
#include <unistd.h>

namespace kevolve {
namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr auto heartbeat_every = 1s;   // as kevolve-agent's
constexpr std::size_t lease_bound = 256;
constexpr std::uint32_t compile_slots = 1;
constexpr int events_at_once = 256;

std::int64_t ns_of(steady::time_point t) { return std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count(); }

/// An evaluation under way.
struct due_answer {
  steady::time_point at;
  std::size_t agent = 0;
  std::string lease;
  std::uint64_t epoch = 0;
  evaluation answer;
};
struct later {
  bool operator()(const due_answer& a, const due_answer& b) const { return a.at > b.at; }
};

struct simulated_agent {
  std::string name, identity;
  owned_socket owned{nullptr};
  zmq::socket_ref socket;
  agent_leases leases{lease_bound};
  agent_introduction introduction;
  steady::time_point next_heartbeat;
  std::uint64_t sequence = 0;
  std::uint64_t answers = 0;
  std::deque<std::pair<std::int64_t, bool>> credit; // since when, and whether it is a first one
};

class fleet {
public:
  explicit fleet(const simulated_fleet_settings& settings)
      : settings_(settings), epoll_(::epoll_create1(EPOLL_CLOEXEC)), draw_(settings.seed, 0, "simulated evaluations") {}
  ~fleet() {
    if (epoll_ >= 0)
      ::close(epoll_);
  }

  result<void> connect() {
    if (epoll_ < 0)
      return error{errc::io, std::string("epoll: ") + std::strerror(errno)};
    try {
      context_.set(zmq::ctxopt::max_sockets, static_cast<int>(settings_.keys.size()) + 8);
      agents_.resize(settings_.keys.size());
      for (std::size_t i = 0; i < agents_.size(); ++i)
        connect_one(i);
    } catch (const zmq::error_t& e) {
      return error{errc::configuration, "simulated agents cannot connect to " + settings_.endpoint + ": " + e.what()};
    }
    return {};
  }

  void serve(const std::atomic<bool>& stop) {
    epoll_event events[events_at_once];
    while (!stop) {
      const int ready = ::epoll_wait(epoll_, events, events_at_once, patience_ms());
      for (int i = 0; i < ready; ++i)
        receive_all(events[i].data.u64);
      answer_due();
      if (steady::now() >= next_round_)
        round();
    }
    for (auto& each : agents_)
      say(each, agent_goodbye{"the benchmark ends"});
    for (auto& each : agents_)
      each.owned.reset();
  }

  simulated_fleet_report report() {
    for (const auto& each : agents_) {
      report_.answers += each.answers;
      report_.idle_agents += each.answers == 0;
      report_.fewest = &each == &agents_.front() ? each.answers : std::min(report_.fewest, each.answers);
      report_.most = std::max(report_.most, each.answers);
    }
    return std::move(report_);
  }

private:
  void connect_one(std::size_t number) {
    auto& a = agents_[number];
    const auto& key = settings_.keys[number];
    a.name = key.name;
    a.identity = key.name + "/" + std::to_string(rng(settings_.seed, number, "incarnation")() & 0xffffffffffff);
    a.owned.reset(zmq_socket(context_.handle(), ZMQ_DEALER));
    if (!a.owned)
      throw zmq::error_t();
    a.socket = zmq::socket_ref(zmq::from_handle, a.owned.get());
    a.socket.set(zmq::sockopt::linger, 200);
    a.socket.set(zmq::sockopt::routing_id, a.identity);
    a.socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(limits::frame_bytes));
    set_liveness(a.socket);
    connect_securely(a.socket, key.public_key, key.secret_key, key.scheduler);
    a.socket.connect(settings_.endpoint);
    a.next_heartbeat = steady::now() + heartbeat_every * number / agents_.size(); // not all in the same instant
    const int wakes = a.socket.get(zmq::sockopt::fd);
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.u64 = number;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, wakes, &interest) != 0)
      throw zmq::error_t();
    const std::uint32_t slots = compile_slots + made_up::device().slots;
    for (std::uint32_t i = 0; i < slots; ++i)
      a.credit.emplace_back(ns_of(steady::now()), true);
    say_hello(a);
  }

  int patience_ms() const {
    auto until = next_round_;
    if (!due_.empty())
      until = std::min(until, due_.top().at);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 50));
  }

  /// Until there is nothing more: the socket's descriptor wakes once for whatever has come, and sending on it may swallow that.
  void receive_all(std::size_t number) {
    auto& a = agents_[number];
    for (zmq::message_t frame;;) {
      try {
        if (!a.socket.recv(frame, zmq::recv_flags::dontwait))
          return;
      } catch (const zmq::error_t&) {
        return;
      }
      auto got = decode<envelope>(frame.to_string_view());
      if (got && got->version == protocol_version && got->receiver == a.identity)
        std::visit([&](auto& body) { take(number, body); }, got->body);
    }
  }

  void take(std::size_t number, agent_welcome& what) {
    if (agents_[number].introduction.welcomed(what.scheduler, steady::now()))
      say_hello(agents_[number]);
  }
  void take(std::size_t number, lease_granted& what) { apply(number, agents_[number].leases.granted(std::move(what), steady::now())); }
  void take(std::size_t number, lease_cancelled& what) {
    auto& a = agents_[number];
    auto effects = a.leases.cancelled(what);
    if (!effects.empty()) // it ran; its evaluation goes nowhere when it is due
      a.credit.emplace_back(ns_of(steady::now()), false);
    apply(number, std::move(effects));
  }
  void take(std::size_t number, result_acknowledged& what) {
    report_.acknowledged += what.counted;
    agents_[number].leases.acknowledged(what);
  }
  template <class Other>
  void take(std::size_t, Other&) {}

  void apply(std::size_t number, std::vector<agent_effect> effects) {
    for (auto& effect : effects) {
      if (auto* begin = std::get_if<start_work>(&effect))
        start(number, *begin);
      else if (auto* what = std::get_if<message>(&effect))
        say(agents_[number], std::move(*what));
    }
  }

  void start(std::size_t number, const start_work& what) {
    auto& a = agents_[number];
    const auto now = steady::now();
    const auto [since, first] = a.credit.empty() ? std::pair(ns_of(now), true) : a.credit.front();
    if (!a.credit.empty())
      a.credit.pop_front();
    report_.leases.push_back({what.lease, since, ns_of(now), first});
    const double lasts_s = settings_.mean_evaluation_s > 0 ? -settings_.mean_evaluation_s * std::log1p(-draw_.uniform()) : 0;
    due_.push({now + std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(lasts_s)), number, what.lease, what.epoch,
               made_up::measure(std::get<evaluate_work>(what.what))});
  }

  void answer_due() {
    while (!due_.empty() && due_.top().at <= steady::now()) {
      due_answer done = std::move(const_cast<due_answer&>(due_.top())); // popped at once
      due_.pop();
      auto& a = agents_[done.agent];
      auto effects = a.leases.finished(done.lease, done.epoch, std::move(done.answer), steady::now());
      if (effects.empty())
        continue; // cancelled meanwhile
      ++a.answers;
      a.credit.emplace_back(ns_of(steady::now()), false);
      apply(done.agent, std::move(effects));
      receive_all(done.agent);
    }
  }

  /// Hellos, heartbeats, answers that nobody acknowledged.
  void round() {
    const auto now = steady::now();
    next_round_ = now + 50ms;
    for (std::size_t i = 0; i < agents_.size(); ++i) {
      auto& a = agents_[i];
      if (now < a.next_heartbeat)
        continue;
      a.next_heartbeat = now + heartbeat_every;
      apply(i, a.leases.tick(now));
      if (a.introduction.is_due(now))
        say_hello(a);
      say(a, agent_heartbeat{a.leases.held(), 0});
      receive_all(i);
    }
  }

  void say_hello(simulated_agent& a) {
    a.introduction.said(steady::now());
    say(a, agent_hello{a.name, a.identity, protocol_version, {made_up::device()}, compile_slots, {}, {}, true});
  }

  void say(simulated_agent& a, message body) {
    const std::string bytes = encode(envelope{protocol_version, a.identity, "", ++a.sequence, std::move(body)});
    try {
      (void)a.socket.send(zmq::message_t(bytes.data(), bytes.size()), zmq::send_flags::dontwait); // what matters is repeated
    } catch (const zmq::error_t&) {
    }
  }

  const simulated_fleet_settings& settings_;
  const int epoll_;
  zmq::context_t context_{1};
  std::vector<simulated_agent> agents_;
  std::priority_queue<due_answer, std::vector<due_answer>, later> due_;
  steady::time_point next_round_ = steady::now();
  rng draw_;
  simulated_fleet_report report_;
};

} // namespace

result<simulated_fleet_report> run_simulated_fleet(const simulated_fleet_settings& settings, const std::atomic<bool>& stop) {
  const double before = own_cpu_s();
  fleet all(settings);
  KEVOLVE_TRY_VOID(all.connect());
  all.serve(stop);
  auto report = all.report();
  report.cpu_s = own_cpu_s() - before;
  return report;
}

} // namespace kevolve
