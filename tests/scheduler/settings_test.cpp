#include "scheduler/settings.hpp"

#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>

using namespace kevolve;
using namespace kevolve::scheduler;

namespace {

environment_lookup environment(std::map<std::string, std::string> values) {
  values.emplace("HOME", "/home/somebody");
  return [values](const std::string& name) -> std::optional<std::string> {
    const auto at = values.find(name);
    return at == values.end() ? std::nullopt : std::optional<std::string>(at->second);
  };
}

std::string message_of(const result<settings>& r) { return r ? "no error" : r.error().message; }

} // namespace

TEST_CASE("a setting comes from the flag, then the environment, then the nearest file, then the default") {
  const std::vector<config_text> files{{"./config.toml", "time = \"30s\"\npolicy = \"mcts\"\n"}, {"/home/u/config.toml", "time = \"40s\"\ncompiler = \"clang++\"\n"}};
  const auto all = merge_settings({{"time", "10s"}}, environment({{"KEVOLVE_TIME", "20s"}}), files);
  REQUIRE(all);
  CHECK(all->time_s == 10);
  CHECK(all->origin.at("time") == "flag");
  const auto by_environment = merge_settings({}, environment({{"KEVOLVE_TIME", "20s"}}), files);
  REQUIRE(by_environment);
  CHECK(by_environment->time_s == 20);
  CHECK(by_environment->origin.at("time") == "KEVOLVE_TIME");
  const auto by_file = merge_settings({}, environment({}), files);
  REQUIRE(by_file);
  CHECK(by_file->time_s == 30);
  CHECK(by_file->origin.at("time") == "./config.toml:1");
  CHECK(by_file->policy == "mcts");
  CHECK(by_file->compiler == "clang++");
  CHECK(by_file->origin.at("compiler") == "/home/u/config.toml:2");
  const auto by_default = merge_settings({}, environment({}), {});
  REQUIRE(by_default);
  CHECK(by_default->time_s == 60);
  CHECK(by_default->baselines == std::vector<std::string>{"eager", "compile"});
  CHECK_FALSE(by_default->seed.has_value());
}

TEST_CASE("the data and cache folders follow XDG and else the home folder") {
  const auto plain = merge_settings({}, environment({}), {});
  REQUIRE(plain);
  CHECK(plain->data == "/home/somebody/.local/state/kevolve");
  CHECK(plain->cache == "/home/somebody/.cache/kevolve");
  const auto xdg = merge_settings({}, environment({{"XDG_STATE_HOME", "/s"}, {"XDG_CACHE_HOME", "relative is ignored"}}), {});
  REQUIRE(xdg);
  CHECK(xdg->data == "/s/kevolve");
  CHECK(xdg->cache == "/home/somebody/.cache/kevolve");
}

TEST_CASE("an unknown key names file, line, key and the keys there are") {
  const auto bad = merge_settings({}, environment({}), {{"./config.toml", "time = \"5s\"\n\nspeed = 3\n"}});
  REQUIRE_FALSE(bad);
  CHECK(bad.error().code == errc::configuration);
  CHECK(message_of(bad).starts_with("./config.toml:3: key 'speed' is not known; known keys: data, cache, cache_gib, seal_after"));
}

TEST_CASE("a value of the wrong type or range names file, line, key, found and expected") {
  const auto error_of = [](const std::string& text) { return message_of(merge_settings({}, environment({}), {{"c.toml", text}})); };
  CHECK(error_of("evaluations = \"many\"") == "c.toml:1: key 'evaluations': found 'many', expected a whole number, 0 or more");
  CHECK(error_of("data = 7") == "c.toml:1: key 'data': found an integer, expected a directory");
  CHECK(error_of("time = [1]") == "c.toml:1: key 'time': found an array, expected a duration such as 60s, 5m or 2h (0: no limit)");
  CHECK(error_of("time = true") == "c.toml:1: key 'time': found a boolean, expected a duration such as 60s, 5m or 2h (0: no limit)");
  CHECK(error_of("injection = 2.5") == "c.toml:1: key 'injection': found 2.5, expected a number from 0 to 1");
  CHECK(error_of("evaluations = 4294967296") == "c.toml:1: key 'evaluations': found 4294967296, expected at most 4294967295");
  CHECK(error_of("baselines = [\"eager\", 3]") == "c.toml:1: key 'baselines': found an array, expected a list of eager and compile, or none");
  CHECK(error_of("[time]\nx = 1") == "c.toml:1: key 'time': found a table, expected a duration such as 60s, 5m or 2h (0: no limit)");
}

TEST_CASE("a file that is no TOML names line and column") {
  const auto bad = merge_settings({}, environment({}), {{"c.toml", "time = \"5s\"\nseed = = 3\n"}});
  REQUIRE_FALSE(bad);
  CHECK(message_of(bad).starts_with("c.toml:2:8: not valid TOML: "));
}

TEST_CASE("an unusable flag is a usage error and an unusable environment variable a configuration error") {
  const auto flag = merge_settings({{"goal", "fast"}}, environment({}), {});
  REQUIRE_FALSE(flag);
  CHECK(flag.error().code == errc::usage);
  CHECK(flag.error().message == "--goal: found 'fast', expected a factor such as 1.5x");
  const auto variable = merge_settings({}, environment({{"KEVOLVE_IN_FLIGHT", "-1"}}), {});
  REQUIRE_FALSE(variable);
  CHECK(variable.error().code == errc::configuration);
  CHECK(variable.error().message == "KEVOLVE_IN_FLIGHT: found '-1', expected a whole number, 0 or more");
}

TEST_CASE("lists are arrays of strings or one string with commas") {
  const auto array = merge_settings({}, environment({}), {{"c.toml", "baselines = [\"eager\"]"}});
  REQUIRE(array);
  CHECK(array->baselines == std::vector<std::string>{"eager"});
  const auto none = merge_settings({}, environment({}), {{"c.toml", "baselines = []"}});
  REQUIRE(none);
  CHECK(none->baselines.empty());
}

TEST_CASE("a settings file that was named must exist") {
  const auto missing = read_config_files(environment({}), "/nonexistent/kevolve.toml");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == errc::configuration);
  CHECK(missing.error().message.starts_with("/nonexistent/kevolve.toml: cannot be read (No such file or directory)"));
}
