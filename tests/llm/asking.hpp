// For tests of providers: asks and waits. The wait has no time of its own: a provider that never answers fails the test by ctest's limit.
#pragma once

#include "actors/synthesis/llm/provider.hpp"

#include <atomic>
#include <future>
#include <stdlib.h>

namespace kevolve::llm {

inline request asking(const std::string& prompt, const std::string& key = "") {
  request r;
  r.system = "You write kernels.";
  r.messages = {{speaker::user, prompt}};
  r.model.name = "made-up-1";
  r.model.provider = "p";
  r.idempotency_key = key;
  return r;
}

inline reply ask(provider& of, request what) {
  std::promise<reply> told;
  of.ask(std::move(what), [&](reply r) { told.set_value(std::move(r)); });
  return told.get_future().get();
}

/// Asks all of them at once.
inline std::vector<reply> ask_all(provider& of, const std::vector<request>& all) {
  std::vector<std::promise<reply>> told(all.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    of.ask(all[i], [&told, i](reply r) { told[i].set_value(std::move(r)); });
  std::vector<reply> replies;
  for (auto& t : told)
    replies.push_back(t.get_future().get());
  return replies;
}

/// A directory of the test's own.
class folder {
public:
  folder() {
    std::string made = (std::filesystem::temp_directory_path() / "kevolve-llm-test-XXXXXX").string();
    path_ = ::mkdtemp(made.data());
  }
  ~folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

/// An environment with these variables and a PATH.
inline surroundings surroundings_with(std::map<std::string, std::string> values = {}) {
  values.emplace("PATH", "/usr/local/bin:/usr/bin:/bin");
  surroundings around;
  around.env = [values](const std::string& name) -> std::optional<std::string> {
    const auto at = values.find(name);
    return at == values.end() ? std::nullopt : std::optional(at->second);
  };
  return around;
}

} // namespace kevolve::llm
