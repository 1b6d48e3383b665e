// CURVE keys of a cluster: the scheduler's, one for each agent and client, and the list of public keys that may come in, with the role of each.
// Key files are ours alone (mode 0600, refused otherwise); the list is read again whenever it changes, so that a revoked key is cut off within a
// second. Text files, one fact a line. Any thread; no socket.
#pragma once

#include "protocol/result.hpp"

#include <chrono>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace kevolve {

enum class key_role : std::uint8_t { scheduler, agent, client };
constexpr std::uint64_t enum_max(key_role) { return static_cast<std::uint64_t>(key_role::client); }
std::string_view to_string(key_role role) noexcept;
result<key_role> key_role_from_string(std::string_view text);

/// One file: who, what for, and the three keys in Z85 (40 characters each). A scheduler's own file names its public key as `scheduler`, too.
struct key_file {
  std::string name;
  key_role role = key_role::client;
  std::string public_key, secret_key;
  std::string scheduler; // public key of the scheduler to speak to
};

/// A new pair. Errors: libzmq was built without CURVE.
result<key_file> make_key(std::string name, key_role role);
/// Errors name the file and what is wrong: not there, readable by others, no key.
result<key_file> read_key(const std::filesystem::path& file);
/// Never over an existing file.
result<void> write_key(const std::filesystem::path& file, const key_file& key);

/// A key that may come in.
struct allowed_key {
  std::string public_key;
  key_role role = key_role::client;
  std::string name;
};

/// The list in a file: "PUBLIC ROLE NAME" a line. Thread-safe.
class allow_list {
public:
  explicit allow_list(std::filesystem::path file) : file_(std::move(file)) {}
  /// Who has this public key; empty: nobody. Looks at the file again when it has changed.
  std::optional<allowed_key> find(const std::string& public_key);
  /// Whether `name` is still on the list with this role. Asked with every message, so that it looks at the file ten times a second at most.
  bool holds(const std::string& name, key_role role);
  std::vector<allowed_key> all();
  /// Errors: a name that is taken, or is no name (letters, digits, '-', '_', '.').
  result<void> add(const allowed_key& key) { return add(std::vector{key}); }
  /// All of them or none.
  result<void> add(const std::vector<allowed_key>& keys);
  /// False: there was none of that name.
  result<bool> remove(const std::string& name);

private:
  void refresh();
  void index();
  result<void> write();
  std::filesystem::path file_;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point looked_at_{}; // at the file
  std::filesystem::file_time_type read_at_{};
  std::uintmax_t read_bytes_ = 0;
  std::map<std::string, allowed_key> keys_; // by public key
  std::unordered_map<std::string, std::vector<key_role>> roles_; // the same, by name: asked for with every message
};

} // namespace kevolve
