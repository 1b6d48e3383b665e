// A synthesizer that was frozen, sent as bytes and thawed writes what it would have written at home: the shipped generator's proposals, and a model's
// whole course with repairs. What it may cost is what was reserved.
#include "actors/synthesis/frozen_synthesizer.hpp"
#include "actors/writer.hpp"
#include "protocol/codec.hpp"
#include "protocol/likeness.hpp"
#include "protocol/trace_format.hpp"

#include <doctest/doctest.h>
#include <future>

using namespace kevolve;
using namespace kevolve::synthesis;

namespace {

const target cpu{"cpu", "x86-64-v4", "cpp"};

problem shipped(const std::string& name) {
  auto read = read_problem(std::filesystem::path(KEVOLVE_SOURCE_DIR) / "kb" / "operators" / (name + ".json"));
  REQUIRE_MESSAGE(read, read.error().message);
  return std::move(*read);
}

std::string kernel(int number) {
  return "IDEA: version " + std::to_string(number) + "\n```cpp\n#include \"kevolve.h\"\nextern \"C\" int kevolve_run(const kevolve_tensor*, kevolve_tensor*, const kevolve_int64*, void*, void*) { return 0 * " +
         std::to_string(number) + "; }\n```\n";
}

class talker final : public llm::provider {
public:
  std::vector<llm::request> seen;
  std::function<llm::reply(std::size_t)> says = [](std::size_t n) {
    llm::answer a;
    a.text = kernel(static_cast<int>(n));
    a.used.input = 1000;
    a.used.output = 200;
    return llm::reply(a);
  };
  bool hangs = false;

  llm::handle ask(llm::request asked, llm::reply_handler then) override {
    seen.push_back(std::move(asked));
    if (hangs)
      waiting_ = std::move(then);
    else
      answers_.push_back(std::async(std::launch::async, [then = std::move(then), what = says(seen.size())] { then(what); }));
    return seen.size();
  }
  void cancel(llm::handle) override { std::exchange(waiting_, {})(llm::reply(llm::failure{llm::failure_kind::cancelled, "cancelled", 1, 1})); }

private:
  std::vector<std::future<void>> answers_;
  llm::reply_handler waiting_;
};

class desk final : public model_desk {
public:
  std::shared_ptr<talker> model = std::make_shared<talker>();
  std::function<std::string(const candidate&)> compiler = [](const candidate&) { return ""; };
  result<model_seat> find(const std::string& name) override {
    if (name != "small")
      return error{errc::configuration, "no " + name};
    model_seat seat;
    seat.model.name = "m-1";
    seat.model.provider = "vendor";
    seat.model.max_output_tokens = 1000;
    seat.model.price = llm::token_price{1, 0.1, 1, 10};
    seat.provider = model;
    return seat;
  }
  std::vector<reading> read(const lookup&) override { return {}; }
  void compile(const candidate& what, const target&, std::function<void(std::string)> then) override { then(compiler(what)); }
  bool reserve(std::uint64_t, double) override { return true; }
  void settle(std::uint64_t, double, std::uint64_t, double) override {}
};

struct host {
  std::shared_ptr<desk> models = std::make_shared<desk>();
  std::unique_ptr<host_writer> writes;
  std::atomic<bool> cancelled{false};
  host() {
    writer_description generator;
    generator.name = "generator";
    writes = make_writer({description_of("small", *models->find("small"), 600), generator}, 2, models, &synthesis::generator::make);
  }
  result<written> write(const frozen_synthesizer& what, std::uint64_t tokens = 1'000'000, double usd = 100) {
    return writes->write({what.synthesizer, print_of(what), encode(what), tokens, usd, 60}, cancelled);
  }
};

frozen_synthesizer by_generator(const problem& subject, node_number number = 5) {
  frozen_synthesizer f;
  f.synthesizer = "generator";
  f.session = "s";
  f.number = number;
  f.seed = 42;
  f.subject = subject;
  f.on = cpu;
  f.compiler = "g++";
  return f;
}

frozen_synthesizer by_model(const problem& subject, std::uint32_t repairs = 2) {
  frozen_synthesizer f = by_generator(subject);
  f.synthesizer = "small";
  f.given = freeze(context{});
  f.told = frozen_prompt{"rules", "write it", {}, *language_of(cpu), repairs, true};
  return f;
}

} // namespace

