// The judge's hold on a process, tested with programs that this executable plays itself: `as:NAME` as its first argument, before main.
#include "node-agent/channel.hpp"
#include "node-agent/process.hpp"
#include "node-agent/program.hpp"
#include "tests/node-agent/lacking.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::agent;

namespace {

// What programs do. ------------------------------------------------------------------------------------------------------------------

struct asked {
  channel::request r;
  std::string body;
  int fds[2] = {-1, -1};
};

asked next_request() {
  asked a;
  static char body[channel::body_bytes];
  iovec parts[2] = {{&a.r, sizeof a.r}, {body, sizeof body}};
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
  msghdr m{};
  m.msg_iov = parts, m.msg_iovlen = 2, m.msg_control = control, m.msg_controllen = sizeof control;
  if (::recvmsg(channel::descriptor, &m, 0) < static_cast<ssize_t>(sizeof a.r))
    ::_exit(0);
  for (cmsghdr* c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
    std::memcpy(a.fds, CMSG_DATA(c), std::min<std::size_t>(c->cmsg_len - CMSG_LEN(0), sizeof a.fds));
  a.body.assign(body, a.r.length);
  return a;
}

void answer(const asked& a, std::int32_t status = 0, const std::string& text = {}, std::uint64_t off_by = 0, std::uint32_t mark = channel::magic) {
  channel::reply r;
  r.mark = mark, r.status = status, r.number = a.r.number + off_by, r.length = text.size();
  std::string record(reinterpret_cast<const char*>(&r), sizeof r);
  (void)!::send(channel::descriptor, (record + text).data(), record.size() + text.size(), MSG_NOSIGNAL);
}

double cpu_s() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

void burn(double seconds) {
  for (const double until = cpu_s() + seconds; cpu_s() < until;) {
  }
}

std::string limits_text() {
  std::string text;
  for (const int what : {RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NPROC}) {
    rlimit l{};
    ::getrlimit(static_cast<__rlimit_resource>(what), &l);
    text += (l.rlim_cur == l.rlim_max ? std::to_string(l.rlim_cur) : "unequal") + " ";
  }
  return text;
}

std::string descriptors_text() {
  std::string text;
  for (int fd = 0; fd < 256; ++fd)
    if (::fcntl(fd, F_GETFD) >= 0)
      text += std::to_string(fd) + " ";
  return text;
}

std::string said_of(const std::string& what) {
  if (what == "limits")
    return limits_text();
  if (what == "descriptors")
    return descriptors_text();
  if (what == "null")
    return std::filesystem::read_symlink("/proc/self/fd/0").string() + " " + std::filesystem::read_symlink("/proc/self/fd/1").string();
  if (what == "user")
    return std::to_string(::getuid()) + " " + std::to_string(::geteuid()) + " " + std::to_string(::getgid()) + " " + std::to_string(::getgroups(0, nullptr)) + " " + std::to_string(::setuid(0) == 0);
  if (what == "session")
    return ::getsid(0) == ::getpid() ? "own" : "ours";
  if (what == "nice")
    return std::to_string(::getpriority(PRIO_PROCESS, 0));
  if (what == "signals") {
    struct sigaction s {};
    ::sigaction(SIGUSR1, nullptr, &s);
    return s.sa_handler == SIG_DFL ? "default" : "other";
  }
  if (what == "cores") {
    cpu_set_t set;
    ::sched_getaffinity(0, sizeof set, &set);
    return std::to_string(CPU_COUNT(&set)) + " " + std::to_string(CPU_ISSET(0, &set));
  }
  if (what == "environment") {
    std::string text;
    for (char** v = environ; *v; ++v)
      text += std::string(*v) + " ";
    return text;
  }
  return "?";
}

const std::pair<const char*, std::function<void(const asked&)>> programs[] = {
    {"obeys", [](const asked& a) { answer(a); }},
    {"returns", [](const asked& a) { answer(a, static_cast<std::int32_t>(a.r.count)); }},
    {"says", [](const asked& a) { answer(a, 1, "a\x1b[31mb\x07"); }},
    {"tells", [](const asked& a) { answer(a, 1, said_of(a.body)); }},
    {"repeats", [](const asked& a) { // the request itself
       std::string text = std::to_string(a.r.what) + " " + std::to_string(a.r.slot) + " " + std::to_string(a.r.count) + ":";
       for (std::size_t i = 0; i + 8 <= a.body.size(); i += 8) {
         std::int64_t word = 0;
         std::memcpy(&word, a.body.data() + i, 8);
         text += " " + std::to_string(word);
       }
       for (const int fd : a.fds)
         text += fd < 0 ? " none" : (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY ? " read" : " write";
       answer(a, 1, text);
     }},
    {"mistakes_number", [](const asked& a) { answer(a, 0, {}, 1); }},
    {"repeats_number", [](const asked& a) { answer(a, 0, {}, a.r.what == channel::call ? std::uint64_t(-1) : 0); }},
    {"mistakes_mark", [](const asked& a) { answer(a, 0, {}, 0, 7); }},
    {"mumbles", [](const asked&) { (void)!::send(channel::descriptor, "12345", 5, 0); }},
    {"talks_twice", [](const asked& a) { answer(a), answer(a); }},
    {"is_silent", [](const asked&) {}},
    {"is_slow", [](const asked& a) { ::usleep(300'000), answer(a); }},
    {"ends", [](const asked&) { ::_exit(3); }},
    {"crashes", [](const asked&) { ::raise(SIGSEGV); }},
    {"is_refused", [](const asked&) { ::raise(SIGSYS); }}, // as by a filter
    {"hangs_up", [](const asked&) { ::close(channel::descriptor); for (;;) ::pause(); }},
    {"computes", [](const asked& a) { burn(a.r.count * 1e-3), answer(a); }},
    {"computes_later", [](const asked& a) { answer(a), burn(0.06); }},
    {"forks", [](const asked& a) { // the child answers once it has left the session
       if (::fork() == 0) {
         ::setsid();
         answer(a, 1, std::to_string(::getpid()));
         for (;;)
           ::pause();
       }
     }},
    {"touches", [](const asked& a) { // memory: so many MiB
       char* all = static_cast<char*>(::mmap(nullptr, std::size_t{a.r.count} << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
       for (std::size_t i = 0; all != MAP_FAILED && i < std::size_t{a.r.count} << 20; i += 4096)
         all[i] = 1;
       answer(a, all == MAP_FAILED, "no memory");
     }},
    {"writes_errors", [](const asked& a) { std::fputs("a word\n", stderr), std::fflush(stderr), answer(a); }},
};

/// Whether this process is one of them; never returns then.
[[maybe_unused]] const bool played = [] {
  std::ifstream in("/proc/self/cmdline");
  std::string own, argument;
  std::getline(in, own, '\0') && std::getline(in, argument, '\0');
  in.close();
  if (!argument.starts_with("as:"))
    return false;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const auto& [name, act] : programs)
    if (argument.substr(3) == name)
      for (;;)
        act(next_request());
  ::_exit(99);
}();

// What the judge sees of them. ---------------------------------------------------------------------------------------------------------

program_settings as(const std::string& name) {
  program_settings s;
  s.arguments = {std::filesystem::read_symlink("/proc/self/exe").string(), "as:" + name};
  return s;
}

std::unique_ptr<program> started(const program_settings& s, const interruption& stop = {}) {
  auto p = program::start(s, stop);
  REQUIRE_MESSAGE(p, (p ? std::string() : p.error().message));
  return std::move(*p);
}
std::unique_ptr<program> started(const std::string& name) { return started(as(name)); }

constexpr double soon = 20; // a limit that no test reaches on a busy host

/// What a program that tells says of itself.
std::string told(const program_settings& s, const std::string& about) { return started(s)->confine(about, false, soon).detail; }

bool lives(int pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  return std::getline(in, line) && line.find(") Z ") == std::string::npos;
}

/// Whether it ends before long: a signal is sent before its receiver is gone.
bool is_gone(int pid) {
  for (int i = 0; i < 5000 && lives(pid); ++i)
    ::usleep(1000);
  return !lives(pid);
}

std::unique_ptr<buffer_set> tensors(std::vector<buffer_layout> layout) {
  auto made = buffer_set::make(std::move(layout));
  REQUIRE(made);
  return std::move(*made);
}

} // namespace

TEST_CASE("what a program answers is a good end or its failure with the words it gave, scrubbed") {
  const auto good = started("obeys");
  call_end e = good->call(1, 1, soon);
  CHECK(e.good());
  CHECK(e.seconds > 0);
  CHECK(e.detail == "");
  CHECK(good->unmap(1).good());
  const auto returns = started("returns");
  e = returns->call(1, 7, soon);
  CHECK(e.what == misbehaviour::failed);
  CHECK(e.detail == "returned 7");
  CHECK(returns->call(1, 0, soon).good()); // it goes on living
  e = started("says")->call(1, 1, soon);
  CHECK(e.what == misbehaviour::failed);
  CHECK(e.detail == "ab?");
}

TEST_CASE("a reply that answers nothing, or nothing that can be read, is cheating") {
  for (const char* name : {"mistakes_number", "mistakes_mark"}) {
    CAPTURE(name);
    const call_end e = started(name)->call(1, 1, soon);
    CHECK(e.what == misbehaviour::cheated);
    CHECK(e.detail == "sent a reply that nobody had asked for");
  }
  const call_end e = started("mumbles")->call(1, 1, soon);
  CHECK(e.what == misbehaviour::cheated);
  CHECK(e.detail == "sent a malformed reply");
  const auto stale = started("repeats_number");
  CHECK(stale->unmap(1).good());
  CHECK(stale->call(1, 1, soon).what == misbehaviour::cheated);
}

TEST_CASE("a second answer to one question is seen when the next is asked") {
  const auto twice = started("talks_twice");
  CHECK(twice->call(1, 1, soon).good());
  ::usleep(50'000);
  const call_end e = twice->call(1, 1, soon);
  CHECK(e.what == misbehaviour::cheated);
  CHECK(e.detail == "sent a reply that nobody had asked for");
}

TEST_CASE("where replies need not answer, the defence being off, numbers are not looked at") {
  auto s = as("mistakes_number");
  s.numbered = false;
  CHECK(started(s)->call(1, 1, soon).good());
  s = as("mistakes_mark");
  s.numbered = false;
  CHECK(!started(s)->call(1, 1, soon).good()); // our own harness's mark all the same
}

TEST_CASE("the first request's number is drawn anew for each program") {
  const auto one = started("obeys"), other = started("obeys");
  CHECK(one->call(1, 1, soon).good());
  CHECK(other->call(1, 1, soon).good());
}

TEST_CASE("a program that does not answer hangs, and one that ends says how") {
  const auto silent = started("is_silent");
  call_end e = silent->call(1, 1, 0.05);
  CHECK(e.what == misbehaviour::hung);
  CHECK(e.detail == "did not return");
  CHECK(lives(silent->id())); // whoever owns it ends it
  CHECK(started("is_slow")->call(1, 1, soon).seconds >= 0.3);
  const auto ends = started("ends");
  e = ends->call(1, 1, soon);
  CHECK(e.what == misbehaviour::crashed);
  CHECK(e.detail == "ended its process with status 3");
  CHECK(ends->id() == -1);
  e = ends->call(1, 1, soon);
  CHECK(e.what == misbehaviour::crashed);
  CHECK(e.detail == "has ended already");
  e = started("crashes")->call(1, 1, soon);
  CHECK(e.what == misbehaviour::crashed);
  CHECK(e.detail == "was killed by signal 11 (Segmentation fault)");
  e = started("is_refused")->call(1, 1, soon);
  CHECK(e.what == misbehaviour::cheated);
  CHECK(e.detail.find("system call filter") != std::string::npos);
  e = started("hangs_up")->call(1, 1, soon);
  CHECK(e.what == misbehaviour::crashed);
  CHECK(e.detail == "closed its channel");
}

TEST_CASE("a wait is given up when it is no longer wanted") {
  std::atomic<bool> cancelled{false};
  interruption stop;
  stop.poll = [&] { return cancelled.load(); };
  const auto silent = started(as("is_silent"), stop);
  std::thread later([&] { ::usleep(100'000), cancelled = true; });
  const call_end e = silent->call(1, 1, soon);
  later.join();
  CHECK(e.what == misbehaviour::cancelled);
  CHECK(e.detail == "cancelled");
  cancelled = false;
  CHECK(started(as("is_slow"), stop)->call(1, 1, soon).good()); // asked, and not yet
}

TEST_CASE("ending kills and reaps, with all that the program's session holds, and tells only what was no doing of ours") {
  const auto p = started("obeys");
  const int pid = p->id();
  CHECK(lives(pid));
  CHECK(p->end() == "");
  CHECK(!lives(pid));
  CHECK(::kill(pid, 0) != 0);
  CHECK(p->id() == -1);
  CHECK(p->end() == "");
  const auto ends = started("ends");
  int died = ends->id();
  kill(died, SIGTERM);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(died), &info, WEXITED | WNOWAIT);
  CHECK(ends->end() == "was killed by signal 15 (Terminated)");
  int gone = -1;
  {
    const auto dropped = started("obeys");
    gone = dropped->id();
  }
  CHECK(::kill(gone, 0) != 0);
}

TEST_CASE("the CPU time of a program that has ended is what it used") {
  const auto p = started("computes");
  CHECK(p->cpu_s() == 0);
  CHECK(p->call(1, 100, soon).good());
  p->end();
  CHECK(p->cpu_s() >= 0.1);
  CHECK(p->cpu_s() < 1);
}

TEST_CASE("the second clock tells work in calls from work between them, from the second call on") {
  const auto p = started("computes");
  CHECK(p->call(1, 60, soon).good()); // the first call fills page tables
  work_clock c = p->clock();
  CHECK(c.called_s == 0);
  CHECK(c.called_cpu_s == 0);
  CHECK(c.idle_cpu_s < 0.01);
  CHECK(p->call(1, 60, soon).good());
  CHECK(p->call(1, 60, soon).good());
  c = p->clock();
  CHECK(c.called_s >= 0.12);
  CHECK(c.called_cpu_s >= 0.119);
  CHECK(c.called_cpu_s < 0.3);
  CHECK(c.idle_cpu_s < 0.02);
  const auto later = started("computes_later");
  for (int i = 0; i < 3; ++i) {
    CHECK(later->call(1, 1, soon).good());
    while (later->clock().idle_cpu_s < 0.05 * (i + 1)) { // it computes for 60 ms after each answer
    }
  }
  c = later->clock();
  CHECK(c.idle_cpu_s >= 0.15);
  CHECK(c.idle_cpu_s < 0.3);
  CHECK(c.called_cpu_s < 0.05);
  work_clock sum = c;
  sum += c;
  CHECK(sum.idle_cpu_s == doctest::Approx(2 * c.idle_cpu_s));
}

TEST_CASE("requests that are no calls are on neither clock") {
  const auto p = started("computes");
  CHECK(p->unmap(1).good());
  CHECK(p->confine({}, true, soon).good());
  const work_clock c = p->clock();
  CHECK(c.called_s == 0);
  CHECK(c.idle_cpu_s == 0);
}

TEST_CASE("a request carries verb, slot, count and body, and what is mapped in the order that harnesses read") {
  auto inputs = tensors({{dtype::float32, false, {3, 5}}, {dtype::int64, true, {}}}), outputs = tensors({{dtype::float64, false, {7}}});
  const auto p = started("repeats");
  CHECK(p->call(9, 4, soon).detail == "3 9 4: none none");
  CHECK(p->call(9, 4, soon, 77).detail == "3 9 4: 77 none none");
  CHECK(p->unmap(9).detail == "4 9 0: none none");
  CHECK(p->load(0, soon).detail.find("1 0 0: ") == 0);
  const auto word = [](auto n) { return " " + std::to_string(n); };
  const std::string layout = " 2 11 12 2" + word(static_cast<int>(dtype::float32)) + " 0" + word(inputs->offset(0)) + " 60 2 3 5" + word(static_cast<int>(dtype::int64)) + " 1" + word(inputs->offset(1)) + " 8 0 1" +
                             word(static_cast<int>(dtype::float64)) + " 0" + word(outputs->offset(0)) + " 56 1 7";
  CHECK(p->map(8, {{"M", 11}, {"N", 12}}, *inputs, *outputs, soon).detail == "2 8 0:" + layout + " read write");
  CHECK(p->post_map(8, {{"M", 11}, {"N", 12}}, *inputs, *outputs).good());
  CHECK(p->settle(soon).detail == "2 8 0:" + layout + " read write");
  auto s = as("repeats");
  s.read_only = false;
  CHECK(started(s)->map(8, {}, *inputs, *outputs, soon).detail.find("write write") != std::string::npos);
  const call_end much = p->confine(std::string(channel::body_bytes + 1, 'x'), false, soon);
  CHECK(much.what == misbehaviour::unavailable);
  CHECK(p->confine(std::string(channel::body_bytes, 'x'), true, soon).detail.find("5 0 1:") == 0);
}

TEST_CASE("what is mapped without waiting is settled later, in order") {
  auto inputs = tensors({{dtype::float32, false, {3}}}), outputs = tensors({{dtype::float32, false, {3}}});
  const auto p = started("is_slow");
  CHECK(p->pending() == 0);
  CHECK(p->settle(0).good());
  CHECK(p->post_map(1, {}, *inputs, *outputs).good());
  CHECK(p->post_map(2, {}, *inputs, *outputs).good());
  CHECK(p->pending() == 2);
  CHECK(p->settle(0.01).good()); // still busy
  CHECK(p->pending() == 2);
  const call_end early = p->call(1, 1, 0.01);
  CHECK(early.what == misbehaviour::unavailable);
  CHECK(early.detail == "is still preparing");
  CHECK(p->settle(soon).good());
  CHECK(p->pending() == 0);
  CHECK(p->call(1, 1, soon).good());
  CHECK(p->post_map(1, {}, *inputs, *outputs).good());
  CHECK(p->call(1, 1, soon).good()); // waits for it first
  CHECK(p->pending() == 0);
  const auto fails = started("says");
  CHECK(fails->post_map(1, {}, *inputs, *outputs).good());
  CHECK(fails->call(1, 1, soon).detail == "ab?"); // the map's
}

TEST_CASE("a program that is frozen does nothing until it is thawed") {
  const auto p = started("obeys");
  const auto state = [&] {
    std::ifstream in("/proc/" + std::to_string(p->id()) + "/stat");
    std::string line;
    std::getline(in, line);
    return line.substr(line.rfind(')') + 2, 1);
  };
  p->freeze();
  for (int i = 0; i < 1000 && state() != "T"; ++i)
    ::usleep(1000);
  CHECK(state() == "T");
  CHECK(p->call(1, 1, 0.05).what == misbehaviour::hung);
  p->freeze();
  p->thaw();
  for (int i = 0; i < 1000 && state() == "T"; ++i)
    ::usleep(1000);
  CHECK(state() != "T");
}

TEST_CASE("a program starts with no descriptor but the channel and no environment but what it is given, in a session of its own") {
  const int opened = ::open("/dev/null", O_RDONLY); // where our own input is closed it is descriptor 0
  const int ours = ::fcntl(opened, F_DUPFD, 20);    // inheritable
  ::close(opened);
  auto s = as("tells");
  CHECK(told(s, "descriptors") == "0 1 2 3 ");
  CHECK(told(s, "null") == "/dev/null /dev/null");
  CHECK(told(s, "environment") == "returned 1"); // not a word
  CHECK(told(s, "session") == "own");
  ::signal(SIGUSR1, SIG_IGN);
  CHECK(told(s, "signals") == "default");
  ::signal(SIGUSR1, SIG_DFL);
  s.environment = {"A=1", "B=2"};
  CHECK(told(s, "environment") == "A=1 B=2 ");
  s.clean = false;
  CHECK(told(s, "descriptors").find(" " + std::to_string(ours) + " ") != std::string::npos);
  ::close(ours);
}

TEST_CASE("limits, priority, cores and user are what the settings say") {
  auto s = as("tells");
  const std::string none = std::to_string(RLIM_INFINITY);
  CHECK(told(s, "limits").find("0 1024 65536 0 ") == 0);
  rlimit data{}, tasks{};
  ::getrlimit(RLIMIT_DATA, &data), ::getrlimit(RLIMIT_NPROC, &tasks);
  s.private_bytes = 1ull << 30;
  CHECK(told(s, "limits").find("0 1024 65536 0 1073741824 ") == 0);
  s.limited = false;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  CHECK(told(s, "limits").find("0 1024 65536 0 ") != 0);
  s = as("tells");
  s.cores = {0};
  CHECK(told(s, "cores") == "1 1");
  s.cores = {};
  CHECK(told(s, "cores").find(std::to_string(std::thread::hardware_concurrency()) + " ") == 0);
  s.nice = 3;
  const int before = ::getpriority(PRIO_PROCESS, 0);
  if (before <= 3)
    CHECK(told(s, "nice") == "3");
  if (::geteuid() != 0) {
    test::lacking("not root");
    return;
  }
  const auto again = started(s);
  again->restore_priority();
  CHECK(again->confine("nice", false, soon).detail == "0");
  s = as("tells");
  s.identity = 61234;
  CHECK(told(s, "user") == "61234 61234 61234 0 0");
  CHECK(told(s, "limits") == "0 1024 65536 0 " + (data.rlim_cur == RLIM_INFINITY ? none : std::to_string(data.rlim_cur)) + " 0 256 ");
}

TEST_CASE("memory beyond its limit is not to be had, and a program that its group kills for memory says so") {
  auto s = as("touches");
  s.private_bytes = 128u << 20;
  const auto limited = started(s);
  CHECK(limited->call(1, 32, soon).good());
  CHECK(limited->call(1, 256, soon).detail == "no memory");
  auto made = control_group::make("program", {64u << 20, 0});
  if (!made || !(*made)->limits_memory()) {
    test::lacking("no control group that limits memory");
    return;
  }
  s.private_bytes = 0;
  s.group = made->get();
  const auto grouped = started(s);
  CHECK(!(*made)->empty());
  CHECK(grouped->call(1, 16, soon).good());
  const call_end e = grouped->call(1, 256, soon);
  CHECK(e.what == misbehaviour::crashed);
  CHECK(e.detail == "was killed for using more memory than a candidate may");
  const auto after = started(as("crashes"));
  CHECK(after->call(1, 1, soon).detail.find("signal 11") != std::string::npos);
  auto crashes = as("crashes");
  crashes.group = made->get();
  CHECK(started(crashes)->call(1, 1, soon).detail.find("signal 11") != std::string::npos); // not every death is memory's
}

TEST_CASE("what a program has started ends with its group and its user, wherever it hides") {
  if (::geteuid() != 0) {
    test::lacking("not root");
    return;
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  auto s = as("forks");
  s.identity = 61235;
  auto p = started(s);
  const int by_user = std::stoi(p->call(1, 1, soon).detail);
  CHECK(lives(by_user));
  p->end();
  CHECK(is_gone(by_user));
  s = as("forks");
  auto made = control_group::make("program", {});
  if (made) {
    s.group = made->get();
    p = started(s);
    const int by_group = std::stoi(p->call(1, 1, soon).detail);
    CHECK(lives(by_group));
    p->end();
    CHECK(is_gone(by_group));
    CHECK((*made)->empty());
  }
  s.group = nullptr;
  p = started(s);
  const int orphan = std::stoi(p->call(1, 1, soon).detail);
  const auto other = started("obeys");
  p->end();
  CHECK(lives(orphan)); // neither group nor user
  sweep_orphans({other->id()});
  CHECK(is_gone(orphan));
  CHECK(lives(other->id()));
  CHECK(other->call(1, 1, soon).good());
  sweep_identity(0); // nobody's
  CHECK(lives(other->id()));
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_CASE("errors go to the log that is named, and what cannot be started is an error that names it") {
  const auto log = std::filesystem::temp_directory_path() / ("kevolve-program-" + std::to_string(::getpid()));
  auto s = as("writes_errors");
  s.log = log;
  CHECK(started(s)->call(1, 1, soon).good());
  std::ifstream in(log);
  std::string line;
  std::getline(in, line);
  CHECK(line == "a word");
  std::filesystem::remove(log);
  s.arguments[0] = "/no/such/program";
  const auto none = program::start(s, {});
  REQUIRE(!none);
  CHECK(none.error().message.find("cannot start '/no/such/program': No such file") != std::string::npos);
  std::filesystem::remove(log);
}

TEST_CASE("an artifact is copied whole into memory that nobody can change, readable for everybody") {
  const auto file = std::filesystem::temp_directory_path() / ("kevolve-artifact-" + std::to_string(::getpid()));
  std::string bytes;
  for (int i = 0; i < 200'000; ++i)
    bytes += static_cast<char>(i * 7);
  std::ofstream(file, std::ios::binary) << bytes;
  auto copy = sealed_copy(file);
  REQUIRE(copy);
  std::filesystem::remove(file);
  std::string found(bytes.size() + 10, '\0');
  CHECK(::pread(*copy, found.data(), found.size(), 0) == static_cast<ssize_t>(bytes.size()));
  found.resize(bytes.size());
  CHECK((found == bytes));
  CHECK(::pwrite(*copy, "x", 1, 0) < 0);
  CHECK(::ftruncate(*copy, 1) != 0);
  CHECK(::ftruncate(*copy, 1 << 20) != 0);
  CHECK(::fcntl(*copy, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) < 0);
  struct stat about {};
  ::fstat(*copy, &about);
  CHECK((about.st_mode & 0777) == 0555);
  CHECK((::fcntl(*copy, F_GETFD) & FD_CLOEXEC) != 0);
  ::close(*copy);
  const auto none = sealed_copy("/no/such/artifact");
  REQUIRE(!none);
  CHECK(none.error().message.find("cannot open '/no/such/artifact'") != std::string::npos);
  const auto folder = sealed_copy("/tmp");
  REQUIRE(!folder);
  CHECK(folder.error().message.find("cannot copy '/tmp'") != std::string::npos);
}
