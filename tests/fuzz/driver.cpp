// Runs a fuzz target without libFuzzer: its seeds, files that are named, and then N changes of them, drawn from a seed. Equal arguments, equal bytes.
//   fuzz_TARGET [--executions N] [--seed S] [FILE…]
#include "protocol/rng.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

using namespace kevolve;

namespace {

/// One small change: bits, bytes, lengths, pieces of the same or of another input.
void change(std::string& bytes, const std::string& other, rng& draw) {
  static constexpr unsigned char telling[] = {0x00, 0x01, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xc0, 0xc1, 0xc4, 0xc6, 0xca, 0xcb, 0xcf, 0xd3, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff};
  const std::size_t at = bytes.empty() ? 0 : draw.below(bytes.size()), length = bytes.empty() ? 0 : 1 + draw.below(std::min<std::size_t>(bytes.size() - at, 64));
  switch (draw.below(8)) {
    case 0: if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ 1 << draw.below(8)); break;
    case 1: if (!bytes.empty()) bytes[at] = static_cast<char>(telling[draw.below(sizeof telling)]); break;
    case 2: bytes.insert(at, 1 + draw.below(9), static_cast<char>(draw.below(256))); break;
    case 3: bytes.erase(at, length); break;
    case 4: bytes.insert(at, bytes.substr(at, length)); break;
    case 5: if (!other.empty()) bytes.replace(at, length, other.substr(draw.below(other.size()), 1 + draw.below(64))); break;
    case 6: bytes.resize(at); break;
    default:
      for (std::size_t i = 0; i < 4 && at + i < bytes.size(); ++i)
        bytes[at + i] = static_cast<char>(draw.below(2) ? 0xff : draw.below(256));
  }
}

} // namespace

int main(int argc, char** argv) {
  std::uint64_t executions = 20'000, seed = 1;
  std::vector<std::string> inputs = fuzz::seeds();
  for (int i = 1; i < argc; ++i) {
    if (i + 1 < argc && !std::strcmp(argv[i], "--executions"))
      executions = std::strtoull(argv[++i], nullptr, 10);
    else if (i + 1 < argc && !std::strcmp(argv[i], "--seed"))
      seed = std::strtoull(argv[++i], nullptr, 10);
    else {
      std::ifstream in(argv[i], std::ios::binary);
      if (!in)
        return std::fprintf(stderr, "%s: '%s' cannot be read\n", argv[0], argv[i]), 2;
      inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
  }
  if (inputs.empty())
    return std::fprintf(stderr, "%s: no seeds\n", argv[0]), 1;
  for (const std::string& input : inputs)
    fuzz::fuzz_bytes(input);
  rng draw(seed, 0, "fuzz");
  for (std::uint64_t n = 0; n < executions; ++n) {
    std::string bytes = inputs[draw.below(inputs.size())];
    for (std::uint64_t changes = 1 + draw.below(6); changes > 0; --changes)
      change(bytes, inputs[draw.below(inputs.size())], draw);
    fuzz::fuzz_bytes(bytes);
  }
  std::printf("%zu inputs, %llu executions\n", inputs.size(), static_cast<unsigned long long>(executions));
  return 0;
}
