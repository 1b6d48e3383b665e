#include "node-agent/devices.hpp"

#include "node-agent/process.hpp"
#include "protocol/codec.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fstream>
#include <map>

namespace kevolve::agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* ask = "--find-devices";
constexpr const char* unused = "found, not used: kevolve has no back end for it here";

// ---- NVIDIA: the few functions of NVML that are wanted, as its manual declares them (all stable since driver 450)

using nvml_device = void*;
struct nvml_memory { unsigned long long total, free, used; };

class nvml {
public:
  explicit nvml(void* library) : library_(library) {}
  nvml(const nvml&) = delete;
  nvml& operator=(const nvml&) = delete;
  ~nvml() {
    if (started_)
      if (auto* end = function<int()>("nvmlShutdown"))
        (void)end();
    ::dlclose(library_);
  }

  /// Empty, or why not.
  std::string start() {
    auto* begin = function<int()>("nvmlInit_v2");
    if (!begin)
      return "the library has no nvmlInit_v2: it is too old";
    if (const int code = begin(); code != 0)
      return "nvmlInit: " + words(code);
    started_ = true;
    return {};
  }
  std::string words(int code) {
    auto* text = function<const char*(int)>("nvmlErrorString");
    const char* said = text ? text(code) : nullptr;
    return said ? said : "error " + std::to_string(code);
  }
  template <class Signature>
  Signature* function(const char* name) {
    return reinterpret_cast<Signature*>(::dlsym(library_, name));
  }
  /// Calls `name` where it is there; 0: it went well.
  template <class... Arguments>
  int call(const char* name, Arguments... arguments) {
    auto* f = function<int(Arguments...)>(name);
    return f ? f(arguments...) : 13; // NVML_ERROR_FUNCTION_NOT_FOUND
  }
  std::string text(const char* name, nvml_device device) {
    char said[97] = "";
    return call(name, device, static_cast<char*>(said), 96u) == 0 ? scrub(said, 96) : std::string();
  }

private:
  void* library_;
  bool started_ = false;
};

void add(found_device& d, const std::string& name, const std::string& value) {
  if (!value.empty())
    d.facts.emplace_back(name, value);
}

found_device nvidia_device(nvml& lib, unsigned index, const std::string& driver) {
  found_device d;
  d.platform = "cuda";
  d.name = "cuda" + std::to_string(index);
  d.trouble = unused;
  nvml_device device = nullptr;
  if (const int code = lib.call("nvmlDeviceGetHandleByIndex_v2", index, &device); code != 0) {
    d.trouble = "suspended: the driver does not hand it out: " + lib.words(code);
    return d;
  }
  d.model = lib.text("nvmlDeviceGetName", device);
  int major = 0, minor = 0;
  if (const int code = lib.call("nvmlDeviceGetCudaComputeCapability", device, &major, &minor); code == 0)
    d.architecture = "sm_" + std::to_string(major) + std::to_string(minor);
  else
    d.trouble = "suspended: it does not tell its compute capability: " + lib.words(code);
  nvml_memory memory{};
  if (lib.call("nvmlDeviceGetMemoryInfo", device, &memory) == 0)
    add(d, "memory", fmt::format("{:.1f} GiB", static_cast<double>(memory.total) / (1u << 30)));
  unsigned value = 0, memory_clock = 0, bus_bits = 0;
  if (lib.call("nvmlDeviceGetMaxClockInfo", device, 1, &value) == 0) // NVML_CLOCK_SM
    add(d, "clock", std::to_string(value) + " MHz at most");
  if (lib.call("nvmlDeviceGetMaxClockInfo", device, 2, &memory_clock) == 0 && lib.call("nvmlDeviceGetMemoryBusWidth", device, &bus_bits) == 0 && bus_bits > 0)
    add(d, "bandwidth", fmt::format("{:.0f} GB/s by clock and bus width", 2e6 * memory_clock * bus_bits / 8 / 1e9)); // two transfers a clock
  if (lib.call("nvmlDeviceGetNumGpuCores", device, &value) == 0)
    add(d, "cores", std::to_string(value));
  unsigned current = 0, pending = 0;
  if (lib.call("nvmlDeviceGetEccMode", device, &current, &pending) == 0)
    add(d, "ecc", current ? "on" : "off");
  if (lib.call("nvmlDeviceGetMigMode", device, &current, &pending) == 0 && current)
    add(d, "mig", "on");
  unsigned long long errors = 0;
  if (current = 0; lib.call("nvmlDeviceGetTotalEccErrors", device, 1, 0, &errors) == 0 && errors > 0) // uncorrected, since the driver was loaded
    d.trouble = "suspended: " + std::to_string(errors) + " memory errors that could not be corrected since the driver was loaded";
  add(d, "driver", driver);
  add(d, "uuid", lib.text("nvmlDeviceGetUUID", device));
  return d;
}

found_device trouble(const std::string& platform, std::string why) {
  found_device d;
  d.platform = platform;
  d.name = platform;
  d.trouble = std::move(why);
  return d;
}

