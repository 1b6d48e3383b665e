// kevolve-store-check DIR [start|full]: reads a store with LMDB in a process that may crash. Exit 0: LMDB survives; else what it said.
#include "kb/store_check.hpp"

#include <cstdio>
#include <string_view>

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: kevolve-store-check DIR [start|full]\n");
    return 2;
  }
  const bool full = argc == 3 && std::string_view(argv[2]) == "full";
  const auto done = kevolve::kb::read_with_lmdb(argv[1], full ? kevolve::kb::check_effort::full : kevolve::kb::check_effort::start);
  if (done)
    return 0;
  std::printf("%s\n", done.error().message.c_str());
  return 1;
}
