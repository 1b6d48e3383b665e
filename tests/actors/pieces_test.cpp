// What is compiled elsewhere and what travels in pieces, through the real scheduler, link and agents in one process; hosts are made up.
#include "engine_world.hpp"
#include "node-agent/workspace.hpp"
#include "protocol/digest.hpp"

#include <doctest/doctest.h>
#include <fstream>
#include <map>

using namespace kevolve;
using namespace kevolve::test;

namespace {

constexpr const char* made_by = "g++ 1.2.3";

/// What a made-up compiler makes of a candidate: `size` bytes that say of which.
std::string program_of(const candidate& c, std::size_t size) {
  std::string bytes;
  while (bytes.size() < size)
    bytes += c.id;
  return bytes;
}

/// Compiles for others, and evaluates nothing.
class compiling_host final : public agent::host_evaluator {
public:
  explicit compiling_host(std::filesystem::path at) : at_(std::move(at)) {}
  std::function<std::optional<error>(const compile_work&)> before;
  std::atomic<unsigned> compiled = 0;
  std::size_t program_bytes = 3 * limits::piece_bytes + 17;

  std::vector<device_description> devices() const override { return {}; }
  std::vector<std::string> toolchains() override { return {made_by}; }
  program_host programs() const override { return {"x86_64", 2036, {}}; }
  result<agent::made_for_another> compile_for(const compile_work& what, const std::atomic<bool>&) override {
    ++compiled;
    if (before)
      if (auto failed = before(what))
        return *failed;
    agent::made_for_another done;
    done.answer.candidate = what.what.id, done.answer.toolchain = made_by, done.answer.good = true;
    const std::string bytes = program_of(what.what, program_bytes);
    done.answer.artifact = {sha256_hex(bytes), bytes.size()};
    done.file = at_ / what.what.id;
    KEVOLVE_TRY_VOID(agent::write_file(done.file, bytes));
    return done;
  }
  result<agent::host_roofs> roofs() override { return agent::host_roofs{}; }
  result<evaluation> evaluate(const evaluate_work&, const std::atomic<bool>&) override { return error{errc::infrastructure, "this host has no device"}; }
  result<problem> trace(const trace_work&, const std::atomic<bool>&) override { return error{errc::not_found, "no Python"}; }
  void prepare_baselines(const problem&, const std::vector<std::string>&) override {}
  std::vector<std::pair<std::string, std::string>> self_test() override { return {}; }

private:
  const std::filesystem::path at_;
};

/// Evaluates with programs from elsewhere, or with work that says how large its answer shall be.
class bare_host final : public agent::host_evaluator {
public:
  bool bare = true;
  std::size_t log_bytes = 0;
  std::atomic<unsigned> fetched = 0, wrong = 0;
  std::atomic<std::size_t> work_bytes = 0;

  std::vector<device_description> devices() const override { return {made_up::device()}; }
  bool compiles() const override { return !bare; }
  program_host programs() const override { return {"x86_64", 2036, {}}; }
  void use(agent::remote_compiler elsewhere) override { elsewhere_ = std::move(elsewhere); }
  result<agent::host_roofs> roofs() override { return agent::host_roofs{}; }
  result<evaluation> evaluate(const evaluate_work& what, const std::atomic<bool>& cancelled) override {
    work_bytes = what.subject.op.description.size();
    if (bare) {
      KEVOLVE_TRY(made, elsewhere_.compile({what.what, "g++", programs(), 20}, cancelled));
      KEVOLVE_TRY(bytes, elsewhere_.fetch(made.artifact, cancelled));
      ++fetched;
      wrong += bytes != program_of(what.what, bytes.size());
    }
    evaluation answer = made_up::measure(what);
    answer.log = std::string(log_bytes, 'l');
    return answer;
  }
  result<problem> trace(const trace_work&, const std::atomic<bool>&) override { return error{errc::not_found, "no Python"}; }
  void prepare_baselines(const problem&, const std::vector<std::string>&) override {}
  std::vector<std::pair<std::string, std::string>> self_test() override { return {}; }

private:
  agent::remote_compiler elsewhere_;
};

struct two_agents {
  engine_world world;
  bare_host bare;
  compiling_host whole{world.directory.path};
  std::unique_ptr<agent_service> evaluates, compiles;

