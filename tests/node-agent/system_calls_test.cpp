#include "node-agent/channel.hpp"
#include "node-agent/system_calls.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <string>
#include <sys/syscall.h>
#include <vector>

using namespace kevolve;

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t native = AUDIT_ARCH_X86_64, foreign = AUDIT_ARCH_I386;
#elif defined(__aarch64__)
constexpr std::uint32_t native = AUDIT_ARCH_AARCH64, foreign = AUDIT_ARCH_ARM;
#endif

/// What the kernel would answer to a call: the filter's program, run by an interpreter of the instructions that libseccomp uses.
std::uint32_t answer(const std::string& bytes, int number, std::array<std::uint64_t, 6> arguments = {}, std::uint32_t architecture = native) {
  const seccomp_data call{number, architecture, 0, {arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]}};
  std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
  REQUIRE(program.size() * sizeof(sock_filter) == bytes.size());
  std::memcpy(program.data(), bytes.data(), bytes.size());
  std::uint32_t a = 0, x = 0, memory[BPF_MEMWORDS] = {};
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& i = program[at];
    const std::uint32_t operand = BPF_SRC(i.code) == BPF_X ? x : i.k;
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS: std::memcpy(&a, reinterpret_cast<const char*>(&call) + i.k, sizeof a); break;
      case BPF_LD | BPF_MEM: a = memory[i.k]; break;
      case BPF_ST: memory[i.k] = a; break;
      case BPF_MISC | BPF_TAX: x = a; break;
      case BPF_MISC | BPF_TXA: a = x; break;
      case BPF_ALU | BPF_AND | BPF_K:
      case BPF_ALU | BPF_AND | BPF_X: a &= operand; break;
      case BPF_JMP | BPF_JA: at += i.k; break;
      case BPF_JMP | BPF_JEQ | BPF_K:
      case BPF_JMP | BPF_JEQ | BPF_X: at += a == operand ? i.jt : i.jf; break;
      case BPF_JMP | BPF_JGT | BPF_K:
      case BPF_JMP | BPF_JGT | BPF_X: at += a > operand ? i.jt : i.jf; break;
      case BPF_JMP | BPF_JGE | BPF_K:
      case BPF_JMP | BPF_JGE | BPF_X: at += a >= operand ? i.jt : i.jf; break;
      case BPF_RET | BPF_K: return i.k;
      default: FAIL("instruction ", i.code, " is not one that a filter has");
    }
  }
  FAIL("the program ends without an answer");
  return 0;
}

const std::string& filter() {
  static const std::string made = [] {
    auto f = agent::candidate_filter();
    REQUIRE_MESSAGE(f, (f ? std::string() : f.error().message));
    return *f;
  }();
  return made;
}

constexpr std::uint32_t refused = SECCOMP_RET_ERRNO | EPERM, unknown = SECCOMP_RET_ERRNO | ENOSYS, allowed = SECCOMP_RET_ALLOW, ended = SECCOMP_RET_KILL_PROCESS;
std::uint32_t asked(int number, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0) { return answer(filter(), number, {a, b, c, 0, 0, 0}); }

} // namespace

TEST_CASE("memory, threads' locks and time are a kernel's own") {
  for (const int number : {SYS_mmap, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_futex, SYS_sched_yield, SYS_sched_setaffinity, SYS_clock_gettime, SYS_nanosleep, SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_read,
                           SYS_close, SYS_recvmsg, SYS_getrandom, SYS_rseq, SYS_membarrier, SYS_fadvise64}) {
    CAPTURE(number);
    CHECK(asked(number) == allowed);
  }
}

TEST_CASE("what no kernel has honest use for ends the process") {
  for (const int number : {SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kill, SYS_tkill, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_keyctl,
                           SYS_unshare, SYS_setns, SYS_mount, SYS_chroot, SYS_open_by_handle_at, SYS_socket, SYS_connect, SYS_bind, SYS_accept4, SYS_init_module, SYS_mknodat, SYS_shmget, SYS_msgsnd, SYS_mq_open,
                           SYS_memfd_create, SYS_setuid, SYS_setresgid, SYS_capset, SYS_personality, SYS_ioctl, SYS_inotify_init1}) {
    CAPTURE(number);
    CHECK(asked(number) == ended);
  }
}

TEST_CASE("whatever is not listed is refused, of this and of later kernels") {
  for (const int number : {SYS_unlinkat, SYS_renameat, SYS_mkdirat, SYS_fchmodat, SYS_ftruncate, SYS_truncate, SYS_dup, SYS_dup3, SYS_fsync, SYS_chdir, SYS_setsid, SYS_setpriority, SYS_sync, SYS_flock, SYS_splice, SYS_timer_create, 2000,
                           100000}) {
    CAPTURE(number);
    CHECK(asked(number) == refused);
  }
}

