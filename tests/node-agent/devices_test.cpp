// Accelerators that are found, by stand-ins for the vendors' libraries and tables with made-up devices.
#include "node-agent/devices.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::agent;
namespace fs = std::filesystem;

namespace {

fs::path beside() { return fs::read_symlink("/proc/self/exe").parent_path(); }
std::string stand_in(const std::string& behaviour) { return (beside() / ("libstand_in_nvml_" + behaviour + ".so")).string(); }

device_places with(const std::string& library) {
  device_places places;
  places.nvidia_libraries = {"/no/such/library.so", library};
  places.nvidia_driver = "/no/such/file";
  places.amd_topology = "/no/such/folder";
  return places;
}

/// By the agent's program, in a process of its own.
std::vector<found_device> apart(const std::string& behaviour, double limit_s = 10) {
  ::setenv("KEVOLVE_NVIDIA_LIBRARY", stand_in(behaviour).c_str(), 1);
  auto found = find_devices(limit_s, KEVOLVE_AGENT);
  ::unsetenv("KEVOLVE_NVIDIA_LIBRARY");
  std::erase_if(found, [](const found_device& d) { return d.platform == "hip"; }); // those of this host, if it has any
  return found;
}

std::string fact(const found_device& d, const std::string& name) {
  for (const auto& [known, value] : d.facts)
    if (known == name)
      return value;
  return {};
}

void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

} // namespace

TEST_CASE("a host without drivers has no accelerators, and that is no fault") {
  device_places none = with("/no/such/other.so");
  CHECK(search_devices(none).empty());
}

TEST_CASE("NVIDIA's devices are found with their facts") {
  const auto found = search_devices(with(stand_in("good")));
  REQUIRE(found.size() == 2);
  const found_device& d = found[1];
  CHECK(d.name == "cuda1");
  CHECK(d.platform == "cuda");
  CHECK(d.architecture == "sm_90");
  CHECK(d.model == "Made-up GPU B"); // escape sequences are gone
  CHECK(fact(d, "memory") == "80.0 GiB");
  CHECK(fact(d, "bandwidth") == "3352 GB/s by clock and bus width");
  CHECK(fact(d, "clock") == "1980 MHz at most");
  CHECK(fact(d, "ecc") == "on");
  CHECK(fact(d, "cores") == ""); // the library has no such function
  CHECK(fact(d, "driver") == "999.1 (made up)");
  CHECK(fact(d, "uuid") == "GPU-made-up-2");
  CHECK(d.trouble.find("no back end") != std::string::npos);
  CHECK(describe(d).find("Made-up GPU B, cuda/sm_90, memory 80.0 GiB") == 0);
}

TEST_CASE("what is wrong with a device, a driver or a library is said") {
  auto broken = search_devices(with(stand_in("broken")));
  REQUIRE(broken.size() == 2);
  CHECK(broken[0].trouble == "suspended: 3 memory errors that could not be corrected since the driver was loaded");
  CHECK(broken[0].architecture == "sm_90");
  CHECK(broken[1].trouble == "suspended: the driver does not hand it out: GPU is lost");
  auto refused = search_devices(with(stand_in("refuses")));
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].trouble == "suspended: nvmlInit: Driver Not Loaded");
  auto old = search_devices(with(stand_in("old")));
  REQUIRE(old.size() == 1);
  CHECK(old[0].trouble.find("too old") != std::string::npos);
  device_places loaded = with("/no/such/other.so");
  loaded.nvidia_driver = "/proc/self/status"; // a driver is there, its library is not
  auto missing = search_devices(loaded);
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].trouble.find("its management library is not") != std::string::npos);
}

TEST_CASE("AMD's devices are read from the kernel's tables") {
  std::string name = (fs::temp_directory_path() / "kevolve-kfd-XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()));
  const fs::path nodes = name;
  write(nodes / "0/properties", "cpu_cores_count 64\nsimd_count 0\nmax_engine_clk_fcompute 0\n");
  write(nodes / "1/properties", "cpu_cores_count 0\nsimd_count 1216\nsimd_per_cu 4\nwave_front_size 64\ngfx_target_version 90402\nmax_engine_clk_fcompute 2100\n");
  write(nodes / "1/mem_banks/0/properties", "heap_type 1\nsize_in_bytes 206141652992\nflags 0\n");
  write(nodes / "2/properties", "simd_count 8\nsimd_per_cu 2\n");
  write(nodes / "2/name", "made-up\n");
  device_places places = with("/no/such/other.so");
  places.amd_topology = nodes;
  const auto found = search_devices(places);
  fs::remove_all(nodes);
  REQUIRE(found.size() == 2);
  CHECK(found[0].name == "hip0");
  CHECK(found[0].architecture == "gfx942");
  CHECK(fact(found[0], "memory") == "192.0 GiB");
  CHECK(fact(found[0], "compute units") == "304");
  CHECK(fact(found[0], "lanes") == "64");
  CHECK(found[0].trouble.find("no back end") != std::string::npos);
  CHECK(found[1].model == "made-up");
  CHECK(found[1].trouble.find("gfx_target_version") != std::string::npos);
}

TEST_CASE("a driver that hangs or crashes takes nobody with it") {
  const auto good = apart("good");
  REQUIRE(good.size() == 2); // the control
  CHECK(good[0].model == "Made-up GPU A");
  const auto hung = apart("hangs", 1);
  REQUIRE(hung.size() == 1);
  CHECK(hung[0].trouble.find("was stopped after") != std::string::npos);
  const auto crashed = apart("crashes");
  REQUIRE(crashed.size() == 1);
  CHECK(crashed[0].trouble.find("signal 11") != std::string::npos);
}
