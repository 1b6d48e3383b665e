#include "node-agent/instruction_sets.hpp"

#include "node-agent/compile.hpp"
#include "node-agent/hardware.hpp"

#include <algorithm>
#include <cstdlib>
#include <gnu/libc-version.h>
#include <iterator>
#include <set>
#include <sstream>
#include <sys/utsname.h>

namespace kevolve::agent {
namespace {

struct instruction_set { const char* kernel; const char* flag; };

// As the kernel names them, and as gcc and clang do. Those that change what a compiler generates; a level has its own already, which does no harm.
constexpr instruction_set known[] = {
    {"pni", "-msse3"}, {"ssse3", "-mssse3"}, {"sse4_1", "-msse4.1"}, {"sse4_2", "-msse4.2"}, {"sse4a", "-msse4a"}, {"popcnt", "-mpopcnt"}, {"cx16", "-mcx16"},
    {"lahf_lm", "-msahf"}, {"movbe", "-mmovbe"}, {"abm", "-mlzcnt"}, {"bmi1", "-mbmi"}, {"bmi2", "-mbmi2"}, {"adx", "-madx"}, {"avx", "-mavx"}, {"f16c", "-mf16c"},
    {"fma", "-mfma"}, {"fma4", "-mfma4"}, {"xop", "-mxop"}, {"avx2", "-mavx2"}, {"aes", "-maes"}, {"pclmulqdq", "-mpclmul"}, {"sha_ni", "-msha"}, {"gfni", "-mgfni"},
    {"vaes", "-mvaes"}, {"vpclmulqdq", "-mvpclmulqdq"}, {"3dnowprefetch", "-mprfchw"}, {"clflushopt", "-mclflushopt"}, {"clwb", "-mclwb"}, {"rdrand", "-mrdrnd"}, {"rdseed", "-mrdseed"},
    {"movdiri", "-mmovdiri"}, {"movdir64b", "-mmovdir64b"}, {"avx_vnni", "-mavxvnni"}, {"avx512f", "-mavx512f"}, {"avx512cd", "-mavx512cd"}, {"avx512bw", "-mavx512bw"},
    {"avx512dq", "-mavx512dq"}, {"avx512vl", "-mavx512vl"}, {"avx512ifma", "-mavx512ifma"}, {"avx512vbmi", "-mavx512vbmi"}, {"avx512_vbmi2", "-mavx512vbmi2"},
    {"avx512_vnni", "-mavx512vnni"}, {"avx512_bitalg", "-mavx512bitalg"}, {"avx512_vpopcntdq", "-mavx512vpopcntdq"}, {"avx512_bf16", "-mavx512bf16"},
    {"avx512_fp16", "-mavx512fp16"}, {"avx512_vp2intersect", "-mavx512vp2intersect"}, {"amx_tile", "-mamx-tile"}, {"amx_int8", "-mamx-int8"}, {"amx_bf16", "-mamx-bf16"}};

std::string field(const std::string& cpuinfo, const std::string& name) {
  std::istringstream in(cpuinfo);
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos && line.substr(0, line.find_last_not_of("\t ", colon - 1) + 1) == name)
      return line.substr(std::min(colon + 2, line.size()));
  }
  return {};
}

/// What to schedule for, the oldest name first: a compiler takes the last one that it knows.
std::vector<std::string> tunings(const std::string& cpuinfo, const std::set<std::string>& has) {
  const std::string name = field(cpuinfo, "model name");
  const int family = std::atoi(field(cpuinfo, "cpu family").c_str()), model = std::atoi(field(cpuinfo, "model").c_str());
  if (name.find("AMD") != std::string::npos && family >= 0x17) {
    const int zen = family > 0x19 ? 5 : family == 0x19 ? (has.count("avx512f") ? 4 : 3) : model >= 0x30 ? 2 : 1;
    std::vector<std::string> all;
    for (int i = 1; i <= zen; ++i)
      all.push_back("-mtune=znver" + std::to_string(i));
    return all;
  }
  if (name.find("Intel") != std::string::npos && family == 6) {
    if (!has.count("avx512f"))
      return {has.count("adx") ? "-mtune=skylake" : has.count("avx2") ? "-mtune=haswell" : "-mtune=generic"};
    std::vector<std::string> all{"-mtune=skylake-avx512"};
    if (has.count("avx512_vnni"))
      all.push_back("-mtune=cascadelake");
    if (has.count("avx512_vbmi2"))
      all.push_back("-mtune=icelake-server");
    if (has.count("avx512_bf16") && has.count("amx_tile"))
      all.push_back("-mtune=sapphirerapids");
    return all;
  }
  return {"-mtune=generic"};
}

std::uint32_t libc_version() {
  const std::string text = ::gnu_get_libc_version(); // "2.36"
  char* rest = nullptr;
  const auto major = std::strtoul(text.c_str(), &rest, 10);
  return static_cast<std::uint32_t>(major * 1000 + (*rest == '.' ? std::strtoul(rest + 1, nullptr, 10) : 0));
}

} // namespace

std::vector<std::string> native_flags(const std::string& cpuinfo, const std::string& level) {
  if (!level.starts_with("x86-64"))
    return {};
  std::istringstream words(field(cpuinfo, "flags"));
  const std::set<std::string> has{std::istream_iterator<std::string>(words), {}};
  std::vector<std::string> flags{"-march=" + level};
  for (const instruction_set& each : known)
    if (has.count(each.kernel))
      flags.emplace_back(each.flag);
  const auto tuned = tunings(cpuinfo, has);
  flags.insert(flags.end(), tuned.begin(), tuned.end());
  return flags;
}

const program_host& this_host() {
  static const program_host host = [] {
    utsname u{};
    return program_host{::uname(&u) == 0 ? u.machine : "unknown", libc_version(), native_flags(cpu_identity(), host_architecture())};
  }();
  return host;
}

std::vector<std::string> without_native(const std::vector<std::string>& flags, const std::vector<std::string>& native) {
  std::vector<std::string> all;
  for (const std::string& flag : flags)
    if (flag != "-march=native" && flag != "-mtune=native" && flag != "-mcpu=native")
      all.push_back(flag);
    else
      for (const std::string& each : native)
        if (flag != "-mtune=native" || each.starts_with("-mtune="))
          all.push_back(each);
  return all;
}

} // namespace kevolve::agent
