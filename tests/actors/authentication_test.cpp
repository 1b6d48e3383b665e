// Ways into a scheduler's port for agents without being let in, each tried KEVOLVE_AUTHENTICATION_TRIES times (default 25; the long form is 1000).
// What must come of each: nothing is received. After every batch an honest agent's message must arrive, so that silence is the port's and not a
// dead port's; and every way has a control: the same batch with what is wrong put right is received in full.
#include "actors/dispatch_logic.hpp"
#include "actors/gatekeeper.hpp"
#include "actors/link.hpp"
#include "actors/zeromq_socket.hpp"
#include "protocol/codec.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <netinet/in.h>
#include <poll.h>
#include <set>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace kevolve;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

constexpr std::size_t batch = 50; // connections at a time

std::size_t tries() {
  const char* asked = std::getenv("KEVOLVE_AUTHENTICATION_TRIES");
  return asked ? std::max(1l, std::atol(asked)) : 25;
}

key_file key_of(const std::string& name, key_role role, const std::string& scheduler = {}) {
  auto made = make_key(name, role);
  REQUIRE(made);
  made->scheduler = scheduler;
  return *made;
}

std::string hello_of(const std::string& identity, std::uint64_t sequence = 1, const std::string& sender = {}) {
  return encode(envelope{protocol_version, sender.empty() ? identity : sender, "", sequence, agent_hello{identity.substr(0, identity.find('/')), identity, protocol_version, {}, 1, {}}});
}

/// A scheduler's port for agents, with everything real but the scheduler.
struct port {
  std::filesystem::path at;
  zmq::context_t context{1};
  key_file own = key_of("scheduler", key_role::scheduler);
  std::shared_ptr<allow_list> allowed;
  std::unique_ptr<gatekeeper> gate;
  std::unique_ptr<kevolve::link> wire;
  std::string endpoint;
  int tcp = 0;
  std::mutex mutex;
  std::multiset<std::string> heard; // who was received
  key_file honest;
  std::uint64_t asked = 0;

  explicit port(bool guarded = true) {
    std::string name = (std::filesystem::temp_directory_path() / "kevolve-port-XXXXXX").string();
    at = mkdtemp(name.data());
    allowed = std::make_shared<allow_list>(at / "allowed");
    if (guarded)
      open_gate();
    link_callbacks callbacks;
    callbacks.received = [this](std::string agent, message) {
      std::lock_guard lock(mutex);
      heard.insert(std::move(agent));
    };
    for (tcp = 30000 + ::getpid() % 20000; !wire; ++tcp) {
      endpoint = "tcp://127.0.0.1:" + std::to_string(tcp);
      auto opened = kevolve::link::open(endpoint, context.handle(), "scheduler", callbacks, link_security{own, allowed});
      if (opened)
        wire = std::move(*opened);
      else
        REQUIRE_MESSAGE(opened.error().code == errc::busy, opened.error().message);
    }
    --tcp;
    honest = admitted_key("honest");
  }
  ~port() {
    wire.reset();
    gate.reset();
    std::filesystem::remove_all(at);
  }
  void open_gate() {
    auto opened = gatekeeper::open(context.handle(), allowed);
    REQUIRE(opened);
    gate = std::move(*opened);
  }
  key_file admitted_key(const std::string& name, key_role role = key_role::agent) {
    key_file key = key_of(name, role, own.public_key);
    REQUIRE(allowed->add({key.public_key, role, name}));
    return key;
  }
  std::size_t heard_of(const std::string& prefix) {
    std::lock_guard lock(mutex);
    return static_cast<std::size_t>(std::count_if(heard.begin(), heard.end(), [&](const std::string& each) { return each.starts_with(prefix); }));
  }
  bool await(const std::string& prefix, std::size_t count, std::chrono::milliseconds limit = 20s) {
    for (const auto until = steady::now() + limit; heard_of(prefix) < count;) {
      if (steady::now() > until)
        return false;
      std::this_thread::sleep_for(2ms);
    }
    return true;
  }
};

/// One connection that says hello as `identity`.
struct caller {
  zmq::socket_t socket;
  caller(zmq::context_t& context, const std::string& endpoint, const std::string& identity, const std::function<void(zmq::socket_ref)>& secure) : socket(context, zmq::socket_type::dealer) {
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::routing_id, identity);
    socket.set(zmq::sockopt::sndtimeo, 0);
    secure(socket);
    socket.connect(endpoint);
  }
  void say(const std::string& bytes) { (void)socket.send(zmq::buffer(bytes), zmq::send_flags::dontwait); }
};

