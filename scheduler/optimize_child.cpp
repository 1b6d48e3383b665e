#include "scheduler/optimize_child.hpp"

#include "scheduler/child.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>

namespace kevolve::scheduler {
namespace {

using object = nlohmann::ordered_json;

constexpr auto beyond_its_budget = std::chrono::minutes(20);

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The last line that says something.
std::string last_line(const std::string& text) {
  std::string last, line;
  for (std::istringstream in(text); std::getline(in, line);)
    if (!line.empty())
      last = line;
  return last.substr(0, 300);
}

} // namespace

void pass_settings(const std::map<std::string, std::string>& given, const std::set<std::string>& except, std::vector<std::string>& arguments) {
  for (const auto& [key, value] : given) {
    if (except.contains(key))
      continue;
    std::string flag = key == "sandbox" ? "--require-sandbox" : "--" + key; // the one option that is not called like its setting
    std::replace(flag.begin(), flag.end(), '_', '-');
    arguments.insert(arguments.end(), {flag, value});
  }
}

result<std::optional<ended_child>> run_optimize(context& in, const std::vector<std::string>& arguments, const std::filesystem::path& folder, double time_s) {
  const auto answer_file = folder / "answer.json", errors_file = folder / "errors.txt";
  KEVOLVE_TRY(child, background_child::start(arguments, answer_file.string(), errors_file.string()));
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(static_cast<long>(time_s)) + beyond_its_budget;
  std::optional<int> exit;
  while (!(exit = child.wait_for(std::chrono::milliseconds(200)))) {
    if (in.signals.received()) {
      child.kill_tree();
      return std::optional<ended_child>{};
    }
    if (std::chrono::steady_clock::now() > limit) {
      child.kill_tree();
      return std::optional<ended_child>{ended_child{124, object::object(), "did not end within its budget and 20 minutes"}};
    }
  }
  auto answer = object::parse(text_of(answer_file), nullptr, false);
  return std::optional<ended_child>{ended_child{*exit, answer.is_object() ? std::move(answer) : object::object(), last_line(text_of(errors_file))}};
}

} // namespace kevolve::scheduler
