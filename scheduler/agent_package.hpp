// The agent's package: one archive with the agent, its judge and harness, bubblewrap and every shared library that is not glibc's, which starts on
// a host that has nothing but glibc, sh, tar and gzip. Programs find the libraries by their own RPATH and bubblewrap by its loader's option, so that
// no variable reaches compilers or candidates. Equal contents give equal bytes: launching tells packages apart by their hash.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace kevolve::scheduler {

struct agent_package {
  std::filesystem::path file;
  std::string name;                   // the folder inside
  std::string sha256;
  std::uintmax_t bytes = 0;
  std::string glibc;                  // the oldest that it starts with: "2.36"
  std::vector<std::string> libraries;
};

/// `programs`: the folder with kevolve-agent, kevolve-judge and kevolve-harness. Empty `output`: NAME.tar.gz in the current folder; a folder: in there.
/// Errors: a program, a library, bwrap, tar or gzip that is missing, or no room.
result<agent_package> make_agent_package(const std::filesystem::path& programs, const std::filesystem::path& output);

/// A whole file. Errors name it.
result<std::string> contents_of(const std::filesystem::path& file);

/// What the loader lists for a program, as paths; the kernel's and the loader itself are no libraries. Errors: one that is not found.
result<std::vector<std::filesystem::path>> libraries_in(std::string_view listing);
/// Belongs to glibc: a package must not bring it, since it fits its loader alone.
bool is_of_glibc(std::string_view library);
/// The newest GLIBC_x.y that a file asks for, as {x, y}; {0, 0}: none.
std::pair<int, int> glibc_needed_by(std::string_view contents);

} // namespace kevolve::scheduler
