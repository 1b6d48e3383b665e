// kevolve keys: the scheduler's key, keys for agents and people, who may come in.
#include "scheduler/cluster_keys.hpp"

#include "scheduler/commands.hpp"
#include "scheduler/single_host.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

namespace fs = std::filesystem;

namespace kevolve::scheduler {

namespace {

using object = nlohmann::ordered_json;

result<int> make_new(context& in, cluster_keys& keys, const keys_options& options) {
  KEVOLVE_TRY(role, key_role_from_string(options.role));
  if (role == key_role::scheduler)
    return error{errc::usage, "role: found 'scheduler', expected agent or client: a data directory has one scheduler's key, made by itself"};
  KEVOLVE_TRY(key, make_key(options.name, role));
  key.scheduler = keys.own.public_key;
  const fs::path file = options.out.empty() ? fs::path(options.name + ".key") : fs::path(options.out);
  KEVOLVE_TRY_VOID(write_key(file, key));
  if (auto added = keys.allowed->add({key.public_key, role, key.name}); !added) {
    std::error_code ignored;
    fs::remove(file, ignored);
    return added.error();
  }
  in.out.answer(object{{"name", key.name}, {"role", options.role}, {"file", fs::absolute(file).string()}, {"public", key.public_key}}.dump(2));
  in.out.say(fmt::format("{}: take it to {} and keep it secret\n", file.string(), role == key_role::agent ? "the host of the agent" : "the person's machine"));
  return 0;
}

} // namespace

result<cluster_keys> cluster_keys::open(const fs::path& data) {
  const fs::path folder = data / "keys";
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed || ::chmod(folder.c_str(), 0700) != 0)
    return error{errc::configuration, fmt::format("cannot make '{}': {}", folder.string(), failed ? failed.message() : std::strerror(errno))};
  const fs::path file = folder / "scheduler.key";
  if (!fs::exists(file, failed)) {
    KEVOLVE_TRY(made, make_key("scheduler", key_role::scheduler));
    KEVOLVE_TRY_VOID(write_key(file, made));
  }
  KEVOLVE_TRY(own, read_key(file));
  return cluster_keys{std::move(own), std::make_shared<allow_list>(folder / "allowed")};
}

result<int> manage_keys(context& in, const keys_options& options) {
  KEVOLVE_TRY_VOID(prepare_data(in));
  KEVOLVE_TRY(keys, cluster_keys::open(in.configured.data));
  if (options.action == "new")
    return make_new(in, keys, options);
  if (options.action == "revoke") {
    KEVOLVE_TRY(removed, keys.allowed->remove(options.name));
    if (!removed)
      return error{errc::not_found, fmt::format("key: found '{}', expected a name that {} keys list shows", options.name, in.command())};
    in.out.answer(object{{"revoked", options.name}}.dump(2));
    in.out.say(fmt::format("{} is revoked; a running scheduler refuses it from now on\n", options.name));
    return 0;
  }
  object rows = object::array();
  table shown({{"name"}, {"role"}, {"public key"}});
  for (const allowed_key& key : keys.allowed->all()) {
    rows.push_back({{"name", key.name}, {"role", std::string(to_string(key.role))}, {"public", key.public_key}});
    shown.add({key.name, std::string(to_string(key.role)), key.public_key});
  }
  in.out.answer(object{{"scheduler", keys.own.public_key}, {"allowed", rows}}.dump(2));
  in.out.say(shown.render(in.look()) + fmt::format("scheduler's public key: {}\n", keys.own.public_key));
  return 0;
}

} // namespace kevolve::scheduler
