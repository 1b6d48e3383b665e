// Files: reading documents, an operator with its workloads, operators by name.
#include "protocol/json_place.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>

namespace kevolve {
namespace {

namespace fs = std::filesystem;

result<std::string> read_text(const fs::path& file) {
  std::error_code failed;
  auto status = fs::status(file, failed);
  if (!fs::exists(status))
    return error{errc::specification, file.string() + ": no such file"};
  if (!fs::is_regular_file(status))
    return error{errc::specification, file.string() + ": not a file"};
  auto bytes = fs::file_size(file, failed);
  if (!failed && bytes > limits::specification_bytes)
    return error{errc::specification, file.string() + ": " + std::to_string(bytes) + " bytes, expected at most " +
                                        std::to_string(limits::specification_bytes)};
  std::ifstream in(file, std::ios::binary);
  std::string text(failed ? 0 : bytes, '\0');
  if (!in || !in.read(text.data(), static_cast<std::streamsize>(text.size())))
    return error{errc::io, file.string() + ": cannot be read: " + std::strerror(errno)};
  return text;
}

/// A workload's axes are exactly the operator's variable ones, its shapes hold, its inputs exist.
result<void> check_workload(const workload& w, const operator_definition& op, const std::string& where) {
  if (auto bound = bind_axes(op, w.axes); !bound)
    return bound.error().in(where);
  for (const auto& input : w.inputs) {
    auto declared = std::find_if(op.inputs.begin(), op.inputs.end(), [&](const auto& x) { return x.name == input.name; });
    if (declared == op.inputs.end())
      return error{errc::specification, where + ": field 'inputs." + input.name + "': " + op.name + " has no input of that name"};
    if (input.kind == input_kind::scalar && !declared->scalar && !declared->shape.empty())
      return error{errc::specification, where + ": field 'inputs." + input.name + "': found a scalar, " + op.name + " takes a tensor"};
  }
  return {};
}

result<void> add_workload(std::vector<workload>& all, const json& value, const operator_definition& op, const std::string& where) {
  if (value.is_object() && value.contains("workload") && value.contains("definition") && value["definition"] != op.name)
    return error{errc::specification, where + ": field 'definition': found " + value["definition"].dump() + ", expected \"" + op.name + "\""};
  KEVOLVE_TRY(found, workload_from_json(value, where));
  KEVOLVE_TRY_VOID(check_workload(found, op, where));
  for (const auto& other : all)
    if (other.uuid == found.uuid)
      return error{errc::specification, where + ": field 'uuid': \"" + found.uuid + "\" occurs twice"};
  all.push_back(std::move(found));
  return {};
}

std::vector<fs::path> places_of_workloads(const fs::path& definition, const operator_definition& op) {
  const auto folder = definition.parent_path();
  std::vector<fs::path> places{folder / (definition.stem().string() + ".workloads.jsonl"), folder / (op.name + ".workloads.jsonl")};
  if (definition.filename() == "definition.json")
    places.push_back(folder / "workload.jsonl");
  auto up = folder; // DATASET/definitions/<op_type>/<name>.json: two levels up, or one without op_type
  for (int level = 0; level < 3; ++level) {
    places.push_back(up / "workloads" / op.op_type / (op.name + ".jsonl"));
    places.push_back(up / "workloads" / (op.name + ".jsonl"));
    up = up / "..";
  }
  return places;
}

result<std::vector<workload>> embedded_workloads(const json& value, const operator_definition& op, const std::string& where) {
  std::vector<workload> found;
  const json* ours = value.contains("x_kevolve") ? &value["x_kevolve"] : nullptr;
  if (!ours || !ours->is_object() || !ours->contains("workloads"))
    return found;
  const auto& list = (*ours)["workloads"];
  if (!list.is_array())
    return error{errc::specification, where + ": field 'x_kevolve.workloads': expected a list of workloads"};
  for (std::size_t i = 0; i < list.size(); ++i)
    KEVOLVE_TRY_VOID(add_workload(found, list[i], op, where + ": x_kevolve.workloads[" + std::to_string(i) + "]"));
  return found;
}

bool has_variable_axes(const operator_definition& op) {
  return std::any_of(op.axes.begin(), op.axes.end(), [](const axis& x) { return x.kind == axis_kind::variable; });
}

/// The only workload of an operator without variable axes.
result<std::vector<workload>> only_workload(const operator_definition& op, const std::string& where) {
  workload only{.uuid = op.name + "-fixed", .name = "fixed"};
  for (const auto& input : op.inputs)
    only.inputs.push_back({.name = input.name});
  KEVOLVE_TRY_VOID(check_workload(only, op, where));
  return std::vector<workload>{only};
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// softmax_n4096 before softmax_n32000: numbers compare as numbers.
bool natural_less(const std::string& a, const std::string& b) {
  auto digits = [](const std::string& s) { return s.substr(std::min(s.find_first_of("0123456789"), s.size())); };
  auto stem = [](const std::string& s) { return s.substr(0, s.find_first_of("0123456789")); };
  if (stem(a) != stem(b))
    return stem(a) < stem(b);
  if (digits(a).size() != digits(b).size())
    return digits(a).size() < digits(b).size();
  return a < b;
}

std::vector<fs::path> definitions_in(const std::vector<fs::path>& directories) {
  std::vector<fs::path> found;
  std::set<std::string> names; // the first directory wins
  for (const auto& directory : directories) {
    std::error_code failed;
    for (fs::recursive_directory_iterator at(directory, failed), end; !failed && at != end; at.increment(failed))
      if (at->path().extension() == ".json" && names.insert(at->path().stem().string()).second)
        found.push_back(at->path());
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return natural_less(a.stem().string(), b.stem().string()); });
  return found;
}

error unknown_operator(const std::string& name, const std::vector<fs::path>& known) {
  std::vector<std::pair<std::size_t, std::string>> near;
  std::string all;
  for (const auto& file : known) {
    const std::string whole = file.stem().string(), family = whole.substr(0, whole.rfind('_'));
    near.emplace_back(std::min(edit_distance(name, whole), edit_distance(name, family)), whole);
    all += (all.empty() ? "" : ", ") + file.stem().string();
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string guess;
  if (!near.empty() && near.front().first <= std::max<std::size_t>(2, name.size() / 3))
    guess = "; did you mean " + near.front().second + "?";
  return {errc::specification, "operator '" + name + "': no such operator" + guess + " (known: " + (all.empty() ? "none" : all) + ")"};
}

} // namespace

result<json> read_json(const fs::path& file) {
  KEVOLVE_TRY(text, read_text(file));
  return parse_json(text, file.string());
}

result<std::vector<workload>> read_workloads(const fs::path& file, const operator_definition& op) {
  KEVOLVE_TRY(text, read_text(file));
  std::vector<workload> found;
  std::size_t number = 0;
  for (std::size_t start = 0; start < text.size();) {
    auto end = std::min(text.find('\n', start), text.size());
    std::string_view line(text.data() + start, end - start);
    start = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos)
      continue;
    const std::string where = file.string() + ":" + std::to_string(number);
    KEVOLVE_TRY(value, parse_json(line, where));
    KEVOLVE_TRY_VOID(add_workload(found, value, op, where));
  }
  if (found.empty())
    return error{errc::specification, file.string() + ": found no workload, expected one a line"};
  return found;
}

result<problem> problem_from_json(const json& value, const std::string& where) {
  KEVOLVE_TRY(op, definition_from_json(value, where));
  KEVOLVE_TRY(workloads, embedded_workloads(value, op, where));
  if (workloads.empty() && !has_variable_axes(op)) {
    KEVOLVE_TRY(only, only_workload(op, where));
    workloads = std::move(only);
  }
  return problem{std::move(op), std::move(workloads)};
}

result<problem> read_problem(const fs::path& definition_file) {
  KEVOLVE_TRY(value, read_json(definition_file));
  if (value.is_object() && !value.contains("reference"))
    if (auto beside = definition_file.parent_path() / "reference.py"; fs::exists(beside)) { // SOL-ExecBench
      KEVOLVE_TRY(reference, read_text(beside));
      value["reference"] = reference;
    }
  KEVOLVE_TRY(found, problem_from_json(value, definition_file.string()));
  for (const auto& place : places_of_workloads(definition_file, found.op))
    if (fs::exists(place)) {
      KEVOLVE_TRY(workloads, read_workloads(place.lexically_normal(), found.op));
      found.workloads = std::move(workloads);
      return found;
    }
  if (found.workloads.empty())
    return error{errc::specification, definition_file.string() + ": no workloads: put them into " +
                                        (definition_file.parent_path() / (found.op.name + ".workloads.jsonl")).string() +
                                        ", one a line"};
  return found;
}

result<operator_match> find_operator(const std::string& name, const std::vector<fs::path>& directories) {
  const auto known = definitions_in(directories);
  for (const auto& file : known)
    if (file.stem() == name)
      return operator_match{file, {}};
  std::vector<fs::path> family;
  for (const auto& file : known)
    if (!name.empty() && file.stem().string().rfind(name + "_", 0) == 0)
      family.push_back(file);
  if (family.empty())
    return unknown_operator(name, known);
  // The one with the fewest words after the name: rms_norm is rms_norm_h4096, not rms_norm_backward_h4096.
  const auto words = [](const fs::path& file) {
    const auto stem = file.stem().string();
    return std::count(stem.begin(), stem.end(), '_');
  };
  const auto chosen = std::min_element(family.begin(), family.end(), [&](const fs::path& a, const fs::path& b) { return words(a) < words(b); });
  operator_match match{*chosen, {}};
  for (const auto& file : family)
    if (file != match.file)
      match.others.push_back(file.stem().string());
  return match;
}

} // namespace kevolve