TEST_CASE("threads may be started, processes end the one that asks, and clone3 is unknown so that the C library falls back") {
  const std::uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS;
  CHECK(asked(SYS_clone, thread) == allowed);
  CHECK(asked(SYS_clone, CLONE_THREAD) == allowed);
  CHECK(asked(SYS_clone, SIGCHLD) == ended);
  CHECK(asked(SYS_clone, thread & ~std::uint64_t{CLONE_THREAD}) == ended);
  CHECK(asked(SYS_clone, 0, CLONE_THREAD) == ended); // another argument
  CHECK(asked(SYS_clone3) == unknown);
}

TEST_CASE("files may be opened for reading only, whatever else is asked beside") {
  for (const std::uint64_t flags : {O_RDONLY, O_RDONLY | O_CLOEXEC, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK})
    CHECK(asked(SYS_openat, 0, 0, flags) == allowed);
  for (const std::uint64_t flags : {O_WRONLY, O_RDWR, O_RDONLY | O_CREAT, O_RDONLY | O_TRUNC, O_RDONLY | O_APPEND, O_RDONLY | (O_TMPFILE & ~O_DIRECTORY), O_WRONLY | O_CLOEXEC})
    CHECK(asked(SYS_openat, 0, 0, flags) == refused);
#if defined(SYS_open)
  CHECK(asked(SYS_open, 0, O_RDONLY | O_CLOEXEC) == allowed);
  for (const std::uint64_t flags : {O_WRONLY, O_RDWR, O_RDONLY | O_CREAT, O_RDONLY | O_TRUNC, O_RDONLY | O_APPEND})
    CHECK(asked(SYS_open, 0, flags) == refused);
  CHECK(asked(SYS_open, 0, O_RDONLY, O_RDWR) == allowed); // the mode
#endif
}

TEST_CASE("writing leads to standard output and errors, sending to the judge's channel, and nowhere else") {
  for (const int number : {SYS_write, SYS_writev})
    for (std::uint64_t fd = 0; fd < 10; ++fd)
      CHECK(asked(number, fd) == (fd == 1 || fd == 2 ? allowed : refused));
  for (const int number : {SYS_sendto, SYS_sendmsg})
    for (std::uint64_t fd = 0; fd < 10; ++fd)
      CHECK(asked(number, fd) == (fd == agent::channel::descriptor ? allowed : refused));
}

TEST_CASE("of calls with many uses only the harmless ones are left") {
  CHECK(asked(SYS_tgkill, 7, 7, SIGABRT) == allowed);
  for (const int signal : {SIGKILL, SIGSTOP, SIGSEGV, SIGTERM})
    CHECK(asked(SYS_tgkill, 7, 7, static_cast<std::uint64_t>(signal)) == refused);
  for (std::uint64_t what = 1; what < 64; ++what)
    CHECK(asked(SYS_prctl, what) == (what == 4 || what == 15 ? allowed : refused)); // dumpable, a thread's name
  CHECK(asked(SYS_prlimit64, 0, 7, 0) == allowed); // reading one
  CHECK(asked(SYS_prlimit64, 0, 7, 4096) == refused);
  for (const int command : {F_GETFD, F_GETFL})
    CHECK(asked(SYS_fcntl, 3, static_cast<std::uint64_t>(command)) == allowed);
  for (const int command : {F_DUPFD, F_SETFD, F_SETFL, F_SETLK, F_ADD_SEALS, F_SETOWN, F_NOTIFY})
    CHECK(asked(SYS_fcntl, 3, static_cast<std::uint64_t>(command)) == refused);
}

TEST_CASE("calls of another architecture end the process, whatever their number") {
  for (const int number : {0, 1, 3, 11, SYS_mmap, SYS_futex})
    CHECK(answer(filter(), number, {}, foreign) == ended);
#if defined(__x86_64__)
  CHECK(asked(0x40000000 | SYS_mmap) == ended); // x32
#endif
}

TEST_CASE("the program is short enough for the channel and decides by a tree") {
  CHECK(filter().size() % sizeof(sock_filter) == 0);
  CHECK(filter().size() > 100 * sizeof(sock_filter));
  CHECK(filter().size() <= agent::channel::body_bytes - 64);
  // The first comparisons after architecture and ABI halve the calls, or each call would be compared with some 80 numbers.
  std::vector<sock_filter> program(filter().size() / sizeof(sock_filter));
  std::memcpy(program.data(), filter().data(), filter().size());
  CHECK(std::count_if(program.begin(), program.end(), [](const sock_filter& i) { return i.code == (BPF_JMP | BPF_JGT | BPF_K); }) > 20);
}
