#include "scheduler/single_host.hpp"

#include "node-agent/process.hpp"
#include "scheduler/policy_file.hpp"
#include "scheduler/target_description.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <thread>

namespace kevolve::scheduler {

namespace {

constexpr const char* endpoint = "inproc://kevolve";

result<void> make_directory(const std::filesystem::path& directory, const settings& from, std::string_view key) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  if (!failure && std::filesystem::is_directory(directory, failure))
    return {};
  const auto origin = from.origin.find(key);
  return error{errc::configuration, fmt::format("{} directory {} (from {}): cannot be created: {}; name another with --{} or KEVOLVE_{}", key,
                                                directory.string(), origin == from.origin.end() ? "default" : origin->second,
                                                failure ? failure.message() : "it is not a directory", key, key == "data" ? "DATA" : "CACHE")};
}

result<agent::host_settings> host_settings_of(const context& in, const found_python& python) {
  KEVOLVE_TRY_VOID(make_directory(in.configured.cache, in.configured, "cache"));
  agent::host_settings chosen;
  chosen.cache = in.configured.cache;
  chosen.cache_bytes = std::uint64_t{in.configured.cache_gib} << 30;
  chosen.python = python.interpreter;
  chosen.compiler = in.configured.compiler;
  chosen.compile_slots = in.configured.compile_slots;
  chosen.call_limit_s = in.configured.call_limit_s;
  chosen.require_sandbox = in.configured.sandbox == "full";
  return chosen;
}

} // namespace

result<std::unique_ptr<single_host>> single_host::start(const context& in, const std::vector<std::string>& described) {
  if (agent::find_command(in.configured.compiler).empty())
    return error{errc::configuration, fmt::format("compiler '{}' (from {}) is not on PATH; install it (Debian: apt-get install g++) or name another with "
                                                  "KEVOLVE_COMPILER",
                                                  in.configured.compiler, in.configured.origin.find("compiler")->second)};
  std::unique_ptr<single_host> host(new single_host);
  KEVOLVE_TRY(python, find_python(in.configured, in.env));
  host->python_ = std::move(python);
  host->compile_slots_ = in.configured.compile_slots ? in.configured.compile_slots : std::max(1u, std::thread::hardware_concurrency());
  KEVOLVE_TRY(chosen, host_settings_of(in, host->python_));
  for (const std::string& file : described) {
    KEVOLVE_TRY(read, open_target_description(file));
    host->described_.push_back(std::move(read));
  }
  chosen.described = host->described_;
  KEVOLVE_TRY(evaluator, agent::host_evaluator::start(std::move(chosen)));
  host->evaluator_ = std::move(evaluator);
  return host;
}

const target_description* single_host::described(const target& on) const {
  const auto found = std::find_if(described_.begin(), described_.end(), [&](const target_description& d) { return d.on == on; });
  return found == described_.end() ? nullptr : &*found;
}

single_host::~single_host() {
  runtime_.reset();
  agent_.reset();
  sockets_.reset();
  store_.reset();
}

std::vector<std::string> single_host::baselines(const settings& from, std::vector<std::string>& missing) const {
  if (from.baselines.empty()) {
    missing.emplace_back("PyTorch baselines are turned off (--baselines none): speedups are over the plain loop nest.");
    return {};
  }
  if (python_.interpreter.empty()) {
    missing.emplace_back("PyTorch baselines: " + python_.missing + ". Until then speedups are over the plain loop nest.");
    return {};
  }
  return from.baselines;
}

result<void> single_host::open(const context& in) {
  KEVOLVE_TRY_VOID(prepare_data(in));
  KEVOLVE_TRY(opened, kb::store::open(in.configured.data, kb::access::read_write));
  store_ = std::move(opened);
  sockets_ = std::make_unique<zmq::context_t>(1);
  runtime_settings how;
  how.endpoint = endpoint;
  how.zmq_context = sockets_->handle();
  if (!in.models.synthesizers().empty())
    how.models = open_models(in.models, {in.env, nullptr}, in.configured, *store_, evaluator_.get(), described_);
  how.policy_model = policy_source(in.configured);
  KEVOLVE_TRY(started, runtime::start(*store_, how));
  runtime_ = std::move(started);
  KEVOLVE_TRY(serving, agent_service::start(*evaluator_, endpoint, sockets_->handle(), "local"));
  agent_ = std::move(serving);
  return {};
}

result<void> prepare_data(const context& in) { return make_directory(in.configured.data, in.configured, "data"); }

result<std::unique_ptr<kb::store>> open_for_reading(const context& in) {
  std::error_code ignored;
  if (!std::filesystem::exists(in.configured.data, ignored))
    return error{errc::not_found, fmt::format("there is nothing in {} yet; start with: {} optimize OPERATOR", in.configured.data.string(), in.command())};
  return kb::store::open(in.configured.data, kb::access::read_only);
}

} // namespace kevolve::scheduler
