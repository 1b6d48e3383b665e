// Takes secrets out of text that leaves the host: values that are known (keys of the settings, variables of the environment that are named like
// secrets), whatever looks like a key, and home folders. Known values are found as they are and percent-coded; a value that was changed otherwise
// (base64, split over lines) is not found. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kevolve::scheduler {

/// What stands where a secret stood.
inline constexpr std::string_view secret_replacement = "[secret]";

class secret_filter {
public:
  /// `known`: values to be found anywhere; those shorter than 6 bytes would spoil ordinary words and are left out. `home`: of the user; "": unknown.
  explicit secret_filter(std::vector<std::string> known, std::string home = "");

  [[nodiscard]] std::string scrub(std::string text) const;

private:
  std::vector<std::string> known_; // longest first: one may hold another
  std::string home_;
};

/// Values of variables whose names say that they hold a secret (…KEY, TOKEN, SECRET, PASSWORD, CREDENTIAL…): at least 8 bytes, no path.
std::vector<std::string> secrets_in_environment(const std::vector<std::pair<std::string, std::string>>& variables);

} // namespace kevolve::scheduler
