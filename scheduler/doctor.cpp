// kevolve doctor: what this host can do, what is missing and the exact command that brings it. Optional things may be missing (exit 0); a
// compiler may not (exit 4).
#include "node-agent/devices.hpp"
#include "scheduler/answers.hpp"
#include "scheduler/commands.hpp"
#include "scheduler/quantity.hpp"
#include "scheduler/single_host.hpp"
#include "scheduler/specification.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace kevolve::scheduler {

namespace {

std::string store_state(const context& in) {
  auto memory = open_for_reading(in);
  if (!memory)
    return memory.error().code == errc::not_found ? "empty: nothing in " + in.configured.data.string() + " yet" : memory.error().message;
  auto sessions = (*memory)->sessions();
  return sessions ? fmt::format("good: {} sessions in {}", sessions->size(), in.configured.data.string()) : sessions.error().message;
}

std::string doctor_report(const doctor_findings& found, const style& how) {
  std::string text;
  table findings({{"what"}, {"finding"}});
  for (const device_description& d : found.devices)
    findings.add({"device " + d.name, fmt::format("{}, target {}, {} slot{}", d.hardware, to_string(d.on), d.slots, d.slots == 1 ? "" : "s")});
  for (const found_device& d : found.found)
    findings.add({"device " + d.name, agent::describe(d)});
  for (const auto& [name, finding] : found.findings)
    findings.add({name, finding});
  findings.add({"python", found.python.empty() ? "none with torch" : fmt::format("{} (torch {})", found.python, found.torch.empty() ? "?" : found.torch)});
  text += findings.render(how, "");

  if (!found.roofs.memory.empty()) {
    text += "\n" + how.strong("Roofs, measured on this host") + "\n";
    table roofs({{"working set", align::right}, {"read", align::right}, {"write", align::right}, {"copy", align::right}});
    for (const auto& m : found.roofs.memory)
      roofs.add({show_bytes(m.working_set_bytes), show_rate(m.read_bytes_per_s, "B"), show_rate(m.write_bytes_per_s, "B"), show_rate(m.copy_bytes_per_s, "B")});
    text += roofs.render(how);
  }
  if (found.roofs.fma_flops_per_s > 0)
    text += fmt::format("  float32 FMA peak {} measured, {} by ISA width x units x clock{}\n", show_rate(found.roofs.fma_flops_per_s, "FLOP"),
                        show_rate(found.roofs.theoretical_flops_per_s, "FLOP"), found.roofs.fma_agrees ? "" : ": they do not agree");
  if (!found.roofs.note.empty())
    text += "  " + wrap(found.roofs.note, 110, "  ") + "\n";

  if (!found.noise.empty()) {
    text += "\n" + how.strong("Noise: how small a gain this host can resolve") + "\n";
    table trials({{"true gain", align::right}, {"found in", align::right}, {"median measured", align::right}, {"95% interval holds it", align::right}, {"a trial", align::right}});
    for (const noise_row& r : found.noise)
      trials.add({fmt::format("{:.0f}%", r.gain * 100), fmt::format("{} of {}", r.found, r.trials), fmt::format("{:+.2f}%", r.median_gain * 100),
                  fmt::format("{} of {}", r.covered, r.trials), show_duration(r.seconds)});
    text += trials.render(how);
    const double least = resolvable_gain(found.noise);
    text += least > 0 ? fmt::format("  gains of {:.0f}% and more are found in at least three of four evaluations\n", least * 100) : "  not even 10% is found in three of four evaluations: this host is too busy to tune on\n";
  }

  text += "\n" + how.strong("Settings") + "\n";
  table chosen({{"key"}, {"value"}});
  for (const auto& [key, value] : found.settings)
    chosen.add({key, value});
  text += chosen.render(how);
  if (!found.missing.empty()) {
    text += "\n" + how.strong("What is missing") + "\n";
    for (const std::string& each : found.missing)
      text += "  " + wrap(each, 110, "  ") + "\n";
  }
  return text;
}

std::vector<std::pair<std::string, std::string>> settings_in_words(const settings& from) {
  const std::string seed = from.seed ? std::to_string(*from.seed) : "drawn afresh";
  const auto list = [](const std::vector<std::string>& items) {
    std::string text;
    for (const std::string& item : items)
      text += (text.empty() ? "" : ",") + item;
    return text.empty() ? std::string("none") : text;
  };
  std::vector<std::pair<std::string, std::string>> words{
      {"data", from.data.string()}, {"cache", from.cache.string()}, {"python", from.python.empty() ? "found by itself" : from.python},
      {"compiler", from.compiler}, {"target", from.target}, {"policy", from.policy}, {"synthesizer", list(from.synthesizers)}, {"ensemble", from.ensemble},
      {"baselines", list(from.baselines)}, {"time", from.time_s > 0 ? show_duration(from.time_s) : "no limit"},
      {"evaluations", from.evaluations ? std::to_string(from.evaluations) : "no limit"}, {"goal", from.goal > 0 ? show_factor(from.goal) : "none"}, {"seed", seed}};
  for (auto& [key, value] : words)
    if (auto origin = from.origin.find(key); origin != from.origin.end())
      value += " (" + origin->second + ")";
  return words;
}

} // namespace

result<int> doctor(context& in, const doctor_options& options) {
  doctor_findings found;
  found.settings = settings_in_words(in.configured);
  const std::string store = store_state(in); // closed again before anything forks
  KEVOLVE_TRY(host, single_host::start(in));
  found.devices = host->evaluator().devices();
  found.found = agent::find_devices();
  found.findings = host->evaluator().self_test();
  found.findings.emplace_back("store", store);
  found.findings.emplace_back("operators", fmt::format("{} shipped", shipped_operators(in.configured).size()));
  found.python = host->python().interpreter.string();
  found.torch = host->python().torch;
  if (!host->python().missing.empty())
    found.missing.push_back("PyTorch (optional: baselines and .py SPECs): " + host->python().missing + ".");
  if (auto roofs = host->evaluator().roofs())
    found.roofs = std::move(*roofs);
  else
    found.missing.push_back("Roofs: " + roofs.error().message);
  if (options.noise) {
    KEVOLVE_TRY(subject, read_specification("rms_norm_h4096", in.configured));
    subject.workloads.resize(1);
    std::atomic<bool> cancelled{false};
    in.signals.on_signal([&](int) { cancelled = true; });
    auto rows = measure_noise(host->evaluator(), subject, options.trials, cancelled, [&](const std::string& line) { in.out.progress(line, false); });
    if (in.signals.received())
      return in.signals.exit_code();
    if (!rows)
      return rows.error();
    found.noise = std::move(*rows);
  }
  in.out.answer(doctor_answer(found));
  in.out.say(doctor_report(found, in.look()));
  return 0;
}

} // namespace kevolve::scheduler
