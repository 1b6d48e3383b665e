#include "node-agent/compile_jail.hpp"

#include "node-agent/sandbox.hpp"

#include <system_error>
#include <unistd.h>

namespace fs = std::filesystem;

namespace kevolve::agent {
namespace {

constexpr const char* temporary_bytes = "1073741824"; // a tmpfs takes half of the memory otherwise
constexpr std::uint64_t compiler_tasks = 64;

/// A folder that merged /usr systems have as a link, and others as a folder.
void add_root_folder(std::vector<std::string>& a, const std::string& folder) {
  std::error_code failed;
  if (fs::is_symlink(folder, failed))
    a.insert(a.end(), {"--symlink", fs::read_symlink(folder, failed).string(), folder});
  else if (fs::is_directory(folder, failed))
    a.insert(a.end(), {"--ro-bind", folder, folder});
}

} // namespace

compile_jail::compile_jail(defences_off off) : wrapper_(find_bubblewrap().string()) {
  if (!off.on(defence::compile_jail)) {
    detail_ = "switched off";
    return;
  }
  identity_ = off.on(defence::identity) ? pick_identity() : 0;
  if (wrapper_.empty()) {
    detail_ = "bubblewrap (bwrap) is not installed";
    return;
  }
  std::string made = (fs::temp_directory_path() / "kevolve-jail-XXXXXX").string();
  if (!::mkdtemp(made.data())) {
    detail_ = "no folder can be made in " + fs::temp_directory_path().string();
    return;
  }
  holds_ = true;
  own(made, 0);
  command test;
  test.arguments = {"/bin/sh", "-c", "test ! -e /etc/passwd && test ! -e /root && : > here"};
  test.environment = plain_environment();
  test.directory = made;
  test.limits.wall_s = 10;
  confine(test, made, 0);
  const auto end = run(test);
  std::error_code failed;
  holds_ = end && end->good() && fs::exists(fs::path(made) / "here", failed);
  detail_ = holds_ ? std::string("bubblewrap") + (identity_ ? ", users " + std::to_string(identity_) + " and up" : "")
                   : "bubblewrap does not work here: " + (end ? (end->errors.empty() ? describe(*end) : end->errors.substr(0, 300)) : end.error().message);
  while (!detail_.empty() && detail_.back() == '\n')
    detail_.pop_back();
  fs::remove_all(made, failed);
}

void compile_jail::own(const fs::path& folder, unsigned place) const {
  if (holds_ && identity_)
    (void)!::chown(folder.c_str(), identity_ + place, identity_ + place);
}

void compile_jail::confine(command& what, const fs::path& folder, unsigned place, const jail_view& also) const {
  if (!holds_)
    return;
  std::vector<std::string> a{wrapper_, "--unshare-user", "--unshare-all", "--disable-userns", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL", "--die-with-parent",
                             "--as-pid-1", // waited for by bubblewrap itself: one that only hears of its end leaves a zombie behind
                             "--ro-bind", "/usr", "/usr"};
  for (const char* root : {"/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32"})
    add_root_folder(a, root);
  for (const char* file : {"/etc/alternatives", "/etc/ld.so.cache"})
    a.insert(a.end(), {"--ro-bind-try", file, file});
  const fs::path program = find_command(what.arguments[0]);
  if (!program.empty()) {
    std::error_code failed;
    const fs::path real = fs::canonical(program, failed);
    if (!failed && !real.string().starts_with("/usr/") && real.has_parent_path() && real.parent_path().filename() == "bin")
      a.insert(a.end(), {"--ro-bind", real.parent_path().parent_path().string(), real.parent_path().parent_path().string()});
    what.arguments[0] = program.string();
  }
  a.insert(a.end(), {"--proc", "/proc", "--dev-bind", "/dev/null", "/dev/null", "--size", temporary_bytes, "--tmpfs", "/tmp", "--bind", folder.string(), "/work"});
  for (const fs::path& each : also.folders)
    a.insert(a.end(), {"--ro-bind", each.string(), each.string()});
  for (const fs::path& each : also.nodes)
    a.insert(a.end(), {"--dev-bind", each.string(), each.string()});
  a.insert(a.end(), {"--remount-ro", "/", "--chdir", "/work"});
  a.insert(a.end(), what.arguments.begin(), what.arguments.end());
  what.arguments = std::move(a);
  for (std::string& variable : what.environment)
    if (variable.starts_with("TMPDIR="))
      variable = "TMPDIR=/tmp";
  what.directory = "/";
  what.identity = identity_ ? identity_ + place : 0;
  what.limits.processes = compiler_tasks;
}

} // namespace kevolve::agent
