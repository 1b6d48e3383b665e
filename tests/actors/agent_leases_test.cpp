#include "actors/agent_introduction.hpp"
#include "actors/agent_leases.hpp"
#include "actors/shared_writing.hpp"
#include "actors/link.hpp"
#include "protocol/codec.hpp"

#include <atomic>
#include <doctest/doctest.h>
#include <future>
#include <zmq.hpp>

using namespace kevolve;
using namespace std::chrono_literals;

namespace {

const agent_leases::time t0{};

lease_granted grant(const std::string& lease, std::uint64_t epoch) { return {lease, epoch, 10, trace_work{}}; }

template <class Kind>
std::size_t count(const std::vector<agent_effect>& effects) {
  std::size_t n = 0;
  for (const auto& each : effects) {
    if constexpr (std::is_same_v<Kind, start_work> || std::is_same_v<Kind, stop_work>)
      n += std::holds_alternative<Kind>(each);
    else if (auto* said = std::get_if<message>(&each))
      n += std::holds_alternative<Kind>(*said);
  }
  return n;
}

} // namespace

TEST_CASE("a grant starts once, however often it arrives") {
  agent_leases leases(8);
  auto first = leases.granted(grant("a", 1), t0);
  CHECK(count<start_work>(first) == 1);
  CHECK(count<lease_accepted>(first) == 1);
  auto again = leases.granted(grant("a", 1), t0);
  CHECK(count<start_work>(again) == 0);
  CHECK(count<lease_accepted>(again) == 1);
}

TEST_CASE("a grant that comes late, after its lease has ended, begins nothing again; a newer one does") {
  agent_leases leases(8);
  leases.granted(grant("a", 1), t0);
  leases.finished("a", 1, std::string("x"), t0);
  leases.acknowledged({"a", 1});
  CHECK(leases.granted(grant("a", 1), t0).empty());
  leases.granted(grant("b", 3), t0);
  leases.cancelled({"b", 3});
  CHECK(leases.granted(grant("b", 3), t0).empty());
  CHECK(leases.granted(grant("b", 2), t0).empty());
  CHECK(leases.held() == 0);
  CHECK(count<start_work>(leases.granted(grant("b", 4), t0)) == 1);
}

TEST_CASE("an answer is repeated until it is acknowledged, and only once each five seconds") {
  agent_leases leases(8);
  leases.granted(grant("a", 1), t0);
  CHECK(count<lease_finished>(leases.finished("a", 1, std::string("x"), t0)) == 1);
  CHECK(leases.tick(t0 + 4s).empty());
  CHECK(count<lease_finished>(leases.tick(t0 + 6s)) == 1);
  CHECK(leases.tick(t0 + 7s).empty());
  leases.acknowledged({"a", 2}); // another epoch's
  CHECK(leases.held() == 1);
  leases.acknowledged({"a", 1});
  CHECK(leases.held() == 0);
  CHECK(leases.tick(t0 + 60s).empty());
}

TEST_CASE("a newer epoch replaces an older one, and the older one's answer is dropped") {
  agent_leases leases(8);
  leases.granted(grant("a", 1), t0);
  auto newer = leases.granted(grant("a", 2), t0);
  CHECK(count<stop_work>(newer) == 1);
  CHECK(count<start_work>(newer) == 1);
  CHECK(leases.granted(grant("a", 1), t0).empty());
  CHECK(leases.finished("a", 1, std::string("late"), t0).empty());
  CHECK(count<lease_finished>(leases.finished("a", 2, std::string("x"), t0)) == 1);
}

TEST_CASE("a lease past its deadline is stopped, and answered when its worker has stopped") {
  agent_leases leases(8);
  leases.granted(grant("a", 1), t0);
  CHECK(leases.tick(t0 + 9s).empty());
  CHECK(count<stop_work>(leases.tick(t0 + 10s)) == 1);
  CHECK(leases.tick(t0 + 11s).empty());
  auto ended = leases.finished("a", 1, evaluation{}, t0 + 12s);
  REQUIRE(count<lease_finished>(ended) == 1);
  auto& said = std::get<lease_finished>(std::get<message>(ended[0]));
  CHECK(std::get<std::string>(said.answer).find("deadline") != std::string::npos);
}

TEST_CASE("what runs is what was granted and has neither ended nor been told to stop") {
  agent_leases leases(8);
  CHECK(leases.running().empty());
  leases.granted(grant("a", 1), t0);
  leases.granted(grant("b", 7), t0);
  leases.granted(grant("c", 1), t0);
  leases.finished("a", 1, std::string("x"), t0);
  leases.cancelled({"c", 1});
  const auto running = leases.running();
  REQUIRE(running.size() == 1);
  CHECK(running[0].lease == "b");
  CHECK(running[0].epoch == 7);
}

