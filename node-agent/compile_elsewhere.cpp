// Both sides of compiling on one host for another: what is asked for where a compiler is missing, and what is made where it is not.
#include "node-agent/compile.hpp"
#include "node-agent/instruction_sets.hpp"
#include "node-agent/workspace.hpp"
#include "protocol/digest.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <fstream>

namespace kevolve::agent {
namespace {

constexpr int tries = 3;                   // a program may go with its host between its making and its fetching
constexpr const char* elsewhere_file = "toolchains-elsewhere";
constexpr std::size_t hosts_known = 256;   // kinds of hosts that were compiled for

bool is_exact(const std::string& toolchain) { return toolchain.find(' ') != std::string::npos; }

} // namespace

/// On the disk, too: an agent that starts again knows which results and roofs still hold before anybody has compiled for it.
void compile_pool::remember_elsewhere(const std::string& compiler, const std::string& toolchain) {
  std::lock_guard lock(mutex_);
  std::string& known = elsewhere_versions_[compiler];
  if (known == toolchain)
    return;
  known = toolchain;
  std::string lines;
  for (const auto& [name, version] : elsewhere_versions_)
    lines += name + "\t" + version + "\n";
  (void)write_file(cache_ / elsewhere_file, lines); // at worst it is asked for again
}

std::map<std::string, std::string> compile_pool::remembered_elsewhere() const {
  std::map<std::string, std::string> all;
  std::ifstream in(cache_ / elsewhere_file);
  for (std::string line; std::getline(in, line);)
    if (const auto tab = line.find('\t'); tab != std::string::npos && refuse_compiler(line.substr(0, tab)).empty() && line.compare(tab + 1, tab, line, 0, tab) == 0)
      all[line.substr(0, tab)] = scrub(line.substr(tab + 1), 100);
  return all;
}

/// The toolchain that compiled last is asked for, so that a candidate and its anchor are made by one; only where nobody has it (any more), any version.
result<compile_made> compile_pool::ask_elsewhere(const candidate& c, const std::string& toolchain, double limit_s, const std::atomic<bool>& cancelled) {
  compile_work ask{c, toolchain.empty() ? c.build.compiler : toolchain, this_host(), limit_s};
  if (!toolchain.empty())
    return elsewhere_.compile(ask, cancelled);
  if (auto known = version(c.build.compiler))
    ask.toolchain = *known;
  auto made = elsewhere_.compile(ask, cancelled);
  if (!made && !cancelled && is_exact(ask.toolchain)) {
    ask.toolchain = c.build.compiler;
    made = elsewhere_.compile(ask, cancelled);
  }
  return made;
}

result<compiled> compile_pool::compile_elsewhere(const candidate& c, const std::string& toolchain, const char* ending, double limit_s, const std::atomic<bool>& cancelled) {
  compiled done;
  const double began = now_s();
  error trouble{errc::infrastructure, ""};
  for (int i = 0; i < tries; ++i) {
    KEVOLVE_TRY(made, ask_elsewhere(c, toolchain, limit_s, cancelled));
    if (toolchain.empty())
      remember_elsewhere(c.build.compiler, scrub(made.toolchain, 100));
    done = {.good = made.good, .log = scrub(made.log, limits::log_bytes), .toolchain = toolchain.empty() ? scrub(made.toolchain, 100) : toolchain, .cached = made.cached, .wall_s = made.wall_s, .cpu_s = made.cpu_s};
    for (std::size_t n = 0; n < std::min(made.remarks.size(), most_remarks); ++n)
      done.remarks.push_back(scrub(made.remarks[n], 200));
    if (made.good) {
      done.artifact = artifacts_.file(made.artifact.hash, ending);
      if (!artifacts_.find(done.artifact)) {
        auto content = elsewhere_.fetch(made.artifact, cancelled);
        if (!content && content.error().code == errc::interrupted)
          return content.error();
        if (!content || sha256_hex(*content) != made.artifact.hash) {
          trouble.message = content ? "what came has another hash than the program that was made" : content.error().message;
          continue;
        }
        KEVOLVE_TRY_VOID(artifacts_.keep(done.artifact, *content));
      }
    }
    done.queued_s = std::max(0.0, now_s() - began - done.wall_s);
    return done;
  }
  trouble.message = "a program that was compiled elsewhere could not be fetched: " + trouble.message;
  return trouble;
}

/// Those of `flags` that this compiler takes: an older one does without the newest instruction sets.
std::vector<std::string> compile_pool::known_to(const std::string& compiler, const std::vector<std::string>& flags) {
  std::string key = compiler;
  std::vector<std::string> usable;
  for (const auto& flag : flags)
    if (flag.starts_with("-m") && refuse_flag(flag).empty()) {
      usable.push_back(flag);
      key += " " + flag;
    }
  {
    std::lock_guard lock(mutex_);
    if (auto known = known_flags_.find(key); known != known_flags_.end())
      return known->second;
  }
  const auto takes = [&](const std::vector<std::string>& these) {
    command ask;
    ask.arguments = {compiler};
    ask.arguments.insert(ask.arguments.end(), these.begin(), these.end());
    for (const char* rest : {"-fsyntax-only", "-x", "c", "/dev/null"})
      ask.arguments.emplace_back(rest);
    ask.environment = plain_environment();
    ask.limits.wall_s = 20;
    const auto end = run(ask);
    return end && end->good();
  };
  if (!takes(usable))
    std::erase_if(usable, [&](const std::string& flag) { return !takes({flag}); });
  std::lock_guard lock(mutex_);
  if (known_flags_.size() >= hosts_known)
    known_flags_.clear();
  return known_flags_[key] = usable;
}

result<made_for_another> compile_pool::compile_for(const compile_work& what, const std::atomic<bool>& cancelled) {
  made_for_another done;
  compile_made& answer = done.answer;
  answer.candidate = what.what.id;
  if (candidate_hash(what.what) != what.what.id)
    return error{errc::infrastructure, "the candidate to compile is not the one that its id names"};
  candidate c = what.what;
  if (answer.log = refuse_compiler(c.build.compiler); !answer.log.empty())
    return done;
  KEVOLVE_TRY(toolchain, version(c.build.compiler));
  if (is_exact(what.toolchain) && what.toolchain != toolchain)
    return error{errc::infrastructure, "this host has " + toolchain + ", asked for was " + scrub(what.toolchain, 100)};
  if (what.runs_on.machine != this_host().machine || what.runs_on.libc < this_host().libc)
    return error{errc::infrastructure, "this host's programs (" + this_host().machine + ", glibc " + std::to_string(this_host().libc) + ") do not run where they are wanted"};
  c.build.flags = without_native(c.build.flags, known_to(c.build.compiler, what.runs_on.native));
  if (answer.log = refuse(c); !answer.log.empty())
    return done;
  std::string made_for = "for another";
  for (const auto& flag : c.build.flags)
    made_for += " " + flag;
  KEVOLVE_TRY(built, compile_here(c, made_for, what.limit_s, cancelled));
  return for_another(c, built);
}

result<made_for_another> for_another(const candidate& what, const compiled& built) {
  made_for_another done;
  compile_made& answer = done.answer;
  answer.candidate = what.id;
  answer.good = built.good, answer.log = built.log, answer.remarks = built.remarks, answer.toolchain = built.toolchain, answer.cached = built.cached;
  answer.queued_s = built.queued_s, answer.wall_s = built.wall_s, answer.cpu_s = built.cpu_s;
  if (built.good) {
    KEVOLVE_TRY(bytes, read_made(built.artifact, limits::artifact_bytes));
    answer.artifact = {sha256_hex(bytes), bytes.size()};
    done.file = built.artifact;
  }
  return done;
}

} // namespace kevolve::agent
