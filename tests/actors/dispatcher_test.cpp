// The dispatcher actor with a real link and agent, and nobody behind its tasks.
#include "actors/dispatcher.hpp"
#include "engine_world.hpp"
#include "protocol/codec.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>
#include <doctest/doctest.h>
#include <future>

using namespace kevolve;
using namespace kevolve::test;

namespace {

struct with_messages : caf::actor_system_config {
  with_messages() { add_message_types<caf::id_block::kevolve_actors>(); }
};

template <class Is>
bool comes_true(Is is) {
  for (int i = 0; i < 1500; ++i) {
    if (is())
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

} // namespace

TEST_CASE("a result that was delivered and then withdrawn is acknowledged: its agent does not say it for ever") {
  zmq::context_t context{1};
  made_up_host host;
  with_messages config;
  auto address = std::make_shared<std::promise<actors::dispatcher_actor>>();
  const auto found = address->get_future().share();
  auto wire = kevolve::link::open("inproc://kevolve-dispatcher-test", context.handle(), "kevolve",
                         {[found](std::string agent, message what) { caf::anon_send(found.get(), actors::from_agent{std::move(agent), std::make_shared<message>(std::move(what))}); }, [](auto&&...) {}});
  REQUIRE(wire);
  const std::shared_ptr<kevolve::link> shared = std::move(*wire);
  {
    caf::actor_system system(config);
    const actors::dispatcher_actor dispatcher = system.spawn(actors::dispatcher, actors::dispatcher_parts{shared, {}, {}});
    address->set_value(dispatcher);
    auto agent = agent_service::start(host, "inproc://kevolve-dispatcher-test", context.handle(), "here");
    REQUIRE(agent);
    evaluate_work what;
    what.subject = made_up::subject();
    what.on = made_up::device().on;
    what.what.id = std::string(64, 'a');
    dispatch::submit asks;
    asks.task = "s/1/0";
    asks.owner = "s";
    asks.on = what.on;
    caf::anon_send(dispatcher, actors::submit_task{asks, std::make_shared<const std::string>(encode(work(what))), {}, {}, 1, 0});
    const auto leases = [&] {
      auto answer = std::make_shared<std::promise<std::vector<agent_status>>>();
      auto all = answer->get_future();
      caf::anon_send(dispatcher, actors::list_agents{answer});
      const auto listed = all.get();
      return listed.empty() ? 1u : listed[0].leases;
    };
    REQUIRE(comes_true([&] { return (*agent)->held() == 1 && host.asked == 1 && leases() == 0; })); // it waits for the disk
    caf::anon_send(dispatcher, actors::withdraw_task{"s/1/0"});
    CHECK(comes_true([&] { return (*agent)->held() == 0; }));
    agent->reset();
    caf::anon_send_exit(dispatcher, caf::exit_reason::user_shutdown);
  }
}