TEST_CASE("a cancelled lease is stopped and says nothing more; beyond the bound grants are refused") {
  agent_leases leases(2);
  leases.granted(grant("a", 1), t0);
  leases.granted(grant("b", 1), t0);
  auto third = leases.granted(grant("c", 1), t0);
  CHECK(count<start_work>(third) == 0);
  CHECK(count<lease_finished>(third) == 1);
  CHECK(count<stop_work>(leases.cancelled({"a", 1})) == 1);
  CHECK(leases.finished("a", 1, std::string("x"), t0).empty());
  CHECK(leases.held() == 1);
}

TEST_CASE("the link refuses what breaks the protocol and goes on") {
  zmq::context_t context(1);
  std::promise<std::string> heard;
  std::atomic<unsigned> refused = 0;
  link_callbacks callbacks;
  callbacks.received = [&](std::string agent, message what) {
    if (std::holds_alternative<agent_hello>(what))
      heard.set_value(agent);
  };
  callbacks.refused = [&](std::string, std::string) { ++refused; };
  auto opened = link::open("inproc://refusing", context.handle(), "scheduler", std::move(callbacks));
  REQUIRE(opened);
  zmq::socket_t agent(context, ZMQ_DEALER);
  agent.set(zmq::sockopt::routing_id, "a1");
  agent.set(zmq::sockopt::linger, 0);
  agent.connect("inproc://refusing");
  auto say = [&](const std::string& bytes) { agent.send(zmq::buffer(bytes), zmq::send_flags::none); };
  say("");
  say("no MessagePack");
  say(encode(envelope{protocol_version, "somebody else", "", 1, agent_heartbeat{}}));
  say(encode(envelope{protocol_version + 1, "a1", "", 1, agent_heartbeat{}}));
  say(encode(envelope{protocol_version, "a1", "", 5, agent_heartbeat{}}));
  say(encode(envelope{protocol_version, "a1", "", 5, agent_heartbeat{}})); // repeated
  std::string two = "two frames";
  agent.send(zmq::buffer(two), zmq::send_flags::sndmore);
  agent.send(zmq::buffer(two), zmq::send_flags::none);
  say(encode(envelope{protocol_version, "a1", "", 6, agent_hello{"a1", "a1"}}));
  CHECK(heard.get_future().get() == "a1");
  CHECK(refused == 6);
  CHECK((*opened)->counts().received == 2);
}

TEST_CASE("an agent that the scheduler took for dead introduces itself again, whoever welcomes it") {
  agent_introduction introduction;
  CHECK(introduction.is_due(t0));
  introduction.said(t0);
  CHECK_FALSE(introduction.is_due(t0));
  CHECK(introduction.is_due(t0 + 1s)); // nobody answered
  introduction.welcomed("kevolve/1", t0); // its first scheduler: a new name
  introduction.said(t0);
  CHECK_FALSE(introduction.welcomed("kevolve/1", t0)); // the answer to that hello
  CHECK_FALSE(introduction.is_due(t0 + 9s));
  CHECK(introduction.is_due(t0 + 10s));
  CHECK(introduction.welcomed("kevolve/1", t0 + 2s)); // unasked: an answer to a heartbeat of somebody it does not know
  introduction.said(t0 + 2s);
  CHECK_FALSE(introduction.welcomed("kevolve/1", t0 + 2s));
  introduction.said(t0 + 12s);
  CHECK(introduction.welcomed("kevolve/2", t0 + 12s)); // another life of it
}

TEST_CASE("what is being written is written once, and goes on while one lease wants it") {
  using asker = shared_writing::asker;
  shared_writing writing;
  CHECK_FALSE(writing.join("print", {"a", 1}));
  writing.begin("print", {"a", 1});
  CHECK(writing.join("print", {"b", 1}));
  CHECK(writing.join("print", {"c", 4}));
  CHECK(writing.prints() == std::vector<std::string>{"print"});
  auto stopped = writing.stop({"b", 1}); // it waited along: it is answered, and nothing else changes
  CHECK(stopped.waited_along);
  CHECK_FALSE(stopped.cancel);
  stopped = writing.stop({"a", 1}); // "c" still wants what "a" began
  CHECK_FALSE(stopped.waited_along);
  CHECK_FALSE(stopped.cancel);
  CHECK(writing.end({"a", 1}) == std::vector<asker>{{"c", 4}});
  CHECK(writing.prints().empty());
}

TEST_CASE("what no lease wants any more is cancelled, and whoever asks then begins anew") {
  using asker = shared_writing::asker;
  shared_writing writing;
  writing.begin("print", {"a", 1});
  REQUIRE(writing.join("print", {"b", 1}));
  CHECK_FALSE(writing.stop({"a", 1}).cancel);
  const auto last = writing.stop({"b", 1});
  CHECK(last.waited_along);
  CHECK(last.cancel == asker{"a", 1});
  CHECK_FALSE(writing.join("print", {"c", 1}));
  CHECK(writing.end({"a", 1}).empty());
  const auto other = writing.stop({"an evaluation", 3}); // nothing that is written: the worker is told
  CHECK_FALSE(other.waited_along);
  CHECK(other.cancel == asker{"an evaluation", 3});
}
