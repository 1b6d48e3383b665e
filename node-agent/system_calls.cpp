#include "node-agent/system_calls.hpp"

#include "node-agent/channel.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace kevolve::agent {
namespace {

// Memory, threads and their locks, time, signals to itself, and reading files (what the mounts and Landlock leave of them).
constexpr std::array allowed{"mmap", "munmap", "mremap", "mprotect", "madvise", "brk", "mlock", "mlock2", "munlock", "membarrier", "futex", "futex_waitv",
                             "sched_yield", "sched_getaffinity", "sched_setaffinity", "getcpu", "set_robust_list", "get_robust_list", "rseq", "set_tid_address",
                             "gettid", "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep",
                             "gettimeofday", "time", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "exit", "exit_group", "read", "pread64", "readv", "lseek",
                             "close", "fstat", "newfstatat", "stat", "lstat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getrandom", "uname",
                             "sysinfo", "getrlimit", "getrusage", "times", "arch_prctl", "getcwd", "poll", "ppoll", "recvmsg", "restart_syscall", "getdents64", "sched_getparam",
                             "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min", "mincore", "fadvise64"};

// Nothing a kernel computes needs these: asking is an attack, or a mistake nobody should build on.
constexpr std::array fatal{"execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_open", "pidfd_getfd", "pidfd_send_signal",
                           "kill", "tkill", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key",
                           "request_key", "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "fspick",
                           "mount_setattr", "open_by_handle_at", "name_to_handle_at", "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4",
                           "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "mknod", "mknodat", "reboot", "swapon", "swapoff", "sethostname",
                           "setdomainname", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "iopl", "ioperm", "quotactl", "acct", "shmget", "shmat", "shmctl", "semget",
                           "semop", "semctl", "msgget", "msgsnd", "msgrcv", "mq_open", "mq_unlink", "memfd_create", "memfd_secret", "setuid", "setgid", "setreuid", "setregid",
                           "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid", "capset", "personality", "modify_ldt", "lookup_dcookie", "nfsservctl", "vhangup",
                           "ioctl", "kcmp", "process_madvise", "syslog", "fanotify_init", "inotify_init", "inotify_init1"};

class filter {
public:
  filter() : context_(::seccomp_init(SCMP_ACT_ERRNO(EPERM))) {}
  filter(const filter&) = delete;
  filter& operator=(const filter&) = delete;
  ~filter() {
    if (context_)
      ::seccomp_release(context_);
  }
  [[nodiscard]] bool good() const { return context_ && good_; }
  scmp_filter_ctx get() { return context_; }

  /// Names that this libseccomp does not know are left to the default, which refuses them.
  template <class... Conditions>
  void add(std::uint32_t action, const char* name, Conditions... conditions) {
    const int number = ::seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR || !context_)
      return;
    const int failed = ::seccomp_rule_add(context_, action, number, sizeof...(conditions), conditions...);
    good_ &= failed == 0 || failed == -EDOM;
  }

private:
  scmp_filter_ctx context_;
  bool good_ = true;
};

scmp_arg_cmp argument(unsigned index, scmp_compare how, scmp_datum_t a, scmp_datum_t b = 0) { return scmp_arg_cmp{index, how, a, b}; }

} // namespace

result<std::string> candidate_filter() {
  filter f;
  if (f.good()) {
    ::seccomp_attr_set(f.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS); // int 0x80, x32
    ::seccomp_attr_set(f.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2); // a tree: some 80 calls are compared
  }
  for (const char* name : allowed)
    f.add(SCMP_ACT_ALLOW, name);
  for (const char* name : fatal)
    f.add(SCMP_ACT_KILL_PROCESS, name);
  // Threads, not processes; what clone3 asks for lies behind a pointer, and glibc falls back to clone on ENOSYS.
  f.add(SCMP_ACT_ALLOW, "clone", argument(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  f.add(SCMP_ACT_KILL_PROCESS, "clone", argument(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
  f.add(SCMP_ACT_ERRNO(ENOSYS), "clone3");
  constexpr scmp_datum_t writes = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY);
  f.add(SCMP_ACT_ALLOW, "openat", argument(2, SCMP_CMP_MASKED_EQ, writes, 0));
  f.add(SCMP_ACT_ALLOW, "open", argument(1, SCMP_CMP_MASKED_EQ, writes, 0));
  for (const char* name : {"write", "writev"}) // both lead nowhere
    for (scmp_datum_t fd : {1, 2})
      f.add(SCMP_ACT_ALLOW, name, argument(0, SCMP_CMP_EQ, fd));
  for (const char* name : {"sendto", "sendmsg"})
    f.add(SCMP_ACT_ALLOW, name, argument(0, SCMP_CMP_EQ, channel::descriptor));
  f.add(SCMP_ACT_ALLOW, "tgkill", argument(2, SCMP_CMP_EQ, SIGABRT)); // abort
  f.add(SCMP_ACT_ALLOW, "prctl", argument(0, SCMP_CMP_EQ, 4));        // PR_SET_DUMPABLE: the harness, after it has loaded the candidate
  f.add(SCMP_ACT_ALLOW, "prctl", argument(0, SCMP_CMP_EQ, 15));       // PR_SET_NAME: a thread's
  f.add(SCMP_ACT_ALLOW, "prlimit64", argument(2, SCMP_CMP_EQ, 0));    // reading limits, as pthread_getattr_np does
  for (const char* name : {"fcntl"})
    for (scmp_datum_t command : {F_GETFD, F_GETFL})
      f.add(SCMP_ACT_ALLOW, name, argument(1, SCMP_CMP_EQ, command));
  if (!f.good())
    return error{errc::infrastructure, "libseccomp cannot make a filter for this machine"};
  const int file = ::memfd_create("filter", MFD_CLOEXEC);
  std::string bytes;
  if (file >= 0 && ::seccomp_export_bpf(f.get(), file) == 0) {
    bytes.resize(static_cast<std::size_t>(::lseek(file, 0, SEEK_END)));
    if (::pread(file, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
      bytes.clear();
  }
  if (file >= 0)
    ::close(file);
  if (bytes.empty() || bytes.size() > channel::body_bytes - 64)
    return error{errc::infrastructure, "libseccomp's filter of " + std::to_string(bytes.size()) + " bytes cannot be used"};
  return bytes;
}

} // namespace kevolve::agent
