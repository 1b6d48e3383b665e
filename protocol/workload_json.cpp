#include "protocol/json_fields.hpp"

#include <cmath>

namespace kevolve {
namespace {

result<double> ratio_or_bound(const json_place& at, double most) {
  KEVOLVE_TRY(value, at.real());
  if (!(value >= 0) || value > most)
    return at.wrong(most == 1 ? "a number from 0 to 1" : "a number that is not negative");
  return value;
}

/// Reads the members of a tolerance, whatever the dialect calls them.
result<void> read_bounds(tolerance& found, const json_place& at, const char* atol, const char* rtol, const char* ratio) {
  KEVOLVE_TRY_VOID(at.is_object("a tolerance"));
  for (auto [name, member, most] : {std::tuple{atol, &found.atol, HUGE_VAL}, std::tuple{rtol, &found.rtol, HUGE_VAL},
                                    std::tuple{ratio, &found.matched_ratio, 1.0}})
    if (auto place = at.find(name)) {
      KEVOLVE_TRY(value, ratio_or_bound(*place, most));
      *member = value;
    }
  if (auto place = at.find("bitwise")) {
    KEVOLVE_TRY(value, place->boolean());
    found.bitwise = value;
  }
  return {};
}

result<workload_input> read_input(const std::string& name, const json_place& at, json& extra) {
  workload_input found{.name = name};
  KEVOLVE_TRY_VOID(at.is_object("an input"));
  KEVOLVE_TRY(type_at, at.field("type", "random, scalar, safetensors or custom"));
  KEVOLVE_TRY(type, type_at.text());
  if (type == "scalar") {
    found.kind = input_kind::scalar;
    KEVOLVE_TRY(value_at, at.field("value", "a number"));
    if (value_at->is_boolean()) {
      found.value = value_at->get<bool>();
    } else {
      KEVOLVE_TRY(value, value_at.real());
      found.value = value;
    }
  } else if (type == "safetensors") {
    found.kind = input_kind::safetensors;
    KEVOLVE_TRY(path_at, at.field("path", "a file of tensors"));
    KEVOLVE_TRY(path, path_at.text());
    KEVOLVE_TRY(key_at, at.field("tensor_key", "a tensor's name in the file"));
    KEVOLVE_TRY(key, key_at.text());
    found.path = std::move(path);
    found.tensor_key = std::move(key);
  } else if (type == "custom") {
    found.kind = input_kind::custom;
  } else if (type != "random") {
    return type_at.wrong("random, scalar, safetensors or custom");
  }
  at.keep_unknown({"type", "value", "path", "tensor_key"}, extra);
  return found;
}

result<workload> read_bare(const json_place& at, json& extra) {
  workload found;
  KEVOLVE_TRY_VOID(at.is_object("a Workload"));
  KEVOLVE_TRY(uuid_at, at.field("uuid", "the workload's identity"));
  KEVOLVE_TRY(uuid, uuid_at.text());
  if (uuid.empty())
    return uuid_at.wrong("a text that is not empty");
  found.uuid = std::move(uuid);
  KEVOLVE_TRY(axes_at, at.field("axes", "sizes by variable axis"));
  KEVOLVE_TRY_VOID(axes_at.is_object("sizes by variable axis"));
  for (const auto& [name, entry] : axes_at->items()) {
    KEVOLVE_TRY(value, axes_at.member(name).integer());
    if (value < 1)
      return axes_at.member(name).wrong("a size of at least 1");
    found.axes.emplace_back(name, value);
  }
  KEVOLVE_TRY(inputs_at, at.field("inputs", "inputs by name"));
  KEVOLVE_TRY_VOID(inputs_at.is_object("inputs by name"));
  for (const auto& [name, entry] : inputs_at->items()) {
    KEVOLVE_TRY(input, read_input(name, inputs_at.member(name), extra));
    found.inputs.push_back(std::move(input));
  }
  if (auto tolerance_at = at.find("tolerance")) { // SOL-ExecBench, with its defaults
    tolerance tolerated{.atol = 1e-2, .rtol = 1e-2, .matched_ratio = 0.99};
    KEVOLVE_TRY_VOID(read_bounds(tolerated, *tolerance_at, "max_atol", "max_rtol", "required_matched_ratio"));
    tolerance_at->keep_unknown({"max_atol", "max_rtol", "required_matched_ratio"}, extra);
    found.tolerated = tolerated;
  }
  if (auto ours = at.find("x_kevolve")) {
    KEVOLVE_TRY_VOID(ours->is_object("what kevolve adds"));
    if (auto name_at = ours->find("name")) {
      KEVOLVE_TRY(name, name_at->text());
      found.name = std::move(name);
    }
    if (auto bitwise = ours->find("bitwise")) {
      KEVOLVE_TRY(value, bitwise->boolean());
      if (!found.tolerated)
        found.tolerated.emplace();
      found.tolerated->bitwise = value;
    }
    ours->keep_unknown({"name", "bitwise"}, extra);
  }
  at.keep_unknown({"axes", "inputs", "uuid", "tolerance", "x_kevolve"}, extra);
  return found;
}

json write_input(const workload_input& input) {
  switch (input.kind) {
    case input_kind::random: return {{"type", "random"}};
    case input_kind::custom: return {{"type", "custom"}};
    case input_kind::safetensors: return {{"type", "safetensors"}, {"path", input.path}, {"tensor_key", input.tensor_key}};
    case input_kind::scalar: break;
  }
  bool whole = std::nearbyint(input.value) == input.value && std::abs(input.value) < 0x1p53;
  return {{"type", "scalar"}, {"value", whole ? json(static_cast<std::int64_t>(input.value)) : json_real(input.value)}};
}

} // namespace

result<tolerance> read_tolerance(const json_place& at, json& extra) {
  tolerance found;
  KEVOLVE_TRY_VOID(read_bounds(found, at, "atol", "rtol", "matched_ratio"));
  at.keep_unknown({"atol", "rtol", "matched_ratio", "bitwise"}, extra);
  return found;
}

json write_tolerance(const tolerance& t) {
  json out{{"atol", json_real(t.atol)}, {"rtol", json_real(t.rtol)}, {"matched_ratio", t.matched_ratio}};
  if (t.bitwise)
    out["bitwise"] = true;
  return out;
}

result<workload> workload_from_json(const json& value, const std::string& where) {
  json_place at(value, where);
  json extra = json::object();
  KEVOLVE_TRY_VOID(at.is_object("a Workload, bare or in a Trace"));
  bool wrapped = value.contains("workload");
  auto bare = wrapped ? json_place(value.at("workload"), where) : at;
  KEVOLVE_TRY(found, read_bare(bare, extra));
  if (!extra.empty())
    found.extra = extra.dump();
  return found;
}

json to_json(const workload& w, const std::string& definition) {
  json bare = json::object(), axes = json::object(), inputs = json::object(), ours = json::object();
  for (const auto& [name, value] : w.axes)
    axes[name] = value;
  for (const auto& input : w.inputs)
    inputs[input.name] = write_input(input);
  bare["axes"] = std::move(axes);
  bare["inputs"] = std::move(inputs);
  bare["uuid"] = w.uuid;
  if (w.tolerated) {
    bare["tolerance"] = {{"max_atol", json_real(w.tolerated->atol)}, {"max_rtol", json_real(w.tolerated->rtol)},
                         {"required_matched_ratio", w.tolerated->matched_ratio}};
    if (w.tolerated->bitwise)
      ours["bitwise"] = true;
  }
  if (!w.name.empty())
    ours["name"] = w.name;
  if (!ours.empty())
    bare["x_kevolve"] = std::move(ours);
  restore_unknown(bare, w.extra);
  return {{"definition", definition}, {"workload", std::move(bare)}, {"solution", nullptr}, {"evaluation", nullptr}};
}

} // namespace kevolve
