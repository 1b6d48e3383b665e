#include "actors/synthesis/llm/secret.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kevolve::llm {
namespace {

constexpr std::size_t longest = 8192; // tokens of gateways (JWT) have a few thousand bytes
constexpr std::string_view replacement = "[key]";

void replace_all(std::string& text, std::string_view what) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + replacement.size()))
    text.replace(at, what.size(), replacement);
}

std::string trimmed(std::string text) {
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && space(text.back()))
    text.pop_back();
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), space));
  return text;
}

std::string percent_form(const std::string& key) {
  std::string coded;
  for (unsigned char c : key)
    coded += std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~' ? std::string(1, static_cast<char>(c)) : fmt::format("%{:02X}", c);
  return coded;
}

result<std::string> read_private_file(const std::string& provider, const std::filesystem::path& file) {
  const auto problem = [&](const std::string& found) {
    return error{errc::configuration, fmt::format("provider '{}': api_key_file {}: {}", provider, file.string(), found)};
  };
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return problem(fmt::format("cannot be read ({})", std::strerror(errno)));
  struct stat status {};
  std::string text(longest + 1, '\0');
  const bool known = ::fstat(fd, &status) == 0;
  const ssize_t n = known && S_ISREG(status.st_mode) ? ::read(fd, text.data(), text.size()) : -1;
  ::close(fd);
  if (!known || !S_ISREG(status.st_mode))
    return problem("found something that is not a file, expected a file that holds the key");
  if (status.st_mode & 0077)
    return problem(fmt::format("found mode {:04o}, expected 0600: others could read the key (chmod 600)", status.st_mode & 07777u));
  if (n < 0)
    return problem("cannot be read");
  text.resize(static_cast<std::size_t>(n));
  return text;
}

} // namespace

std::string secret::scrub(std::string text) const {
  if (value_.size() < 4) // nothing that short is a key; replacing it would spoil ordinary words
    return text;
  replace_all(text, value_);
  if (const std::string coded = percent_form(value_); coded != value_)
    replace_all(text, coded);
  return text;
}

result<secret> read_secret(const std::string& provider, const std::string& env_name, const std::filesystem::path& file,
                           const std::function<std::optional<std::string>(const std::string&)>& env) {
  if (!env_name.empty() && !file.empty())
    return error{errc::configuration, fmt::format("provider '{}': found both api_key_env and api_key_file, expected one of them", provider)};
  std::string key, origin;
  if (!env_name.empty()) {
    const auto value = env(env_name);
    if (!value || value->empty())
      return error{errc::configuration, fmt::format("provider '{}': api_key_env: the environment variable {} is not set, expected it to hold the key", provider, env_name)};
    key = trimmed(*value), origin = "the variable " + env_name;
  } else if (!file.empty()) {
    KEVOLVE_TRY(text, read_private_file(provider, file));
    key = trimmed(std::move(text)), origin = "the file " + file.string();
    if (key.empty())
      return error{errc::configuration, fmt::format("provider '{}': api_key_file {}: found it empty, expected the key", provider, file.string())};
  }
  // A line break would let a key add headers of its own.
  if (key.size() > longest || std::any_of(key.begin(), key.end(), [](unsigned char c) { return c <= 0x20 || c >= 0x7f; }))
    return error{errc::configuration, fmt::format("provider '{}': {} holds {} bytes that are not all printable ASCII, expected one key", provider, origin, key.size())};
  return secret(std::move(key));
}

} // namespace kevolve::llm
