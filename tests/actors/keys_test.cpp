// Keys, the allow list, and who comes in on a CURVE socket.
#include "actors/client_port.hpp"
#include "actors/gatekeeper.hpp"

#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.hpp>

using namespace kevolve;

namespace {

struct folder {
  std::filesystem::path at;
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "kevolve-keys-XXXXXX").string();
    at = mkdtemp(name.data());
  }
  ~folder() { std::filesystem::remove_all(at); }
};

key_file key_of(const std::string& name, key_role role, const key_file* scheduler = nullptr) {
  auto made = make_key(name, role);
  REQUIRE(made);
  if (scheduler)
    made->scheduler = scheduler->public_key;
  return *made;
}

/// A scheduler's port for people that answers each request with who asked.
struct answering {
  folder files;
  zmq::context_t context{1};
  key_file own = key_of("scheduler", key_role::scheduler);
  std::shared_ptr<allow_list> allowed = std::make_shared<allow_list>(files.at / "allowed");
  std::unique_ptr<gatekeeper> gate;
  std::unique_ptr<client_port> port;
  std::string endpoint = "ipc://" + (files.at / "people").string();

  explicit answering(bool guarded) {
    if (guarded) {
      auto opened = gatekeeper::open(context.handle(), allowed);
      REQUIRE(opened);
      gate = std::move(*opened);
    }
    auto opened = client_port::open(endpoint, context.handle(), {own, allowed}, [](client_request& asked, const std::string& who) {
      return client_reply{.text = who + " asked for " + asked.what};
    });
    REQUIRE_MESSAGE(opened, (opened ? std::string() : opened.error().message));
    port = std::move(*opened);
  }
  ~answering() {
    port.reset();
    gate.reset();
  }
  result<std::string> ask(const key_file& key, double patience_s = 0.4) const { return ask_scheduler(endpoint, key, {client_protocol_version, "sessions", "", std::nullopt}, patience_s); }
};

} // namespace

TEST_CASE("a key file is for its owner alone and is never written over") {
  folder f;
  const auto key = key_of("ada", key_role::client);
  key_file with_scheduler = key;
  with_scheduler.scheduler = key.public_key;
  REQUIRE(write_key(f.at / "ada.key", with_scheduler));
  struct stat about {};
  REQUIRE(::stat((f.at / "ada.key").c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
  CHECK_FALSE(write_key(f.at / "ada.key", with_scheduler));
  const auto read = read_key(f.at / "ada.key");
  REQUIRE(read);
  CHECK(read->name == "ada");
  CHECK(read->secret_key == key.secret_key);
  ::chmod((f.at / "ada.key").c_str(), 0640);
  const auto open = read_key(f.at / "ada.key");
  REQUIRE_FALSE(open);
  CHECK(open.error().message.find("others may read it") != std::string::npos);
  std::ofstream(f.at / "short.key") << "name x\nrole agent\npublic short\n";
  ::chmod((f.at / "short.key").c_str(), 0600);
  CHECK_FALSE(read_key(f.at / "short.key"));
  CHECK_FALSE(read_key(f.at / "none.key"));
  CHECK_FALSE(make_key("a name", key_role::agent));
}

TEST_CASE("the allow list is read again when it changes, by whoever changes it") {
  folder f;
  allow_list mine(f.at / "allowed"), theirs(f.at / "allowed");
  const auto key = key_of("fleet", key_role::agent);
  CHECK_FALSE(mine.find(key.public_key));
  REQUIRE(theirs.add({key.public_key, key.role, key.name}));
  CHECK_FALSE(theirs.add({key_of("x", key_role::agent).public_key, key_role::agent, "fleet"})); // the name is taken
  REQUIRE(mine.find(key.public_key));
  CHECK(mine.holds("fleet", key_role::agent));
  CHECK_FALSE(mine.holds("fleet", key_role::client));
  CHECK(*theirs.remove("fleet"));
  CHECK_FALSE(*theirs.remove("fleet"));
  CHECK_FALSE(mine.find(key.public_key));
  std::filesystem::remove(f.at / "allowed");
  CHECK_FALSE(mine.holds("fleet", key_role::agent)); // a list that is gone lets nobody in
}

TEST_CASE("only a key of the right role on the list is answered, under its name") {
  answering s(true);
  const auto ada = key_of("ada", key_role::client, &s.own), fleet = key_of("fleet", key_role::agent, &s.own), stranger = key_of("stranger", key_role::client, &s.own);
  REQUIRE(s.allowed->add({ada.public_key, ada.role, ada.name}));
  REQUIRE(s.allowed->add({fleet.public_key, fleet.role, fleet.name}));
  const auto answer = s.ask(ada, 5);
  REQUIRE_MESSAGE(answer, (answer ? std::string() : answer.error().message));
  CHECK(*answer == "ada asked for sessions");
  CHECK_FALSE(s.ask(fleet));
  CHECK_FALSE(s.ask(stranger));
  key_file wrong_pair = ada;
  wrong_pair.secret_key = stranger.secret_key;
  CHECK_FALSE(s.ask(wrong_pair));
  key_file wrong_scheduler = ada;
  wrong_scheduler.scheduler = stranger.public_key;
  CHECK_FALSE(s.ask(wrong_scheduler));
  CHECK(s.gate->admitted() >= 1);
  CHECK(s.gate->refused() >= 2);
  REQUIRE(s.allowed->remove("ada"));
  CHECK_FALSE(s.ask(ada));
}

TEST_CASE("without a gatekeeper nobody is answered") {
  answering s(false);
  const auto ada = key_of("ada", key_role::client, &s.own);
  REQUIRE(s.allowed->add({ada.public_key, ada.role, ada.name}));
  CHECK_FALSE(s.ask(ada));
}

TEST_CASE("a socket without CURVE is not answered, and neither is what cannot be decoded") {
  answering s(true);
  const auto ada = key_of("ada", key_role::client, &s.own);
  REQUIRE(s.allowed->add({ada.public_key, ada.role, ada.name}));
  zmq::context_t context(1);
  for (const bool secure : {false, true}) {
    zmq::socket_t socket(context, zmq::socket_type::dealer);
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::rcvtimeo, 400);
    if (secure) {
      socket.set(zmq::sockopt::curve_publickey, ada.public_key);
      socket.set(zmq::sockopt::curve_secretkey, ada.secret_key);
      socket.set(zmq::sockopt::curve_serverkey, ada.scheduler);
    }
    socket.connect(s.endpoint);
    socket.send(zmq::str_buffer("\x93garbage"), zmq::send_flags::none);
    zmq::message_t reply;
    const bool answered = socket.recv(reply, zmq::recv_flags::none).has_value();
    CHECK(answered == secure); // with a key: told that it cannot be read
    if (answered)
      CHECK(reply.to_string().find("cannot be read") != std::string::npos);
  }
  CHECK(s.ask(ada, 5)); // and the port goes on
}

TEST_CASE("people's port is the one after the agents'") {
  CHECK(*client_endpoint("tcp://10.0.0.7:7400") == "tcp://10.0.0.7:7401");
  for (const char* wrong : {"", "nowhere", "tcp://host", "tcp://host:", "tcp://host:x", "tcp://host:65535", "inproc://a"})
    CHECK_FALSE(client_endpoint(wrong));
}
