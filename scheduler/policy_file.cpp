#include "scheduler/policy_file.hpp"

#include "protocol/digest.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <spdlog/spdlog.h>

namespace kevolve::scheduler {
namespace {

using object = nlohmann::ordered_json;

error wrong(const std::string& field, const object* found, const std::string& expected) {
  return {errc::damaged, fmt::format("{}: found {}, expected {}", field, found == nullptr ? "nothing" : found->dump().substr(0, 60), expected)};
}

const object* field_of(const object& of, const char* name) {
  const auto at = of.find(name);
  return at == of.end() ? nullptr : &*at;
}

/// A tree is a list of [feature, first child, number]; feature -1 is a leaf.
result<synthesis::boosted_trees> trees_of(const object& model) {
  synthesis::boosted_trees out;
  const auto *base = field_of(model, "base"), *trees = field_of(model, "trees");
  if (base == nullptr || !base->is_number())
    return wrong("policy.base", base, "a number");
  if (trees == nullptr || !trees->is_array())
    return wrong("policy.trees", trees, "a list of trees");
  out.base = base->get<double>();
  for (const auto& tree : *trees) {
    auto& nodes = out.trees.emplace_back();
    if (!tree.is_array())
      return wrong("policy.trees", &tree, "a list of nodes");
    for (const auto& n : tree) {
      if (!n.is_array() || n.size() != 3 || !n[0].is_number_integer() || !n[1].is_number_unsigned() || !n[2].is_number())
        return wrong("policy.trees", &n, "[feature, first child, number]");
      nodes.push_back({n[0].get<std::int32_t>(), n[1].get<std::uint32_t>(), n[2].get<double>()});
    }
  }
  return out;
}

} // namespace

std::string policy_id(const synthesis::learned_policy& p) { return sha256_hex(synthesis::to_bytes(p)).substr(0, 12); }

object to_json(const kept_policy& what) {
  object trees = object::array();
  for (const auto& tree : what.policy.value.trees) {
    object nodes = object::array();
    for (const auto& n : tree)
      nodes.push_back(object::array({n.feature, n.left, n.number}));
    trees.push_back(std::move(nodes));
  }
  return {{"id", what.id}, {"at_ms", what.at_ms}, {"hardware", what.hardware}, {"beats_rules", what.beats_rules}, {"trained_on", what.trained_on}, {"held_out", what.held_out},
          {"policy", {{"version", what.policy.version}, {"temperature", what.policy.temperature}, {"features", synthesis::proposal_features()}, {"base", what.policy.value.base}, {"trees", trees}}}};
}

result<kept_policy> policy_of_json(const object& text) {
  kept_policy out;
  const auto *model = field_of(text, "policy"), *hardware = field_of(text, "hardware"), *beats = field_of(text, "beats_rules");
  if (model == nullptr || !model->is_object())
    return wrong("policy", model, "an object");
  if (hardware == nullptr || !hardware->is_array())
    return wrong("hardware", hardware, "a list of names");
  if (beats == nullptr || !beats->is_boolean())
    return wrong("beats_rules", beats, "true or false");
  const auto *version = field_of(*model, "version"), *temperature = field_of(*model, "temperature");
  if (version == nullptr || !version->is_number_unsigned())
    return wrong("policy.version", version, "a whole number");
  if (temperature == nullptr || !temperature->is_number())
    return wrong("policy.temperature", temperature, "a number above 0");
  KEVOLVE_TRY(trees, trees_of(*model));
  out.policy.version = version->get<std::uint32_t>();
  out.policy.temperature = temperature->get<double>();
  out.policy.value = std::move(trees);
  if (auto sound = synthesis::policy_from_bytes(synthesis::to_bytes(out.policy)); !sound)
    return sound.error();
  for (const auto& each : *hardware)
    out.hardware.push_back(each.is_string() ? each.get<std::string>() : each.dump());
  out.beats_rules = beats->get<bool>();
  out.id = policy_id(out.policy);
  if (const auto* at = field_of(text, "at_ms"); at != nullptr && at->is_number_integer())
    out.at_ms = at->get<std::int64_t>();
  if (const auto* on = field_of(text, "trained_on"))
    out.trained_on = *on;
  if (const auto* held_out = field_of(text, "held_out"))
    out.held_out = *held_out;
  return out;
}

result<std::filesystem::path> keep_policy(const std::filesystem::path& data, const kept_policy& what) {
  const auto folder = data / "policies", file = folder / fmt::format("{:013}-{}.json", what.at_ms, what.id);
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  const auto beside = std::filesystem::path(file.string() + ".new");
  std::ofstream out(beside);
  out << to_json(what).dump(1) << "\n";
  out.close();
  if (out)
    std::filesystem::rename(beside, file, failure);
  if (!out || failure)
    return error{errc::io, fmt::format("{}: cannot be written: {}", file.string(), failure ? failure.message() : "the file system refused it")};
  return file;
}

result<std::optional<kept_policy>> newest_policy(const std::filesystem::path& data) {
  std::vector<std::filesystem::path> files;
  std::error_code none;
  for (const auto& each : std::filesystem::directory_iterator(data / "policies", none))
    if (each.path().extension() == ".json")
      files.push_back(each.path());
  if (files.empty())
    return std::optional<kept_policy>{};
  const auto newest = *std::max_element(files.begin(), files.end());
  std::ifstream in(newest);
  const auto text = object::parse(in, nullptr, false);
  if (!text.is_object())
    return error{errc::damaged, newest.string() + ": found no JSON object, expected a policy of kevolve train"};
  auto read = policy_of_json(text);
  if (!read)
    return read.error().in(newest.string());
  return std::optional(std::move(*read));
}

result<void> copy_policies(const std::filesystem::path& data, const std::filesystem::path& to) {
  std::error_code failed;
  if (!std::filesystem::exists(data / "policies", failed))
    return {};
  std::filesystem::copy(data / "policies", to / "policies", std::filesystem::copy_options::recursive, failed);
  if (failed)
    return error{errc::io, fmt::format("{}: the policies cannot be copied there: {}", to.string(), failed.message())};
  return {};
}

std::string policy_for_session(const std::filesystem::path& data, const std::string& choice, const std::string& hardware, std::string& remark) {
  if (choice == "off")
    return "";
  auto newest = newest_policy(data);
  if (!newest) {
    remark = newest.error().message;
    return "";
  }
  if (!*newest)
    return "";
  const auto& known = (*newest)->hardware;
  if (choice == "auto" && (!(*newest)->beats_rules || std::find(known.begin(), known.end(), hardware) == known.end()))
    return "";
  return synthesis::to_bytes((*newest)->policy);
}

std::function<std::string(const std::string& hardware)> policy_source(const settings& from) {
  return [data = from.data, choice = from.policy_model](const std::string& hardware) {
    std::string remark, policy = policy_for_session(data, choice, hardware, remark);
    if (!remark.empty())
      spdlog::warn("{}; the rules rank proposals", remark);
    return policy;
  };
}

} // namespace kevolve::scheduler