std::function<void(zmq::socket_ref)> curve(const key_file& key) {
  return [key](zmq::socket_ref s) { connect_securely(s, key.public_key, key.secret_key, key.scheduler); };
}

/// The honest agent is still received: the port lives and has worked off what came before.
void check_alive(port& p, zmq::context_t& context) {
  const std::string identity = "honest/" + std::to_string(++p.asked);
  caller honest(context, p.endpoint, identity, curve(p.honest));
  honest.say(hello_of(identity));
  REQUIRE(p.await(identity, 1));
}

/// `make(n)` connects the n-th intruder. None may be heard, however long the port takes for an honest one, twice over.
void try_ways(port& p, std::size_t count, const std::function<std::unique_ptr<caller>(zmq::context_t&, std::size_t)>& make, const std::string& prefix) {
  for (std::size_t from = 0; from < count; from += batch) {
    zmq::context_t context(1);
    context.set(zmq::ctxopt::max_sockets, 4096);
    std::vector<std::unique_ptr<caller>> callers;
    for (std::size_t n = from; n < std::min(count, from + batch); ++n)
      callers.push_back(make(context, n));
    const auto began = steady::now();
    check_alive(p, context);
    std::this_thread::sleep_for(std::max<steady::duration>(100ms, steady::now() - began));
    check_alive(p, context);
    CHECK(p.heard_of(prefix) == 0);
  }
}

/// The control: the same calls, put right, are all received.
void try_control(port& p, std::size_t count, const std::function<std::unique_ptr<caller>(zmq::context_t&, std::size_t)>& make, const std::string& prefix) {
  zmq::context_t context(1);
  std::vector<std::unique_ptr<caller>> callers;
  for (std::size_t n = 0; n < count; ++n)
    callers.push_back(make(context, n));
  CHECK(p.await(prefix, count));
}

std::unique_ptr<caller> saying_hello(zmq::context_t& context, const port& p, const std::string& identity, const std::function<void(zmq::socket_ref)>& secure) {
  auto made = std::make_unique<caller>(context, p.endpoint, identity, secure);
  made->say(hello_of(identity));
  return made;
}

int connected_to(int tcp) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(tcp));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  return fd;
}

void send_all(int fd, std::string_view bytes) { (void)!::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL); }

/// ZMTP's signature, version and mechanism.
std::string greeting(char major, char minor, const std::string& mechanism, bool as_server = false) {
  std::string g("\xff\0\0\0\0\0\0\0\x01\x7f", 10);
  g += major;
  g += minor;
  g += mechanism + std::string(20 - mechanism.size(), '\0');
  g += as_server ? '\1' : '\0';
  return g + std::string(31, '\0');
}

/// Raw bytes that pretend to be an agent, `count` connections of each; the port answers none of them with a message and goes on.
void try_bytes(port& p, std::size_t count, const std::vector<std::string>& what) {
  zmq::context_t context(1);
  for (std::size_t from = 0; from < count; from += batch) {
    std::vector<int> connections;
    for (std::size_t n = from; n < std::min(count, from + batch); ++n)
      for (const std::string& bytes : what) {
        connections.push_back(connected_to(p.tcp));
        send_all(connections.back(), bytes);
      }
    check_alive(p, context);
    for (const int fd : connections)
      ::close(fd);
  }
  const auto total = p.wire->counts();
  CHECK(total.received == p.asked);
}

} // namespace

TEST_CASE("keys that are unknown, for people, for another scheduler, or a wrong half are not let in") {
  port p;
  const key_file client = p.admitted_key("person", key_role::client), agent = p.admitted_key("fleet");
  const std::size_t n = tries();
  const auto with = [&](const std::function<key_file(std::size_t)>& key) {
    return [&, key](zmq::context_t& c, std::size_t at) { return saying_hello(c, p, "fleet.x/" + std::to_string(at), curve(key(at))); };
  };
  SUBCASE("unknown") { try_ways(p, n, with([&](std::size_t) { return key_of("fleet", key_role::agent, p.own.public_key); }), "fleet"); }
  SUBCASE("a person's") {
    try_ways(p, n, [&](zmq::context_t& c, std::size_t at) { return saying_hello(c, p, "person/" + std::to_string(at), curve(client)); }, "person");
  }
  SUBCASE("meant for another scheduler") {
    try_ways(p, n, with([&](std::size_t) {
      key_file wrong = agent;
      wrong.scheduler = key_of("s", key_role::scheduler).public_key;
      return wrong;
    }), "fleet");
  }
  SUBCASE("a public half without its secret") {
    try_ways(p, n, with([&](std::size_t) {
      key_file wrong = agent;
      wrong.secret_key = key_of("x", key_role::agent).secret_key;
      return wrong;
    }), "fleet");
  }
  SUBCASE("the scheduler's own") {
    try_ways(p, n, with([&](std::size_t) {
      key_file wrong = p.own;
      wrong.scheduler = p.own.public_key;
      return wrong;
    }), "fleet");
  }
  try_control(p, batch, with([&](std::size_t) { return agent; }), "fleet");
}

