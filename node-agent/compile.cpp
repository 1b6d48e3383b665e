#include "node-agent/compile.hpp"

#include "node-agent/objects.hpp"
#include "node-agent/workspace.hpp"
#include "protocol/digest.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <unistd.h>

namespace fs = std::filesystem;

namespace kevolve::agent {
namespace {

constexpr const char* recipe = "3"; // raise when the way we compile changes: part of the artifact's key
constexpr const char* vector_marks[] = {"vector_size(", "immintrin.h", "ext_vector_type("};
constexpr std::uint64_t compiler_memory = 4ull << 30, compiler_file = limits::artifact_bytes;

bool has_flag(const candidate& c, const std::string& flag) {
  return std::find(c.build.flags.begin(), c.build.flags.end(), flag) != c.build.flags.end();
}

bool is_source(const std::string& path) {
  const std::string extension = fs::path(path).extension().string();
  return extension == ".cpp" || extension == ".cc" || extension == ".cxx" || extension == ".c";
}

void read_remarks(const fs::path& file, std::vector<std::string>& remarks) {
  std::ifstream in(file);
  for (std::string line; remarks.size() < most_remarks && std::getline(in, line);)
    if (line.find("optimized:") != std::string::npos)
      remarks.push_back(scrub(line, 200));
}

/// Clang's remarks come among its messages, each with the line of source it is about: taken out of them.
void take_remarks(std::string& log, std::vector<std::string>& remarks) {
  std::istringstream in(std::exchange(log, {}));
  bool excerpt = false; // the source and the caret below a remark
  for (std::string line; std::getline(in, line);) {
    const auto at = line.find(": remark: ");
    if (at != std::string::npos) {
      excerpt = true;
      if (remarks.size() < most_remarks)
        remarks.push_back(scrub(line.substr(0, at) + ": optimized: " + line.substr(at + 10), 200));
    } else if (excerpt && (line.starts_with(" ") || line.empty())) {
      continue;
    } else {
      excerpt = false;
      log += line + "\n";
    }
  }
}

/// Vectors that the source spells out are none of the compiler's doing: it reports nothing about them.
bool spells_out_vectors(const std::string& source) {
  return std::any_of(std::begin(vector_marks), std::end(vector_marks), [&](const char* mark) { return source.find(mark) != std::string::npos; });
}

} // namespace

const std::string& cpu_identity() {
  static const std::string identity = [] {
    std::ifstream in("/proc/cpuinfo");
    std::string all;
    for (std::string line; std::getline(in, line) && !line.empty();)
      if (line.starts_with("model name") || line.starts_with("flags") || line.starts_with("cpu family") || line.starts_with("model\t"))
        all += line + "\n";
    return all;
  }();
  return identity;
}

/// Empty, or why this candidate cannot be compiled here at all.
std::string compile_pool::refuse(const candidate& c) const {
  if (c.build.language != "cpp" && c.build.language != "c++" && c.build.language != "c")
    return "language '" + c.build.language + "' is not compiled on this host (expected cpp)";
  const bool listed = off_.on(defence::flags);
  for (const auto& flag : c.build.flags)
    if (std::string why = refuse_flag(flag); listed && !why.empty())
      return why;
  std::size_t bytes = 0, sources = 0;
  for (const auto& s : c.sources) {
    if (std::string why = refuse_path(s.path); listed && !why.empty())
      return why;
    bytes += s.content.size();
    sources += is_source(s.path);
  }
  if (bytes > limits::source_bytes)
    return "sources of " + std::to_string(bytes) + " bytes are over the limit of " + std::to_string(limits::source_bytes);
  return sources == 0 ? "no source file that a C++ compiler takes (.cpp, .cc, .cxx, .c)" : std::string();
}

/// The right to run one compiler.
class compile_pool::slot {
public:
  explicit slot(compile_pool& pool) : pool_(pool) {
    std::unique_lock lock(pool_.mutex_);
    pool_.changed_.wait(lock, [&] { return !pool_.free_.empty(); });
    place_ = pool_.free_.extract(pool_.free_.begin()).value();
  }
  slot(const slot&) = delete;
  slot& operator=(const slot&) = delete;
  ~slot() {
    std::lock_guard lock(pool_.mutex_);
    pool_.free_.insert(place_);
    pool_.changed_.notify_all();
  }
  [[nodiscard]] unsigned place() const { return place_; }

private:
  compile_pool& pool_;
  unsigned place_ = 0;
};

struct compile_pool::bench {
  const fs::path& folder;
  unsigned place = 0;
  jail_view also = {};
};

compile_pool::compile_pool(const fs::path& cache, std::uint64_t cache_bytes, unsigned slots, pause_gate& gate, defences_off off, bool never_here)
    : cache_(cache), artifacts_(cache, cache_bytes), off_(off), jail_(off), never_here_(never_here), gate_(gate) {
  for (unsigned i = 0; i < std::min(slots, compile_jail::places); ++i)
    free_.insert(i);
  elsewhere_versions_ = remembered_elsewhere();
}

std::string refuse_compiler(const std::string& name) {
  if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789+-._") != std::string::npos || name[0] == '-')
    return "compiler '" + scrub(name, 100) + "' is not a name of a compiler (expected g++ or clang++, with a version if need be)";
  return name.starts_with("g++") || name.starts_with("clang++") ? std::string() : "compiler '" + name + "' is not known (expected g++ or clang++)";
}

result<std::string> compile_pool::version(const std::string& compiler) {
  {
    std::lock_guard lock(mutex_);
    if (auto known = versions_.find(compiler); known != versions_.end())
      return known->second;
    if (auto known = elsewhere_versions_.find(compiler); known != elsewhere_versions_.end() && !is_here(compiler))
      return known->second;
  }
  if (std::string why = refuse_compiler(compiler); !why.empty())
    return error{errc::specification, std::move(why)};
  if ((elsewhere_ || never_here_) && !is_here(compiler))
    return error{errc::infrastructure, "which '" + compiler + "' is used elsewhere is not known yet"};
  command ask;
  ask.arguments = {compiler, "-dumpfullversion", "-dumpversion"};
  ask.environment = plain_environment();
  ask.limits.wall_s = 20;
  KEVOLVE_TRY(end, run(ask));
  std::string number = end.output.substr(0, end.output.find('\n'));
  if (!end.good() || number.empty())
    return error{errc::configuration, "compiler '" + compiler + "' " + describe(end) + " when asked for its version: " + end.errors};
  std::lock_guard lock(mutex_);
  return versions_[compiler] = compiler + " " + number;
}

result<process_end> compile_pool::tool(std::vector<std::string> arguments, const bench& at, double limit_s, const std::atomic<bool>& cancelled,
                                       compiled& so_far) {
  command what;
  what.arguments = std::move(arguments);
  what.environment = plain_environment();
  for (auto& variable : what.environment)
    if (variable.starts_with("TMPDIR="))
      variable = "TMPDIR=" + at.folder.string();
  what.environment.push_back("HIP_PLATFORM=amd"); // hipcc takes NVIDIA's where it sees an nvcc
  what.directory = at.folder;
  what.limits = {.wall_s = limit_s, .cpu_s = limit_s * 2, .memory_bytes = compiler_memory, .file_bytes = compiler_file};
  what.output_bytes = limits::log_bytes;
  jail_.confine(what, at.folder, at.place, at.also);
  KEVOLVE_TRY(end, run(what, &cancelled, &gate_));
  so_far.cpu_s += end.cpu_s;
  so_far.log += end.errors + end.output;
  if (end.fate == process_fate::cancelled)
    return error{errc::interrupted, "cancelled while compiling"};
  if (!end.good() && end.fate != process_fate::exited)
    so_far.log += "\nthe compiler " + describe(end);
  return end;
}

result<compiled> compile_pool::build(const candidate& c, const bench& at, double limit_s, const std::atomic<bool>& cancelled) {
  compiled done;
  const fs::path& folder = at.folder;
  jail_.own(folder, at.place);
  KEVOLVE_TRY_VOID(write_file(folder / "kevolve.h", native_abi_text));
  for (const auto& s : c.sources)
    KEVOLVE_TRY_VOID(write_file(folder / s.path, s.content));
  const bool gnu = c.build.compiler.starts_with("g++");
  std::vector<std::string> objects;
  for (const auto& s : c.sources) {
    if (!is_source(s.path))
      continue;
    objects.push_back("kevolve-" + std::to_string(objects.size()) + ".o");
    std::vector<std::string> arguments{c.build.compiler, "-x", fs::path(s.path).extension() == ".c" ? "c" : "c++"};
    if (fs::path(s.path).extension() != ".c")
      arguments.push_back("-std=c++20"); // a later -std of the candidate's wins
    arguments.insert(arguments.end(), c.build.flags.begin(), c.build.flags.end());
    for (const char* ours : {"-fPIC", "-I.", "-fdiagnostics-color=never", "-c", "-o"})
      arguments.push_back(ours);
    arguments.push_back(objects.back());
    arguments.push_back(gnu ? "-fopt-info-vec-optimized=kevolve-" + std::to_string(objects.size()) + ".vec" : "-Rpass=loop-vectorize|slp-vectorizer");
    arguments.push_back(s.path);
    KEVOLVE_TRY(end, tool(std::move(arguments), at, limit_s, cancelled, done));
    if (!gnu)
      take_remarks(done.log, done.remarks);
    if (!end.good())
      return done;
    if (spells_out_vectors(s.content))
      done.remarks.push_back(s.path + ": optimized: vectorized in the source");
    read_remarks(folder / ("kevolve-" + std::to_string(objects.size()) + ".vec"), done.remarks);
  }
  if (off_.on(defence::symbols)) {
    std::vector<std::string> contents;
    for (const auto& name : objects) {
      KEVOLVE_TRY(bytes, read_made(folder / name, compiler_file));
      contents.push_back(std::move(bytes));
    }
    if (std::string why = refuse_objects(contents); !why.empty()) {
      done.log += why;
      return done;
    }
  }
  std::vector<std::string> link{c.build.compiler, "-shared", "-Wl,-z,defs", "-Wl,--as-needed", "-o", "kevolve-candidate.so"};
  link.insert(link.end(), objects.begin(), objects.end());
  if (has_flag(c, "-fopenmp"))
    link.push_back("-fopenmp");
  link.push_back("-lm");
  KEVOLVE_TRY(end, tool(std::move(link), at, limit_s, cancelled, done));
  done.good = end.good();
  return done;
}

result<compiled> compile_pool::check(const candidate& c, const std::vector<std::string>& wanted, double limit_s, const std::atomic<bool>& cancelled) {
  compiled done;
  if (wanted.empty() || find_command(wanted.front()).empty())
    return error{errc::not_found, "no " + (wanted.empty() ? std::string("command") : wanted.front()) + " on this host"};
  std::size_t bytes = 0;
  for (const auto& s : c.sources) {
    if (done.log = refuse_path(s.path); !done.log.empty())
      return done;
    bytes += s.content.size();
  }
  if (c.sources.empty() || bytes > limits::source_bytes) {
    done.log = "sources of " + std::to_string(bytes) + " bytes; expected some, and at most " + std::to_string(limits::source_bytes);
    return done;
  }
  slot one(*this);
  KEVOLVE_TRY(folder, scratch::make("kevolve-compile-"));
  scratch gone_afterwards(folder);
  const bench at{folder, one.place(), {}};
  jail_.own(folder, at.place);
  KEVOLVE_TRY_VOID(write_file(folder / "kevolve.h", native_abi_text));
  for (const auto& s : c.sources)
    KEVOLVE_TRY_VOID(write_file(folder / s.path, s.content));
  std::vector<std::string> arguments = wanted;
  for (std::string& argument : arguments)
    argument = argument == "{file}" ? c.sources.front().path : argument == "{object}" ? "kevolve-check.o" : argument;
  KEVOLVE_TRY(end, tool(std::move(arguments), at, limit_s, cancelled, done));
  done.good = end.good();
  done.log = scrub(done.log, limits::log_bytes);
  return done;
}

result<compiled> compile_pool::make(const candidate& c, const foreign_compiler& by, double limit_s, const std::atomic<bool>& cancelled) {
  compiled done;
  done.toolchain = by.toolchain;
  std::size_t bytes = 0;
  for (const auto& s : c.sources) {
    if (done.log = refuse_path(s.path); !done.log.empty())
      return done;
    bytes += s.content.size();
  }
  const auto main = std::find_if(c.sources.begin(), c.sources.end(), [&](const source_file& s) { return s.path == by.source; });
  if (main == c.sources.end() || bytes > limits::source_bytes || !c.build.flags.empty()) {
    done.log = main == c.sources.end() ? "no file '" + by.source + "'"
               : c.build.flags.empty() ? "sources of " + std::to_string(bytes) + " bytes are over the limit of " + std::to_string(limits::source_bytes)
                                       : "flags are not taken here: found '" + c.build.flags.front() + "'";
    return done;
  }
  const std::string key = sha256_hex(c.id + "\n" + by.toolchain + "\n" + recipe);
  const fs::path artifact = artifacts_.file(key, ".made");
  if (artifacts_.find(artifact)) {
    done.good = done.cached = true;
    done.artifact = artifact;
    return done;
  }
  if (elsewhere_ && !is_here(by.arguments.front()))
    return compile_elsewhere(c, by.toolchain, ".made", limit_s, cancelled);
  const double asked = now_s();
  slot one(*this);
  const double began = now_s();
  KEVOLVE_TRY(folder, scratch::make("kevolve-compile-"));
  scratch gone_afterwards(folder);
  const bench at{folder, one.place(), by.also};
  jail_.own(folder, at.place);
  for (const auto& s : c.sources)
    KEVOLVE_TRY_VOID(write_file(folder / s.path, s.content));
  KEVOLVE_TRY(end, tool(by.arguments, at, limit_s, cancelled, done));
  if (!end.good() && done.log.empty())
    done.log = "the compile command " + describe(end);
  if (end.good()) {
    auto made = read_made(folder / foreign_compiler::artifact, compiler_file);
    if (!made) {
      done.log += "\nthe compile command ended well and left no artifact: " + made.error().message;
    } else {
      KEVOLVE_TRY_VOID(artifacts_.keep(artifact, *made));
      done.good = true;
      done.artifact = artifact;
    }
  }
  done.log = scrub(done.log, limits::log_bytes);
  done.queued_s = began - asked;
  done.wall_s = now_s() - began;
  return done;
}

result<compiled> compile_pool::compile(const candidate& c, double limit_s, const std::atomic<bool>& cancelled) {
  compiled done;
  if (done.log = refuse(c); !done.log.empty())
    return done;
  if (done.log = refuse_compiler(c.build.compiler); !done.log.empty())
    return done;
  return elsewhere_ && !is_here(c.build.compiler) ? compile_elsewhere(c, "", ".so", limit_s, cancelled) : compile_here(c, cpu_identity(), limit_s, cancelled);
}

/// `cpu`: what it is made for, as part of its key.
result<compiled> compile_pool::compile_here(const candidate& c, const std::string& cpu, double limit_s, const std::atomic<bool>& cancelled) {
  compiled done;
  const double asked = now_s();
  if (never_here_)
    return error{errc::configuration, "this host compiles elsewhere only, and knows nobody who does"};
  KEVOLVE_TRY(toolchain, version(c.build.compiler));
  const std::string key = sha256_hex(c.id + "\n" + toolchain + "\n" + cpu + "\n" + recipe + "\n" + std::to_string(off_.bits()));
  const fs::path artifact = artifacts_.file(key, ".so"), notes = artifacts_.file(key, ".vec");

  // One maker per artifact; whoever comes second finds it made.
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return busy_.count(key) == 0; });
    busy_[key] = 1;
  }
  struct release {
    compile_pool& pool;
    const std::string& key;
    ~release() {
      std::lock_guard lock(pool.mutex_);
      pool.busy_.erase(key);
      pool.changed_.notify_all();
    }
  } when_done{*this, key};

  if (artifacts_.find(artifact)) {
    (void)artifacts_.find(notes); // used, too
    done = {.good = true, .artifact = artifact, .toolchain = toolchain, .cached = true};
    read_remarks(notes, done.remarks);
    return done;
  }
  slot one(*this);
  const double began = now_s();
  KEVOLVE_TRY(folder, scratch::make("kevolve-compile-"));
  scratch gone_afterwards(folder);
  KEVOLVE_TRY(built, build(c, {folder, one.place(), {}}, limit_s, cancelled));
  built.toolchain = toolchain;
  built.queued_s = began - asked;
  built.log = scrub(built.log, limits::log_bytes);
  if (built.good) {
    std::string lines;
    for (const auto& remark : built.remarks)
      lines += remark + "\n";
    KEVOLVE_TRY(bytes, read_made(folder / "kevolve-candidate.so", compiler_file));
    KEVOLVE_TRY_VOID(artifacts_.keep(notes, lines));
    KEVOLVE_TRY_VOID(artifacts_.keep(artifact, bytes)); // last: where it is, the notes are
    built.artifact = artifact;
  }
  built.wall_s = now_s() - began;
  return built;
}

} // namespace kevolve::agent
