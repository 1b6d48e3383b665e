#include "scheduler/landscape_file.hpp"

#include "actors/synthesis/schedule_text.hpp"
#include "scheduler/specification.hpp"

#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <sstream>

namespace kevolve::scheduler {
namespace {

using object = nlohmann::ordered_json;

error wrong(const std::filesystem::path& file, const std::string& field, const std::string& found, const std::string& expected) {
  return {errc::specification, fmt::format("{}: {}: found {}, expected {}", file.string(), field, found, expected)};
}

template <class E>
std::optional<E> named(const std::string& text) {
  for (std::uint64_t i = 0; i <= enum_max(E{}); ++i)
    if (to_string(static_cast<E>(i)) == text)
      return static_cast<E>(i);
  return std::nullopt;
}

result<std::unique_ptr<landscape_file>> read_ours(const std::filesystem::path& file, std::istream& in, const object& header, const settings& from) {
  const std::string name = header.value("operator", "");
  KEVOLVE_TRY(subject, read_specification(name, from));
  std::vector<std::string> workloads;
  for (const auto& w : header.at("workloads"))
    workloads.push_back(w.get<std::string>());
  KEVOLVE_TRY_VOID(restrict_workloads(subject, workloads));
  auto on = target_from_string(header.value("target", ""));
  if (!on)
    return wrong(file, "target", "\"" + header.value("target", "") + "\"", "platform/architecture/language");
  auto read = std::make_unique<landscape_file>(landscape_file{{name, workloads}, fmt::format("{} on {}", name, header.value("hardware", "?")), header.value("hardware", ""), features_of(subject.op), nullptr});
  KEVOLVE_TRY(writer, synthesis::generator::make(subject, *on, header.value("compiler", "g++")));
  read->writer = std::move(writer);
  std::size_t number = 1;
  for (std::string text; std::getline(in, text);) {
    ++number;
    const auto line = object::parse(text, nullptr, false);
    if (line.is_discarded() && in.peek() == std::char_traits<char>::eof())
      break; // torn by whatever ended the recording
    if (!line.is_object())
      return wrong(file, fmt::format("line {}", number), "no JSON object", "a point");
    auto point = point_of_line(line, workloads.size());
    if (!point)
      return point.error().in(fmt::format("{}, line {}", file.string(), number));
    if (read->land.points().empty() && point->result != outcome::passed)
      return wrong(file, fmt::format("line {}", number), std::string(to_string(point->result)), "a root that passed");
    read->land.add(std::move(*point));
  }
  if (read->land.points().size() < 3)
    return wrong(file, "points", std::to_string(read->land.points().size()), "at least 3");
  return read;
}

/// kernel_tuner's: `cache` maps each configuration to its parameters and its "time" in milliseconds, or to the name of an error in its place.
result<std::unique_ptr<landscape_file>> read_kernel_tuner(const std::filesystem::path& file, const object& whole) {
  const auto keys = whole.find("tune_params_keys");
  const auto cache = whole.find("cache");
  if (keys == whole.end() || !keys->is_array() || cache == whole.end() || !cache->is_object())
    return wrong(file, "tune_params_keys and cache", "none", "a list of names and an object, as kernel_tuner writes them");
  const std::string name = whole.value("kernel_name", file.stem().string());
  auto read = std::make_unique<landscape_file>(
    landscape_file{{name, {"time"}}, fmt::format("{} on {}, a kernel_tuner cache", name, whole.value("device_name", "?")), "", "", nullptr});
  std::optional<search::landscape_point> root;
  std::vector<search::landscape_point> points;
  for (const auto& [key, entry] : cache->items()) {
    search::landscape_point p;
    for (const auto& k : *keys) {
      const auto value = entry.find(k.get<std::string>());
      if (value == entry.end())
        return wrong(file, fmt::format("cache, \"{}\", {}", key, k.get<std::string>()), "nothing", "the parameter's value");
      p.how.steps.push_back({"set", k.get<std::string>(), {{"value", value->is_string() ? value->get<std::string>() : value->dump()}}});
    }
    const auto time = entry.find("time");
    if (time != entry.end() && time->is_number() && time->get<double>() > 0 && std::isfinite(time->get<double>()) && time->get<double>() < 1e20)
      p.latency_s = {time->get<double>() * 1e-3};
    else
      p.result = outcome::runtime_error;
    if (!root && p.result == outcome::passed)
      root = std::move(p); // kernel_tuner has no first guess: the first that works
    else
      points.push_back(std::move(p));
  }
  if (!root || points.size() < 2)
    return wrong(file, "cache", fmt::format("{} configurations, {} that works", points.size() + (root ? 1 : 0), root ? "one" : "none"), "at least 3, and one that works");
  read->land.add(std::move(*root));
  for (auto& p : points)
    read->land.add(std::move(p));
  return read;
}

} // namespace

object to_line(const search::landscape_point& p) {
  object line{{"schedule", to_string(p.how)}, {"outcome", std::string(to_string(p.result))}};
  if (p.result == outcome::passed) {
    line["latency_s"] = p.latency_s;
    line["bound"] = std::string(to_string(p.limited_by));
    line["roofline_fraction"] = p.roofline_fraction;
  }
  return line;
}

result<search::landscape_point> point_of_line(const object& line, std::size_t workloads) {
  const auto bad = [&](const std::string& field, const std::string& expected) {
    const auto found = line.find(field);
    return error{errc::specification, fmt::format("{}: found {}, expected {}", field, found == line.end() ? "nothing" : found->dump(), expected)};
  };
  const auto text = [&](const char* field) { return line.contains(field) && line[field].is_string() ? line[field].get<std::string>() : std::string(); };
  search::landscape_point p;
  auto how = text("schedule").empty() ? result<schedule>(schedule{}) : synthesis::schedule_from_text(text("schedule"));
  if (!how || !line.contains("schedule"))
    return bad("schedule", "steps verb(subject, name=value); …");
  p.how = std::move(*how);
  const auto result = named<outcome>(text("outcome"));
  if (!result)
    return bad("outcome", "an outcome such as passed");
  p.result = *result;
  if (p.result != outcome::passed)
    return p;
  const auto times = line.find("latency_s");
  if (times == line.end() || !times->is_array() || times->size() != workloads)
    return bad("latency_s", fmt::format("{} numbers of seconds", workloads));
  for (const auto& t : *times) {
    if (!t.is_number() || !(t.get<double>() > 0))
      return bad("latency_s", "seconds above 0");
    p.latency_s.push_back(t.get<double>());
  }
  p.limited_by = named<bound>(text("bound")).value_or(bound::unknown);
  p.roofline_fraction = line.value("roofline_fraction", 0.0);
  return p;
}

search::proposal_source landscape_file::proposals() const {
  if (!writer)
    return search::one_parameter_apart(land);
  return [this](const synthesis::context& given, rng draw) {
    auto all = writer->moves(given, draw);
    const auto from = given.parent ? land.find(given.parent->printed_from) : std::nullopt;
    if (from) // what comes to the parent's program the generator would pass over
      std::erase_if(all, [&](const auto& each) {
        const auto to = land.find(each.first);
        return to && land.same_program(*from, *to);
      });
    return all;
  };
}

result<std::unique_ptr<landscape_file>> read_landscape(const std::filesystem::path& file, const settings& from) {
  std::ifstream in(file);
  if (!in)
    return error{errc::specification, fmt::format("{}: no such file; expected a landscape of `bench landscape` or a kernel_tuner cache", file.string())};
  std::string first;
  std::getline(in, first);
  if (auto header = object::parse(first, nullptr, false); header.is_object() && header.value("campaign", "") == "landscape") {
    if (!header.contains("workloads") || !header["workloads"].is_array())
      return wrong(file, "workloads", "none", "a list of names");
    return read_ours(file, in, header, from);
  }
  std::ostringstream rest;
  rest << first << "\n" << in.rdbuf();
  auto whole = object::parse(rest.str(), nullptr, false);
  if (whole.is_discarded()) // kernel_tuner leaves the last brackets off while it tunes
    for (const char* end : {"}}", "}"}) {
      std::string text = rest.str();
      text.erase(text.find_last_not_of(" \n\r\t,") + 1);
      if (whole = object::parse(text + end, nullptr, false); !whole.is_discarded())
        break;
    }
  if (!whole.is_object())
    return wrong(file, "content", "no JSON", "a landscape of `bench landscape` or a kernel_tuner cache");
  return read_kernel_tuner(file, whole);
}

} // namespace kevolve::scheduler