TEST_CASE("no lesser mechanism is taken: none at all, a password, or an older protocol") {
  port p;
  const key_file agent = p.admitted_key("fleet");
  const std::size_t n = tries();
  try_ways(p, n, [&](zmq::context_t& c, std::size_t at) { return saying_hello(c, p, "fleet/" + std::to_string(at), [](zmq::socket_ref) {}); }, "fleet");
  try_ways(p, n, [&](zmq::context_t& c, std::size_t at) {
    return saying_hello(c, p, "fleet/" + std::to_string(at), [](zmq::socket_ref s) {
      s.set(zmq::sockopt::plain_username, std::string("fleet"));
      s.set(zmq::sockopt::plain_password, std::string("fleet"));
    });
  }, "fleet");
  const std::string hello = hello_of("fleet/1");
  const std::string frame = std::string("\0", 1) + static_cast<char>(std::min<std::size_t>(hello.size(), 255)) + hello;
  try_bytes(p, n, {std::string("\x08\0fleet/1", 9) + frame,                                     // 1.0: a length, then the identity
                   std::string("\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05", 12) + std::string("\0\7fleet/1", 9) + frame, // 2.0: a DEALER
                   greeting(3, 0, "NULL") + std::string("\x04\x26\x05READY\x0bSocket-Type\0\0\0\6DEALER\x08Identity\0\0\0\0", 40) + frame,
                   greeting(3, 1, "CURVE", true) + frame, greeting(3, 0, "CURVE") + frame, greeting(4, 0, "GSSAPI") + frame, greeting(3, 0, "\xff\xfe") + frame, hello,
                   std::string(4096, '\0'), std::string(4096, '\xff'), "GET / HTTP/1.1\r\n\r\n"});
  try_control(p, batch, [&](zmq::context_t& c, std::size_t at) { return saying_hello(c, p, "fleet/" + std::to_string(at), curve(agent)); }, "fleet");
}

TEST_CASE("a key that was revoked is out, also when its connection stands already") {
  port p;
  const std::size_t n = tries();
  for (std::size_t from = 0; from < n; from += batch) {
    zmq::context_t context(1);
    std::vector<std::unique_ptr<caller>> standing;
    std::vector<key_file> keys;
    const std::size_t here = std::min(batch, n - from);
    for (std::size_t at = 0; at < here; ++at) {
      const std::string name = "leaver" + std::to_string(from + at);
      keys.push_back(p.admitted_key(name));
      standing.push_back(saying_hello(context, p, name + "/1", curve(keys.back())));
    }
    REQUIRE(p.await("leaver", from + here)); // the control: before, all were received
    for (const key_file& key : keys)
      REQUIRE(*p.allowed->remove(key.name));
    const auto before = p.wire->counts();
    std::vector<std::unique_ptr<caller>> anew;
    for (std::size_t at = 0; at < here; ++at) {
      standing[at]->say(hello_of(keys[at].name + "/1", 2));
      anew.push_back(saying_hello(context, p, keys[at].name + "/2", curve(keys[at])));
    }
    for (const auto until = steady::now() + 20s; p.wire->counts().refused < before.refused + here && steady::now() < until;)
      std::this_thread::sleep_for(2ms);
    CHECK(p.wire->counts().refused >= before.refused + here); // each standing connection was told no at its next word
    check_alive(p, context);
    CHECK(p.heard_of("leaver") == from + here);
  }
}

