#include "actors/keys.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <set>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

namespace fs = std::filesystem;

namespace kevolve {
namespace {

constexpr std::size_t key_length = 40;
constexpr auto look_every = std::chrono::milliseconds(100); // at the list, however many messages come in: a revoked key is cut off soon enough

bool is_key(const std::string& text) { return text.size() == key_length && text.find_first_of(" \t\n\"") == std::string::npos; }

bool is_name(const std::string& text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

/// The whole text to a file beside it, then in its place: a reader sees the old list or the new one.
result<void> write_whole(const fs::path& file, const std::string& text, mode_t mode) {
  const fs::path partial = file.string() + ".part" + std::to_string(::getpid());
  const int fd = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  const bool good = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const int why = errno;
  if (fd >= 0)
    ::close(fd);
  if (!good || ::rename(partial.c_str(), file.c_str()) != 0) {
    const int failure = good ? errno : why;
    ::unlink(partial.c_str());
    return error{errc::io, "cannot write '" + file.string() + "': " + std::strerror(failure)};
  }
  return {};
}

} // namespace

std::string_view to_string(key_role role) noexcept {
  switch (role) {
    case key_role::scheduler: return "scheduler";
    case key_role::agent: return "agent";
    case key_role::client: return "client";
  }
  return "client";
}

result<key_role> key_role_from_string(std::string_view text) {
  for (const key_role role : {key_role::scheduler, key_role::agent, key_role::client})
    if (text == to_string(role))
      return role;
  return error{errc::usage, "role: found '" + std::string(text) + "', expected scheduler, agent or client"};
}

result<key_file> make_key(std::string name, key_role role) {
  char shown[key_length + 1], secret[key_length + 1];
  if (::zmq_curve_keypair(shown, secret) != 0)
    return error{errc::configuration, "this libzmq has no CURVE: " + std::string(::zmq_strerror(errno))};
  if (!is_name(name))
    return error{errc::usage, "name of a key: found '" + name + "', expected letters, digits, '-', '_' and '.', at most 64"};
  return key_file{std::move(name), role, shown, secret, role == key_role::scheduler ? shown : ""};
}

result<key_file> read_key(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat about {};
  if (fd < 0 || ::fstat(fd, &about) != 0) {
    const int why = errno;
    if (fd >= 0)
      ::close(fd);
    return error{errc::configuration, "key file '" + file.string() + "': " + std::strerror(why) + "; make one with: kevolve keys new NAME --role ROLE"};
  }
  ::close(fd);
  if (about.st_mode & 077)
    return error{errc::configuration, "key file '" + file.string() + "': others may read it; set its mode to 0600 (and make another key if they have)"};
  std::ifstream in(file);
  key_file key;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string what, value;
    words >> what >> value;
    if (what == "name")
      key.name = value;
    else if (what == "role") {
      auto role = key_role_from_string(value);
      if (!role)
        return role.error().in("key file '" + file.string() + "'");
      key.role = *role;
    } else if (what == "public")
      key.public_key = value;
    else if (what == "secret")
      key.secret_key = value;
    else if (what == "scheduler")
      key.scheduler = value;
  }
  for (const auto& [what, value] : {std::pair("public", &key.public_key), std::pair("secret", &key.secret_key), std::pair("scheduler", &key.scheduler)})
    if (!is_key(*value))
      return error{errc::configuration, "key file '" + file.string() + "': '" + what + "': expected a key of 40 characters"};
  return key;
}

result<void> write_key(const fs::path& file, const key_file& key) {
  std::error_code failed;
  if (fs::exists(file, failed))
    return error{errc::configuration, "'" + file.string() + "' exists already: a key is never written over"};
  return write_whole(file, "name " + key.name + "\nrole " + std::string(to_string(key.role)) + "\npublic " + key.public_key + "\nsecret " + key.secret_key + "\nscheduler " +
                               key.scheduler + "\n",
                     0600);
}

void allow_list::index() {
  roles_.clear();
  for (const auto& [shown, key] : keys_)
    roles_[key.name].push_back(key.role);
}

void allow_list::refresh() {
  looked_at_ = std::chrono::steady_clock::now();
  std::error_code failed;
  const auto written = fs::last_write_time(file_, failed);
  const auto bytes = failed ? 0 : fs::file_size(file_, failed);
  if (failed) {
    keys_.clear(); // fails closed
    read_bytes_ = 0;
    return index();
  }
  if (written == read_at_ && bytes == read_bytes_)
    return;
  keys_.clear();
  std::ifstream in(file_);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    allowed_key key;
    std::string role;
    if (!(words >> key.public_key >> role >> key.name) || !is_key(key.public_key))
      continue;
    if (auto known = key_role_from_string(role)) {
      key.role = *known;
      keys_[key.public_key] = std::move(key);
    }
  }
  read_at_ = written, read_bytes_ = bytes;
  index();
}

std::optional<allowed_key> allow_list::find(const std::string& public_key) {
  std::lock_guard lock(mutex_);
  refresh();
  const auto at = keys_.find(public_key);
  return at == keys_.end() ? std::nullopt : std::optional(at->second);
}

bool allow_list::holds(const std::string& name, key_role role) {
  std::lock_guard lock(mutex_);
  if (std::chrono::steady_clock::now() - looked_at_ >= look_every)
    refresh();
  const auto found = roles_.find(name);
  return found != roles_.end() && std::find(found->second.begin(), found->second.end(), role) != found->second.end();
}

std::vector<allowed_key> allow_list::all() {
  std::lock_guard lock(mutex_);
  refresh();
  std::vector<allowed_key> keys;
  for (const auto& [key, each] : keys_)
    keys.push_back(each);
  std::sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return keys;
}

result<void> allow_list::write() {
  index();
  std::string text;
  for (const auto& [key, each] : keys_)
    text += key + " " + std::string(to_string(each.role)) + " " + each.name + "\n";
  return write_whole(file_, text, 0600);
}

result<void> allow_list::add(const std::vector<allowed_key>& keys) {
  std::lock_guard lock(mutex_);
  refresh();
  std::set<std::string> taken;
  for (const auto& [shown, each] : keys_)
    taken.insert(each.name);
  for (const auto& key : keys)
    if (!taken.insert(key.name).second)
      return error{errc::usage, "a key named '" + key.name + "' is on the list already; revoke it first"};
  for (const auto& key : keys)
    keys_[key.public_key] = key;
  return write();
}

result<bool> allow_list::remove(const std::string& name) {
  std::lock_guard lock(mutex_);
  refresh();
  const auto at = std::find_if(keys_.begin(), keys_.end(), [&](const auto& k) { return k.second.name == name; });
  if (at == keys_.end())
    return false;
  keys_.erase(at);
  KEVOLVE_TRY_VOID(write());
  return true;
}

} // namespace kevolve