  std::unique_ptr<agent_service> serve(agent::host_evaluator& host, const std::string& name) {
    auto started = agent_service::start(host, "inproc://kevolve-test", world.context.handle(), name);
    REQUIRE(started);
    return std::move(*started);
  }
};

} // namespace

TEST_CASE("a session runs on an agent without a compiler, with programs that another one makes, in pieces") {
  two_agents both;
  both.world.start_engine();
  both.evaluates = both.serve(both.bare, "bare");
  both.compiles = both.serve(both.whole, "whole");
  auto session = both.world.engine->submit(made_up::subject(), {}, short_search(20));
  REQUIRE_MESSAGE(session, session.error().message);
  const auto end = both.world.engine->wait(*session, {});
  CHECK_FALSE(end.failure);
  CHECK(end.verified);
  CHECK(both.world.events<evaluation_recorded>(*session).size() == 20);
  CHECK(both.bare.fetched >= 20);
  CHECK(both.bare.wrong == 0);
  const auto took = both.evaluates->exchanges();
  CHECK(took.blobs == both.bare.fetched);
  CHECK(took.pieces == 4 * took.blobs);
  CHECK(took.came_twice == 0);
  CHECK(both.compiles->exchanges().compiled_for_others == both.whole.compiled);
}

TEST_CASE("a compiling host that fails is infrastructure and asked again; the session does not notice") {
  two_agents both;
  std::atomic<int> failures = 4;
  both.whole.before = [&](const compile_work&) -> std::optional<error> {
    return failures-- > 0 ? std::optional(error{errc::infrastructure, "the disk is full"}) : std::nullopt;
  };
  both.world.start_engine();
  both.evaluates = both.serve(both.bare, "bare");
  both.compiles = both.serve(both.whole, "whole");
  auto session = both.world.engine->submit(made_up::subject(), {}, through_one_slot(6));
  REQUIRE(session);
  CHECK_FALSE(both.world.engine->wait(*session, {}).failure);
  CHECK(both.world.events<evaluation_recorded>(*session).size() == 6);
  for (const auto& each : both.world.events<evaluation_recorded>(*session))
    CHECK(each.what.result != outcome::infrastructure);
}

TEST_CASE("where nobody compiles, an agent without a compiler serves nothing, and a session says why") {
  two_agents alone;
  alone.world.parts.agent_wait_s = 0.5;
  alone.world.start_engine();
  alone.evaluates = alone.serve(alone.bare, "bare");
  const auto session = alone.world.engine->submit(made_up::subject(), {}, short_search(2));
  REQUIRE_FALSE(session);
  CHECK(session.error().code == errc::no_agent);
  CHECK(session.error().message.find("no agent compiles for it") != std::string::npos);
}

TEST_CASE("work and answers that are larger than a frame travel in pieces, both ways") {
  two_agents one;
  one.bare.bare = false;
  one.bare.log_bytes = limits::inline_bytes + 1000;
  one.world.start_engine();
  one.evaluates = one.serve(one.bare, "here");
  problem large = made_up::subject();
  large.op.description = std::string(limits::frame_bytes + 1000, 'd');
  auto session = one.world.engine->submit(large, {}, through_one_slot(3));
  REQUIRE_MESSAGE(session, session.error().message);
  CHECK_FALSE(one.world.engine->wait(*session, {}).failure);
  CHECK(one.bare.work_bytes == large.op.description.size());
  const auto recorded = one.world.events<evaluation_recorded>(*session);
  REQUIRE(recorded.size() == 3);
  CHECK(recorded[0].what.log.size() == one.bare.log_bytes);
  CHECK(one.evaluates->exchanges().blobs >= 3);
  CHECK(one.evaluates->exchanges().came_twice == 0);
}
