// A provider's key: read once from the environment variable or the 0600 file that the settings name, kept in memory only, put into one header.
// It cannot be printed; `scrub` takes it out of any text that came from outside. Any thread (it never changes).
#pragma once

#include "protocol/result.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace kevolve::llm {

class secret {
public:
  secret() = default;
  explicit secret(std::string value) : value_(std::move(value)) {}
  [[nodiscard]] bool empty() const { return value_.empty(); }
  /// "Bearer KEY" and the like: for the one place that sends it.
  [[nodiscard]] std::string header_line(const std::string& before) const { return before + value_; }
  /// The text with every occurrence of the key replaced, also where its JSON or URL form differs.
  [[nodiscard]] std::string scrub(std::string text) const;

private:
  std::string value_;
};

/// From the variable `env_name`, or from `file`, which only its owner may read. Neither: an empty one (local servers want none). Errors name the
/// provider, the setting and what is wrong, never the key.
result<secret> read_secret(const std::string& provider, const std::string& env_name, const std::filesystem::path& file,
                           const std::function<std::optional<std::string>(const std::string&)>& env);

} // namespace kevolve::llm
