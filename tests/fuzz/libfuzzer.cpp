// The entry points that libFuzzer calls. KEVOLVE_FUZZ_SEEDS=DIR writes the seeds there and ends.
#include "tests/fuzz/fuzz.hpp"

#include <cstdlib>
#include <fstream>

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* folder = std::getenv("KEVOLVE_FUZZ_SEEDS")) {
    int number = 0;
    for (const std::string& seed : kevolve::fuzz::seeds())
      std::ofstream(std::string(folder) + "/seed" + std::to_string(number++), std::ios::binary) << seed;
    std::exit(number > 0 ? 0 : 1);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kevolve::fuzz::fuzz_bytes({reinterpret_cast<const char*>(data), size});
  return 0;
}