TEST_CASE("nobody speaks for another: names, senders, sequence numbers, routing ids") {
  port p;
  const key_file one = p.admitted_key("one"), two = p.admitted_key("two");
  const std::size_t n = tries();
  const auto refused_all = [&](const std::string& prefix, const std::function<std::unique_ptr<caller>(zmq::context_t&, std::size_t)>& make) { try_ways(p, n, make, prefix); };
  refused_all("two", [&](zmq::context_t& c, std::size_t at) { return saying_hello(c, p, "two.host/" + std::to_string(at), curve(one)); }); // another key's name
  refused_all("oner", [&](zmq::context_t& c, std::size_t at) { return saying_hello(c, p, "oner/" + std::to_string(at), curve(one)); });  // a name that only begins alike
  refused_all("one.sender", [&](zmq::context_t& c, std::size_t at) {
    const std::string identity = "one.sender/" + std::to_string(at);
    auto made = std::make_unique<caller>(c, p.endpoint, identity, curve(one));
    made->say(hello_of(identity, 1, "two.host/1")); // the envelope names somebody else
    return made;
  });
  zmq::context_t context(1);
  auto live = saying_hello(context, p, "one.live/7", curve(one));
  REQUIRE(p.await("one.live/7", 1));
  for (std::size_t at = 0; at < n; at += batch) { // a live agent's routing id, by its own key and by another: the connection that was there keeps it
    std::vector<std::unique_ptr<caller>> thieves;
    for (std::size_t i = at; i < std::min(n, at + batch); ++i) {
      thieves.push_back(std::make_unique<caller>(context, p.endpoint, "one.live/7", curve(i % 2 ? one : two)));
      thieves.back()->say(hello_of("one.live/7", 1000 + i));
    }
    check_alive(p, context);
    std::this_thread::sleep_for(100ms);
    CHECK(p.heard_of("one.live/7") == 1);
  }
  for (std::size_t i = 0; i < n; ++i)
    live->say(hello_of("one.live/7", 1)); // its own words, once more
  check_alive(p, context);
  CHECK(p.heard_of("one.live/7") == 1);
  live->say(hello_of("one.live/7", 2));
  CHECK(p.await("one.live/7", 2)); // the control: its next word is heard
}

TEST_CASE("a recorded connection that is played again says nothing") {
  port p;
  const key_file agent = p.admitted_key("fleet");
  // A relay on loopback records what an honest agent sends.
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof here;
  REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&here), sizeof here) == 0);
  REQUIRE(::listen(listener, 4) == 0);
  REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&here), &length) == 0);
  std::string recorded;
  std::atomic<bool> over{false};
  std::thread relay([&] {
    const int from = ::accept(listener, nullptr, nullptr), to = connected_to(p.tcp);
    pollfd both[] = {{from, POLLIN, 0}, {to, POLLIN, 0}};
    while (!over) {
      ::poll(both, 2, 20);
      for (int i : {0, 1})
        if (both[i].revents & POLLIN) {
          char bytes[4096];
          const ssize_t got = ::recv(both[i].fd, bytes, sizeof bytes, 0);
          if (got <= 0)
            over = true;
          else if (i == 0)
            recorded.append(bytes, static_cast<std::size_t>(got));
          if (got > 0)
            send_all(both[1 - i].fd, std::string_view(bytes, static_cast<std::size_t>(got)));
        }
    }
    ::close(from);
    ::close(to);
  });
  {
    zmq::context_t context(1);
    caller honest(context, "tcp://127.0.0.1:" + std::to_string(ntohs(here.sin_port)), "fleet/1", curve(agent));
    honest.say(hello_of("fleet/1"));
    CHECK(p.await("fleet/1", 1));
    over = true;
    relay.join();
  }
  ::close(listener);
  REQUIRE(recorded.size() > 300); // greeting, two commands of the handshake, a message
  ++p.asked;                      // that one
  try_bytes(p, tries(), {recorded});
}