TEST_CASE("the shipped generator proposes on an agent what it proposes at home") {
  for (const std::string name : {"rms_norm_h4096", "softmax_n4096", "matmul_k512_n512"}) {
    const problem subject = shipped(name);
    auto at_home = generator::make(subject, cpu, "g++");
    REQUIRE_MESSAGE(at_home, at_home.error().message);
    host agent;
    auto root = agent.write(by_generator(subject, 0));
    REQUIRE_MESSAGE(root, root.error().message);
    REQUIRE(root->what);
    CHECK(*root->what == (*at_home)->root()->what);

    attempt parent{*root->what->printed_from, root->edge, outcome::passed, 1, 1, {}};
    std::vector<skill> skills{{"vectorize(width=16)", bound::memory, 9, 8, 0, 3.0}};
    std::vector<std::array<std::uint64_t, 2>> known;
    std::set<candidate_id> ids;
    for (node_number number = 1; number <= 12; ++number) { // a line of descent, each step on top of the last
      context given;
      given.parent = parent;
      given.parent->diagnosed.limited_by = bound::memory;
      given.trajectory = {parent};
      given.skills = std::make_shared<const std::vector<skill>>(skills);
      given.is_known = [&](const candidate_id& id) { return ids.contains(id); };
      const auto home = (*at_home)->propose(given, rng(42, number, "synthesis"));
      frozen_synthesizer frozen = by_generator(subject, number);
      frozen.given = freeze(given);
      frozen.skills = skills;
      frozen.known_ids = pack_ids(known);
      const auto away = agent.write(frozen);
      REQUIRE(away);
      REQUIRE(home.has_value() == away->what.has_value());
      if (!home) {
        CHECK(away->failed == home.error().code);
        continue;
      }
      CHECK(*away->what == home->what);
      CHECK(away->edge == home->edge);
      CHECK(away->said.empty());
      ids.insert(home->what.id);
      known.push_back({std::stoull(home->what.id.substr(0, 16), nullptr, 16), std::stoull(home->what.id.substr(16, 16), nullptr, 16)});
      CHECK(is_known(frozen, home->what.id) == false);
      parent = {*home->what.printed_from, home->edge, outcome::passed, 1.1, 1.1, {}};
    }
  }
}

TEST_CASE("an id is known by its first half, a source by its likeness; of very many the newest are") {
  frozen_synthesizer f;
  candidate c;
  c.sources = {{"kernel.cpp", "int x = 1;"}};
  c.id = candidate_hash(c);
  f.known_ids = pack_ids({{{std::stoull(c.id.substr(0, 16), nullptr, 16), std::stoull(c.id.substr(16, 16), nullptr, 16)}}, {{1, 2}}, {{~0ull, 0}}});
  CHECK(is_known(f, c.id));
  CHECK_FALSE(is_known(f, candidate_id(64, 'a')));
  candidate renamed = c;
  renamed.sources[0].content = "int   y = 1; // the same";
  renamed.id = candidate_hash(renamed);
  CHECK_FALSE(is_alike_known(f, renamed));
  f.known_likenesses = pack_likenesses({likeness_of(c), 7});
  CHECK(is_alike_known(f, renamed));
  std::vector<std::uint64_t> many(known_bound + 10);
  for (std::size_t i = 0; i < many.size(); ++i)
    many[i] = i;
  CHECK(pack_likenesses(many).size() == known_bound * 8);
}

TEST_CASE("a model's whole course runs where it was thawed, and says what each request cost") {
  host agent;
  agent.models->compiler = [](const candidate& c) { return c.sources[0].content.find("0 * 1;") != std::string::npos ? "kernel.cpp:2: error: made up" : ""; };
  auto got = agent.write(by_model(shipped("rms_norm_h4096")));
  REQUIRE(got);
  REQUIRE(got->what);
  CHECK(got->what->author == "small");
  CHECK(got->what->id == candidate_hash(*got->what));
  CHECK(got->edge.summary == "version 2");
  REQUIRE(got->said.size() == 2);
  CHECK(got->said[0].asked.instructions == "rules");
  CHECK(got->said[0].asked.turns == std::vector<std::string>{"write it"});
  CHECK(got->said[1].asked.role == "repair");
  CHECK(got->said[1].asked.turns.at(2).find("error: made up") != std::string::npos);
  for (const auto& each : got->said) {
    CHECK(each.said.used.output == 200);
    CHECK(each.said.cost_usd == doctest::Approx(1000e-6 + 200 * 10e-6));
    CHECK(each.asked.reserved_tokens > 1200);
  }
  CHECK(agent.models->model->seen.at(1).idempotency_key == "s/5/1");
}

