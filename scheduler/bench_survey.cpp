// kevolve bench kernelbench DIR and kevolve bench operators: which problems there are; survey.hpp runs them.
#include "scheduler/specification.hpp"
#include "scheduler/survey.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace kevolve::scheduler {

namespace {

namespace fs = std::filesystem;
using object = nlohmann::ordered_json;

bool chosen(const std::vector<std::string>& among, std::initializer_list<std::string> names) {
  return among.empty() || std::any_of(names.begin(), names.end(), [&](const std::string& n) { return std::find(among.begin(), among.end(), n) != among.end(); });
}

/// What changes a row's meaning.
object identity_of(const char* campaign, const std::string& what, const survey_options& options) {
  object identity{{"campaign", campaign}, {"of", what}};
  for (const auto& [key, value] : options.flags)
    if (key != "data" && key != "cache")
      identity[key] = value;
  return identity;
}

struct numbered {
  long number = 0;
  std::string name;
  fs::path file;
};

/// "class:memory" -> "memory"; the family where no tag says.
std::string class_of(const operator_definition& op) {
  for (const std::string& tag : op.tags)
    if (tag.rfind("class:", 0) == 0)
      return tag.substr(6);
  return op.op_type;
}

/// "12_Softmax.py" -> 12, "12_Softmax".
std::vector<numbered> problems_in(const fs::path& level) {
  std::vector<numbered> found;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(level, failure)) {
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() == ".py" && stem.find_first_of("0123456789") == 0)
      found.push_back({std::strtol(stem.c_str(), nullptr, 10), stem, entry.path()});
  }
  std::sort(found.begin(), found.end(), [](const numbered& a, const numbered& b) { return std::tie(a.number, a.name) < std::tie(b.number, b.name); });
  return found;
}

} // namespace

result<int> bench_kernelbench(context& in, const survey_options& options) {
  std::error_code failure;
  fs::path root = fs::absolute(options.directory, failure).lexically_normal();
  if (fs::is_directory(root / "KernelBench", failure))
    root /= "KernelBench";
  std::vector<surveyed> all;
  for (int level = 1; level <= 9; ++level)
    for (const numbered& p : problems_in(root / fmt::format("level{}", level)))
      if (chosen(options.levels, {std::to_string(level)}) && chosen(options.problems, {std::to_string(p.number), p.name}))
        all.push_back({p.name, fmt::format("level {}", level), p.file.string()});
  if (all.empty())
    return error{errc::specification, fmt::format("{}: found no problem{}, expected files such as level1/1_Name.py", root.string(),
                                                  options.levels.empty() && options.problems.empty() ? "" : " of those asked for")};
  std::string title = root.filename() == "KernelBench" ? root.parent_path().filename().string() : root.filename().string();
  return survey(in, options, "kernelbench-" + title, identity_of("kernelbench", root.string(), options), all);
}

result<int> bench_operators(context& in, const survey_options& options) {
  const auto names = shipped_operators(in.configured);
  std::vector<surveyed> all;
  for (const std::string& name : names)
    if (chosen(options.problems, {name})) {
      KEVOLVE_TRY(subject, read_specification(name, in.configured));
      all.push_back({name, class_of(subject.op), name});
    }
  for (const std::string& wanted : options.problems)
    if (std::find(names.begin(), names.end(), wanted) == names.end())
      return error{errc::usage, fmt::format("--problems: found '{}', expected operators that ship", wanted)};
  return survey(in, options, "operators", identity_of("operators", "that ship", options), all);
}

} // namespace kevolve::scheduler