std::vector<found_device> nvidia_devices(const device_places& places) {
  void* library = nullptr;
  std::string why;
  for (const std::string& name : places.nvidia_libraries)
    if ((library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)))
      break;
    else if (const char* said = ::dlerror(); why.empty() && said)
      why = said;
  std::error_code failed;
  if (!library) {
    if (!fs::exists(places.nvidia_driver, failed))
      return {}; // no such device, as far as anybody can tell
    return {trouble("cuda", "suspended: a driver is loaded, and its management library is not: " + why)};
  }
  nvml lib(library);
  if (std::string said = lib.start(); !said.empty())
    return {trouble("cuda", "suspended: " + said)};
  char version[97] = "";
  const std::string driver = lib.call("nvmlSystemGetDriverVersion", static_cast<char*>(version), 96u) == 0 ? scrub(version, 96) : "";
  unsigned count = 0;
  if (const int code = lib.call("nvmlDeviceGetCount_v2", &count); code != 0)
    return {trouble("cuda", "suspended: the driver does not count its devices: " + lib.words(code))};
  std::vector<found_device> all;
  for (unsigned i = 0; i < std::min(count, 256u); ++i)
    all.push_back(nvidia_device(lib, i, driver));
  return all;
}

// ---- AMD: what the kernel's KFD driver tells; processors have no SIMDs there

std::map<std::string, std::uint64_t> properties_in(const fs::path& file) {
  std::map<std::string, std::uint64_t> all;
  std::ifstream in(file);
  std::uint64_t value = 0;
  for (std::string name; in >> name >> value;)
    all[name] = value;
  return all;
}

/// 90402 is major 9, minor 4, stepping 2: gfx942, the last two in hexadecimal.
std::string gfx_of(std::uint64_t version) { return fmt::format("gfx{}{:x}{:x}", version / 10000, version / 100 % 100, version % 100); }

std::vector<found_device> amd_devices(const device_places& places) {
  std::error_code failed;
  std::vector<fs::path> nodes;
  for (const auto& node : fs::directory_iterator(places.amd_topology, failed))
    nodes.push_back(node.path());
  std::sort(nodes.begin(), nodes.end());
  std::vector<found_device> all;
  for (const fs::path& node : nodes) {
    const auto facts = properties_in(node / "properties");
    const auto value = [&](const char* name) { return facts.contains(name) ? facts.at(name) : std::uint64_t{0}; };
    if (value("simd_count") == 0)
      continue;
    found_device d;
    d.platform = "hip";
    d.name = "hip" + std::to_string(all.size());
    d.trouble = unused;
    std::ifstream(node / "name") >> d.model;
    if (const std::uint64_t version = value("gfx_target_version"))
      d.architecture = gfx_of(version);
    else
      d.trouble = "suspended: the kernel does not tell its architecture (gfx_target_version)";
    std::uint64_t bytes = 0;
    for (const auto& bank : fs::directory_iterator(node / "mem_banks", failed)) {
      const auto held = properties_in(bank.path() / "properties");
      bytes += held.contains("size_in_bytes") ? held.at("size_in_bytes") : 0;
    }
    if (bytes)
      add(d, "memory", fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1u << 30)));
    if (value("simd_per_cu"))
      add(d, "compute units", std::to_string(value("simd_count") / value("simd_per_cu")));
    if (value("max_engine_clk_fcompute"))
      add(d, "clock", std::to_string(value("max_engine_clk_fcompute")) + " MHz at most");
    if (value("wave_front_size"))
      add(d, "lanes", std::to_string(value("wave_front_size")));
    all.push_back(std::move(d));
  }
  return all;
}

} // namespace

std::vector<found_device> search_devices(const device_places& places) {
  std::vector<found_device> all = nvidia_devices(places);
  for (auto& d : amd_devices(places))
    all.push_back(std::move(d));
  return all;
}

std::vector<found_device> find_devices(double limit_s, const fs::path& executable) {
  command c;
  std::error_code failed;
  c.arguments = {executable.empty() ? fs::read_symlink("/proc/self/exe", failed).string() : executable.string(), ask};
  c.environment = plain_environment();
  for (const char* name : {"LD_LIBRARY_PATH", "KEVOLVE_NVIDIA_LIBRARY"}) // where a container keeps its driver; a stand-in for tests
    if (const char* value = std::getenv(name))
      c.environment.push_back(std::string(name) + "=" + value);
  c.limits.wall_s = limit_s;
  c.output_bytes = 1u << 20;
  c.scrub_output = false; // MessagePack
  auto end = run(c);
  if (!end)
    return {trouble("device search", "suspended: " + end.error().message)};
  if (end->good())
    if (auto found = decode<std::vector<found_device>>(end->output))
      return std::move(*found);
  return {trouble("device search", "suspended: looking for accelerators " + describe(*end) + ": a driver is in trouble; devices of this host are not used" +
                                     (end->errors.empty() ? "" : ": " + end->errors.substr(0, 300)))};
}

bool answer_device_search(int argc, char** argv) {
  if (argc < 2 || std::strcmp(argv[1], ask) != 0)
    return false;
  device_places places;
  if (const char* instead = std::getenv("KEVOLVE_NVIDIA_LIBRARY"))
    places.nvidia_libraries = {instead};
  const std::string bytes = encode(search_devices(places));
  std::fwrite(bytes.data(), 1, bytes.size(), stdout);
  return true;
}

std::string describe(const found_device& d) {
  std::string text = d.model.empty() ? d.platform : d.model + ", " + d.platform + (d.architecture.empty() ? "" : "/" + d.architecture);
  for (const auto& [name, value] : d.facts)
    if (name != "uuid")
      text += ", " + name + " " + value;
  return text + ": " + d.trouble;
}

} // namespace kevolve::agent
