#include "node-agent/hardware.hpp"

#include "node-agent/compile.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <sstream>
#include <sys/utsname.h>

namespace kevolve::agent {
namespace {

std::string cpu_field(const std::string& name) {
  std::istringstream in(cpu_identity());
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos && line.substr(0, line.find_last_not_of("\t ", colon - 1) + 1) == name)
      return line.substr(std::min(colon + 2, line.size()));
  }
  return {};
}

bool has(const std::string& feature) {
  static const std::string flags = " " + cpu_field("flags") + " ";
  return flags.find(" " + feature + " ") != std::string::npos;
}

std::string machine() {
  utsname u{};
  return ::uname(&u) == 0 ? u.machine : "unknown";
}

int number(const std::string& text) { return text.empty() ? 0 : std::atoi(text.c_str()); }

} // namespace

std::string slug(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (std::isalnum(static_cast<unsigned char>(c)))
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!out.empty() && out.back() != '-')
      out += '-';
  while (!out.empty() && out.back() == '-')
    out.pop_back();
  return out.empty() ? "unknown" : out;
}

std::string hardware_key() {
  const std::string isa = has("avx512f") ? "avx512" : has("avx2") ? "avx2" : has("sse4_2") ? "sse4" : "base";
  return "cpu-" + machine() + "-" + isa + "-" + slug(cpu_field("model name"));
}

std::string host_architecture() {
  if (machine() != "x86_64")
    return machine();
  if (has("avx512f") && has("avx512bw") && has("avx512cd") && has("avx512dq") && has("avx512vl"))
    return "x86-64-v4";
  if (has("avx2") && has("fma") && has("bmi2"))
    return "x86-64-v3";
  return has("sse4_2") ? "x86-64-v2" : "x86-64";
}

cache_sizes caches() {
  cache_sizes found;
  for (int i = 0; i < 8; ++i) {
    const std::string base = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/";
    std::ifstream level_file(base + "level"), type_file(base + "type"), size_file(base + "size");
    int level = 0;
    std::string type, size;
    if (!(level_file >> level) || !(type_file >> type) || !(size_file >> size) || type == "Instruction")
      continue;
    double bytes = std::atof(size.c_str());
    bytes *= size.back() == 'K' ? 1024 : size.back() == 'M' ? 1024 * 1024 : 1;
    (level == 1 ? found.l1 : level == 2 ? found.l2 : found.l3) = bytes;
  }
  return found;
}

core_width widest_fma() {
  const bool amd = cpu_identity().find("AMD") != std::string::npos;
  const int family = number(cpu_field("cpu family")), model = number(cpu_field("model"));
  if (!has("fma"))
    return {has("avx") ? 16.0 : 8.0, has("avx") ? 8 : 4, "one multiply and one add per cycle, no FMA"};
  if (amd && family == 0x17 && model < 0x30)
    return {16, 8, "Zen 1: 2 x 128-bit FMA"};
  if (amd && family <= 0x19)
    return {32, has("avx512f") ? 16 : 8, "Zen 2 to 4: 2 x 256-bit FMA"};
  if (has("avx512f"))
    return {64, 16, "2 x 512-bit FMA"};
  return {32, 8, "2 x 256-bit FMA"};
}

} // namespace kevolve::agent
