#include "scheduler/agent_package.hpp"

#include "node-agent/compile.hpp"
#include "node-agent/loader.hpp"
#include "node-agent/process.hpp"
#include "protocol/digest.hpp"
#include "scheduler/command_line.hpp"

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fstream>
#include <link.h>
#include <map>
#include <set>
#include <sstream>
#include <sys/utsname.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace kevolve::scheduler {

namespace {

constexpr const char* programs[] = {"kevolve-agent", "kevolve-judge", "kevolve-harness"};
constexpr double packing_limit_s = 120;

constexpr const char* loader = agent::dynamic_loader;

// A host with an older glibc would say nothing but "version `GLIBC_2.36' not found".
constexpr const char* start_script = R"sh(#!/bin/sh
# Starts the agent of this package: kevolve-agent --scheduler tcp://HOST:PORT --key FILE. Nothing has to be installed.
self=$(readlink -f "$0") || exit 4
here=${self%/*}
refuse() { echo "kevolve-agent: $*" >&2; exit 4; }
[ "$(uname -m)" = @machine@ ] || refuse "this package is for @machine@, found $(uname -m)"
[ -e /proc/self/exe ] || refuse "/proc is not mounted; programs find their libraries through it"
[ -e @loader@ ] || refuse "found no glibc (@loader@ is missing), expected glibc @major@.@minor@ or newer"
glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null || echo unknown)
glibc=${glibc#glibc }
case $glibc in
  [0-9]*.[0-9]*)
    minor=${glibc#*.}
    minor=${minor%%[!0-9]*}
    [ "${glibc%%.*}" -gt @major@ ] || { [ "${glibc%%.*}" -eq @major@ ] && [ "$minor" -ge @minor@ ]; } ||
      refuse "found glibc $glibc, expected @major@.@minor@ or newer (Debian 12 has 2.36)" ;;
esac
exec "$here/bin/kevolve-agent" "$@"
)sh";

constexpr const char* bubblewrap_script = R"sh(#!/bin/sh
# The package's bubblewrap with its libraries. The loader is told where they are: a variable would go on to what runs inside.
here=${0%/*}
exec @loader@ --library-path "$here/../lib" "$here/bwrap.bin" "$@"
)sh";

/// @NAME@ becomes its value.
std::string filled(std::string text, const std::map<std::string, std::string>& values) {
  for (const auto& [name, value] : values)
    for (auto at = text.find("@" + name + "@"); at != std::string::npos; at = text.find("@" + name + "@", at + value.size()))
      text.replace(at, name.size() + 2, value);
  return text;
}

/// The folder that is packed, and what it has so far.
struct staging {
  fs::path at;
  std::map<std::string, std::string> hashes; // path inside -> SHA-256
  std::pair<int, int> glibc{0, 0};
  std::set<std::string> libraries;

  ~staging() {
    std::error_code ignored;
    fs::remove_all(at.parent_path(), ignored);
  }
  result<void> write(const std::string& to, const std::string& contents, bool runs) {
    std::error_code failed;
    fs::create_directories((at / to).parent_path(), failed);
    std::ofstream out(at / to, std::ios::binary);
    out << contents;
    out.close();
    if (!out)
      return error{errc::io, fmt::format("'{}' cannot be written", (at / to).string())};
    fs::permissions(at / to, static_cast<fs::perms>(runs ? 0755 : 0644), failed);
    hashes[to] = sha256_hex(contents);
    if (contents.starts_with("\177ELF"))
      glibc = std::max(glibc, glibc_needed_by(contents));
    return {};
  }
  result<void> add(const fs::path& from, const std::string& to, bool runs) {
    KEVOLVE_TRY(contents, contents_of(from));
    return write(to, contents, runs);
  }
  /// A program and what it is linked with.
  result<void> add_program(const fs::path& from, const std::string& to) {
    KEVOLVE_TRY_VOID(add(from, to, true));
    agent::command list;
    list.arguments = {from.string()};
    list.environment = {"LD_TRACE_LOADED_OBJECTS=1"}; // the loader lists, and starts nothing
    if (const char* path = std::getenv("LD_LIBRARY_PATH"))
      list.environment.push_back(std::string("LD_LIBRARY_PATH=") + path);
    KEVOLVE_TRY(end, agent::run(list));
    if (!end.good())
      return error{errc::configuration, fmt::format("the libraries of '{}' cannot be listed: it {}{}", from.string(), agent::describe(end), end.errors)};
    auto found = libraries_in(end.output);
    if (!found)
      return error{errc::configuration, fmt::format("'{}': {}", from.string(), found.error().message)};
    for (const fs::path& library : *found)
      if (const std::string name = library.filename().string(); !is_of_glibc(name) && libraries.insert(name).second)
        KEVOLVE_TRY_VOID(add(library, "lib/" + name, false));
    return {};
  }
};

/// Candidates run on OpenMP's library, which comes with a compiler: a host without one has it from us.
result<void> add_openmp(staging& to) {
  constexpr const char* library = "libgomp.so.1";
  void* handle = ::dlopen(library, RTLD_LAZY | RTLD_LOCAL);
  link_map* map = nullptr;
  if (!handle || ::dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || !map)
    return error{errc::configuration, fmt::format("'{}' was not found, and candidates need it (Debian: libgomp1)", library)};
  const fs::path found = map->l_name;
  ::dlclose(handle);
  to.libraries.insert(library);
  return to.add(found, std::string("lib/") + library, false);
}

result<void> add_python(staging& to) {
  const fs::path sources = agent::find_beside_executable("node-agent/python");
  if (sources.empty())
    return error{errc::configuration, "node-agent/python (the agent's Python sources) was not found above this program's folder"};
  std::error_code failed;
  for (const auto& entry : fs::recursive_directory_iterator(sources, failed))
    if (entry.path().extension() == ".py")
      KEVOLVE_TRY_VOID(to.add(entry.path(), "share/kevolve/node-agent/python/" + fs::relative(entry.path(), sources).string(), false));
  return {};
}

result<void> fill(staging& to, const fs::path& folder, const std::string& machine, const std::string& name) {
  std::error_code failed;
  for (const char* program : programs) {
    if (!fs::exists(folder / program, failed))
      return error{errc::configuration, fmt::format("'{}' was not found in '{}'; build it with ./kevolve build", program, folder.string())};
    KEVOLVE_TRY_VOID(to.add_program(folder / program, std::string("bin/") + program));
  }
  const fs::path bubblewrap = agent::find_command("bwrap");
  if (bubblewrap.empty())
    return error{errc::configuration, "bubblewrap (bwrap) is not on PATH; a package without it would have no sandbox (Debian: bubblewrap)"};
  KEVOLVE_TRY_VOID(to.add_program(bubblewrap, "libexec/bwrap.bin"));
  KEVOLVE_TRY_VOID(to.write("libexec/bwrap", filled(bubblewrap_script, {{"loader", loader}}), true));
  KEVOLVE_TRY_VOID(add_openmp(to));
  KEVOLVE_TRY_VOID(add_python(to));
  KEVOLVE_TRY_VOID(to.write("include/kevolve.h", agent::native_abi_text, false));
  const std::string glibc = fmt::format("{}.{}", to.glibc.first, to.glibc.second);
  KEVOLVE_TRY_VOID(to.write("kevolve-agent", filled(start_script, {{"machine", machine}, {"loader", loader}, {"major", std::to_string(to.glibc.first)},
                                                                   {"minor", std::to_string(to.glibc.second)}}), true));
  std::string libraries;
  for (const std::string& library : to.libraries)
    libraries += " " + library;
  KEVOLVE_TRY_VOID(to.write("VERSION", fmt::format("package {}\nmachine {}\nglibc {}\nlibraries{}\n", name, machine, glibc, libraries), false));
  std::string manifest; // as sha256sum --check reads it
  for (const auto& [path, hash] : to.hashes)
    manifest += hash + "  " + path + "\n";
  return to.write("MANIFEST", manifest, false);
}

/// Names, times and owners that do not depend on who packs, when and where.
result<void> pack(const staging& from, const std::string& name, const fs::path& file) {
  agent::command tar;
  tar.arguments = {"tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu", "--use-compress-program=gzip -9 -n", "-cf", file.string(), "-C",
                   from.at.parent_path().string(), name};
  tar.environment = agent::plain_environment();
  tar.limits.wall_s = packing_limit_s;
  KEVOLVE_TRY(end, agent::run(tar));
  if (!end.good())
    return error{errc::io, fmt::format("tar {} while writing '{}': {}", agent::describe(end), file.string(), end.errors)};
  return {};
}

} // namespace

result<std::string> contents_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in)
    return error{errc::io, fmt::format("'{}' cannot be read", file.string())};
  return std::move(text).str();
}

result<std::vector<fs::path>> libraries_in(std::string_view listing) {
  std::vector<fs::path> found;
  std::istringstream lines{std::string(listing)};
  for (std::string line; std::getline(lines, line);) {
    const auto arrow = line.find(" => ");
    if (arrow == std::string::npos)
      continue; // linux-vdso, the loader
    const std::string name = line.substr(line.find_first_not_of(" \t"), arrow - line.find_first_not_of(" \t")), rest = line.substr(arrow + 4);
    const std::string path = rest.substr(0, rest.find(" (0x"));
    if (!path.starts_with("/"))
      return error{errc::configuration, fmt::format("library '{}': {}", name, path)};
    found.push_back(fs::path(path).parent_path() / name); // under the name that is asked for; the file may be a link
  }
  return found;
}

bool is_of_glibc(std::string_view library) {
  static constexpr std::string_view theirs[] = {"libc.so.", "libm.so.", "libmvec.so.", "libpthread.so.", "libdl.so.", "librt.so.", "libresolv.so.", "libutil.so.", "libanl.so.", "libnsl.so.1",
                                                "libnss_", "libthread_db.so.", "libBrokenLocale.so.", "ld-linux"};
  return std::any_of(std::begin(theirs), std::end(theirs), [&](std::string_view each) { return library.starts_with(each); });
}

std::pair<int, int> glibc_needed_by(std::string_view contents) {
  constexpr std::string_view mark = "GLIBC_";
  std::pair<int, int> newest{0, 0};
  for (auto at = contents.find(mark); at != std::string_view::npos; at = contents.find(mark, at + 1)) {
    int major = 0, minor = 0, read = 0;
    const std::string text(contents.substr(at + mark.size(), 12));
    if (std::sscanf(text.c_str(), "%2d.%3d%n", &major, &minor, &read) == 2)
      newest = std::max(newest, {major, minor});
  }
  return newest;
}

result<agent_package> make_agent_package(const fs::path& folder, const fs::path& output) {
  utsname host{};
  ::uname(&host);
  const std::string machine = host.machine, name = fmt::format("kevolve-agent-{}-{}", version, machine);
  std::error_code failed;
  fs::path file = output.empty() ? fs::path(name + ".tar.gz") : fs::is_directory(output, failed) ? output / (name + ".tar.gz") : output;
  std::string made = (fs::temp_directory_path() / "kevolve-package-XXXXXX").string();
  if (!::mkdtemp(made.data()))
    return error{errc::io, fmt::format("no folder can be made in '{}'", fs::temp_directory_path().string())};
  staging stage{.at = fs::path(made) / name};
  KEVOLVE_TRY_VOID(fill(stage, folder, machine, name));
  const fs::path partial = file.string() + ".part" + std::to_string(::getpid());
  if (auto packed = pack(stage, name, fs::absolute(partial)); !packed) {
    fs::remove(partial, failed);
    return packed.error();
  }
  KEVOLVE_TRY(bytes, contents_of(partial));
  fs::rename(partial, file, failed);
  if (failed)
    return error{errc::io, fmt::format("'{}' cannot be written: {}", file.string(), failed.message())};
  return agent_package{file, name, sha256_hex(bytes), bytes.size(), fmt::format("{}.{}", stage.glibc.first, stage.glibc.second), {stage.libraries.begin(), stage.libraries.end()}};
}

} // namespace kevolve::scheduler