TEST_CASE("no request is made that what was reserved does not reach for") {
  host agent;
  agent.models->compiler = [](const candidate&) { return "it never compiles"; };
  const auto f = by_model(shipped("rms_norm_h4096"));
  const auto first = agent.write(f, 100);
  REQUIRE(first);
  CHECK(first->failed == errc::budget);
  CHECK(first->said.empty());
  CHECK(agent.models->model->seen.empty());
  const auto one = agent.write(f, 4'000); // one request of at most some 2 x (130 + 1000) tokens took 1200
  REQUIRE(one);
  CHECK(one->said.size() == 1);
  CHECK(one->failed == errc::budget);
  const auto dear = agent.write(f, 1'000'000, 0.001);
  REQUIRE(dear);
  CHECK(dear->said.empty());
}

TEST_CASE("what a model said in an earlier life is not asked for again") {
  host agent;
  auto f = by_model(shipped("rms_norm_h4096"));
  model_answered said;
  said.number = 5;
  said.text = kernel(77);
  said.stop = "end";
  f.said = {said};
  auto got = agent.write(f);
  REQUIRE(got);
  CHECK(got->edge.summary == "version 77");
  CHECK(got->said.empty());
  CHECK(agent.models->model->seen.empty());
}

TEST_CASE("a model that fails is an answer with its cost, an unknown synthesizer or broken bytes are the host's fault") {
  host agent;
  agent.models->model->says = [](std::size_t) { return llm::reply(llm::failure{llm::failure_kind::server, "vendor: 503", 3, 1}); };
  const auto f = by_model(shipped("rms_norm_h4096"));
  auto got = agent.write(f);
  REQUIRE(got);
  CHECK(got->failure == "vendor: 503");
  REQUIRE(got->said.size() == 1);
  CHECK(got->said[0].said.used.output == 1000); // an attempt that nobody saw the end of may have been billed in full
  auto other = f;
  other.synthesizer = "large";
  CHECK(agent.write(other).error().code == errc::infrastructure);
  CHECK_FALSE(agent.writes->write({"small", "p", "no MessagePack", 1, 1, 1}, agent.cancelled));
}

TEST_CASE("cancelling ends a request that hangs") {
  host agent;
  agent.models->model->hangs = true;
  auto under_way = std::async(std::launch::async, [&] { return agent.write(by_model(shipped("rms_norm_h4096"))); });
  agent.cancelled = true;
  const auto got = under_way.get();
  REQUIRE(got);
  CHECK_FALSE(got->what);
}

TEST_CASE("the print names the proposal, not the words that documents put into its prompt nor what is known meanwhile") {
  const auto f = by_model(shipped("rms_norm_h4096"));
  auto other = f;
  other.told->text = "write it, says another edition of the manual";
  other.known_ids = pack_ids({{{1, 2}}});
  other.said.resize(1);
  CHECK(print_of(other) == print_of(f));
  other.number = 6;
  CHECK(print_of(other) != print_of(f));
  other = f;
  other.session = "t";
  CHECK(print_of(other) != print_of(f));
  other = f;
  other.seed = 1;
  CHECK(print_of(other) != print_of(f));
}

TEST_CASE("a frozen synthesizer survives the way as it was, and broken bytes are refused") {
  auto f = by_model(shipped("rms_norm_h4096"));
  f.given->siblings.resize(2);
  f.given->priors.resize(1);
  f.skills.resize(1);
  const std::string bytes = encode(f);
  auto again = decode<frozen_synthesizer>(bytes);
  REQUIRE_MESSAGE(again, again.error().message);
  CHECK(encode(*again) == bytes);
  for (std::size_t cut = 0; cut < bytes.size(); cut += 97)
    CHECK_FALSE(decode<frozen_synthesizer>(bytes.substr(0, cut)));
}