TEST_CASE("while nobody authenticates, nobody is let in") {
  const std::size_t n = tries();
  SUBCASE("there is no gatekeeper") {
    port p(false);
    const key_file agent = p.admitted_key("fleet");
    zmq::context_t context(1);
    std::vector<std::unique_ptr<caller>> callers;
    for (std::size_t at = 0; at < n; ++at)
      callers.push_back(saying_hello(context, p, "fleet/" + std::to_string(at), curve(agent)));
    std::this_thread::sleep_for(1s);
    CHECK(p.wire->counts().received == 0);
    p.open_gate();
    CHECK(p.await("fleet", n)); // the control: with one they come in, by themselves
  }
  SUBCASE("it takes requests and never answers") {
    port p(false);
    const key_file agent = p.admitted_key("fleet");
    zmq::socket_t silent(p.context, zmq::socket_type::rep);
    silent.set(zmq::sockopt::linger, 0);
    silent.bind("inproc://zeromq.zap.01");
    zmq::context_t context(1);
    std::vector<std::unique_ptr<caller>> callers;
    for (std::size_t at = 0; at < n; ++at)
      callers.push_back(saying_hello(context, p, "fleet/" + std::to_string(at), curve(agent)));
    zmq::message_t request;
    silent.set(zmq::sockopt::rcvtimeo, 20'000);
    CHECK(silent.recv(request, zmq::recv_flags::none)); // somebody was asked about
    std::this_thread::sleep_for(500ms);
    CHECK(p.wire->counts().received == 0);
    silent.close();
  }
  SUBCASE("it dies") {
    port p;
    const key_file agent = p.admitted_key("fleet");
    zmq::context_t context(1);
    check_alive(p, context);
    p.gate.reset();
    std::vector<std::unique_ptr<caller>> callers;
    for (std::size_t at = 0; at < n; ++at)
      callers.push_back(saying_hello(context, p, "fleet/" + std::to_string(at), curve(agent)));
    std::this_thread::sleep_for(1s);
    CHECK(p.heard_of("fleet") == 0);
    p.open_gate();
    CHECK(p.await("fleet", n));
  }
}

TEST_CASE("connections that never finish their handshake keep nobody out") {
  port p;
  const std::size_t n = std::min<std::size_t>(400 * ((tries() + 24) / 25), 10'000);
  zmq::context_t context(1);
  std::vector<int> open;
  const std::string half = greeting(3, 0, "CURVE");
  for (std::size_t at = 0; at < n; ++at) {
    const int fd = connected_to(p.tcp);
    send_all(fd, std::string_view(half).substr(0, at % half.size()));
    open.push_back(fd);
    if (open.size() == 400) { // below the usual limit on descriptors; the port has its end of each
      check_alive(p, context);
      for (const int each : open)
        ::close(each);
      open.clear();
    }
  }
  check_alive(p, context);
  for (const int each : open)
    ::close(each);
  CHECK(p.wire->counts().received == p.asked);
}

TEST_CASE("what an agent says of leases that are not its own counts for nothing") {
  dispatch::dispatcher d;
  const auto hello = [](const std::string& identity) {
    agent_hello h{identity.substr(0, identity.find('/')), identity, protocol_version, {}, 0, {}};
    h.devices.push_back({"cpu0", "cpu-x86_64", target{"cpu", "", "cpp"}, 1, {}});
    return dispatch::hello{identity, h};
  };
  const auto counted = [](const std::vector<dispatch::effect>& effects) {
    return std::count_if(effects.begin(), effects.end(), [](const auto& e) { return std::holds_alternative<dispatch::deliver>(e); });
  };
  const std::size_t n = tries();
  for (std::size_t at = 0; at < n; ++at) {
    const std::string task = "s/" + std::to_string(at);
    (void)d.step(hello("a/" + std::to_string(at)), 0);
    dispatch::submit asked;
    asked.task = task;
    asked.owner = "s";
    asked.on = {"cpu", "", "cpp"};
    (void)d.step(asked, 0);
    (void)d.step(hello("b/1"), 0);
    const std::string holder = "a/" + std::to_string(at);
    CHECK(counted(d.step(dispatch::finished{"b/1", task, 1, false, ""}, 0)) == 0);                              // another agent
    CHECK(counted(d.step(dispatch::finished{"a/" + std::to_string(at + 1), task, 1, false, ""}, 0)) == 0);      // another incarnation
    CHECK(counted(d.step(dispatch::finished{holder, task, 0, false, ""}, 0)) == 0);                             // an old epoch
    CHECK(counted(d.step(dispatch::finished{holder, task, 2, false, ""}, 0)) == 0);                             // one to come
    CHECK(counted(d.step(dispatch::finished{holder, "s/none", 1, false, ""}, 0)) == 0);                         // no task at all
    CHECK(counted(d.step(dispatch::finished{holder, task, 1, false, ""}, 0)) == 1);                             // the control
    CHECK(counted(d.step(dispatch::finished{holder, task, 1, false, ""}, 0)) == 0);                             // said twice
    (void)d.step(dispatch::goodbye{holder, ""}, 0);
  }
}

TEST_CASE("a key file that others may read is not used, whatever they may do with it") {
  port p;
  const auto file = p.at / "fleet.key";
  key_file key = key_of("fleet", key_role::agent, p.own.public_key);
  REQUIRE(write_key(file, key));
  CHECK(read_key(file));
  using std::filesystem::perms;
  for (const perms extra : {perms::group_read, perms::group_write, perms::others_read, perms::others_write, perms::group_all, perms::others_all})
    for (std::size_t at = 0; at < tries() / 6 + 1; ++at) {
      std::filesystem::permissions(file, perms::owner_read | perms::owner_write | extra);
      CHECK_FALSE(read_key(file));
    }
  std::filesystem::permissions(file, perms::owner_read | perms::owner_write);
  CHECK(read_key(file));
}
