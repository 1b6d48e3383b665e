#include "engine_world.hpp"

#include <cstdlib>
#include <stdexcept>

namespace kevolve::test {

scratch_directory::scratch_directory() {
  std::string name = (std::filesystem::temp_directory_path() / "kevolve-engine-XXXXXX").string();
  if (!mkdtemp(name.data()))
    throw std::runtime_error("mkdtemp " + name);
  path = name;
}

scratch_directory::~scratch_directory() {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

result<std::unique_ptr<link>> open_test_link(void* context, const link_callbacks& callbacks) {
  for (int tries = 0;; ++tries) {
    auto opened = link::open("inproc://kevolve-test", context, "kevolve", callbacks);
    if (opened || tries == 100 || opened.error().message.find("Address already in use") == std::string::npos)
      return opened;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

engine_world::engine_world() {
  auto opened = kb::store::open(directory.path / "kb", kb::access::read_write);
  if (!opened)
    throw std::runtime_error(opened.error().message);
  memory = std::move(*opened);
  parts.make_generator = made_up::generator();
  parts.open_link = [this](const link_callbacks& callbacks) { return open_test_link(context.handle(), callbacks); };
}

engine_world::~engine_world() {
  engine.reset();
  agent.reset();
  memory.reset();
}

void engine_world::start_agent(const std::string& name) {
  auto started = agent_service::start(host, "inproc://kevolve-test", context.handle(), name);
  if (!started)
    throw std::runtime_error(started.error().message);
  agent = std::move(*started);
}

void engine_world::start_engine() {
  auto started = kevolve::start_engine(*memory, 2, parts);
  if (!started)
    throw std::runtime_error(started.error().message);
  engine = std::move(*started);
}

session_settings short_search(std::uint32_t evaluations) {
  session_settings s;
  s.evaluations = evaluations;
  s.time_s = 0;
  s.seed = 7;
  s.plateau = evaluations;
  return s;
}

session_settings through_one_slot(std::uint32_t evaluations) {
  session_settings s = short_search(evaluations);
  s.in_flight = 1;
  return s;
}

} // namespace kevolve::test
