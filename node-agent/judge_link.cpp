#include "node-agent/judge_link.hpp"

#include "node-agent/frames.hpp"
#include "node-agent/process.hpp"
#include "protocol/codec.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kevolve::agent {

judge_link::~judge_link() { stop(); }

void judge_link::stop() {
  if (socket_ >= 0)
    ::close(socket_); // the judge ends, and its programs with it
  socket_ = -1;
  if (pid_ < 0)
    return;
  for (int i = 0; i < 200; ++i) {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_)
      return void(pid_ = -1);
    ::usleep(5000);
  }
  ::kill(-pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

result<void> judge_link::start() {
  stop();
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return error{errc::infrastructure, std::string("cannot open a socket pair for a judge: ") + std::strerror(errno)};
  if (ends[1] == 3) { // dup2 onto itself would keep its close-on-exec flag
    ends[1] = ::fcntl(3, F_DUPFD_CLOEXEC, 4);
    ::close(3);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], 3);
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
  auto environment = plain_environment();
  environment.push_back("OMP_WAIT_POLICY=passive");
  std::vector<char*> envp;
  for (auto& e : environment)
    envp.push_back(e.data());
  envp.push_back(nullptr);
  std::string program = executable_.string();
  char* argv[] = {program.data(), nullptr};
  pid_t child = -1;
  const int failed = ::posix_spawn(&child, program.c_str(), &actions, &attributes, argv, envp.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  ::close(ends[1]);
  if (failed) {
    ::close(ends[0]);
    return error{errc::infrastructure, "cannot start '" + program + "': " + std::strerror(failed)};
  }
  pid_ = child;
  socket_ = ends[0];
  tell(setup_);
  return {};
}

void judge_link::tell(const judge_request& what) {
  if (socket_ >= 0)
    (void)write_frame(socket_, encode(what));
}

result<judge_reply> judge_link::ask(const judge_request& what, std::uint64_t number, const std::atomic<bool>& cancelled, double silence_s,
                                    const std::function<void(const std::string&)>& on_stage) {
  if (socket_ < 0)
    KEVOLVE_TRY_VOID(start());
  const auto replace = [&](const std::string& why) -> error {
    stop();
    if (auto again = start(); !again)
      return error{errc::infrastructure, why + "; " + again.error().message};
    return error{errc::infrastructure, why + "; it has been replaced"};
  };
  if (!write_frame(socket_, encode(what)))
    return replace("the judge had died");
  double heard = now_s();
  bool told = false;
  for (;;) {
    auto bytes = read_frame(socket_, 50);
    if (!bytes)
      return replace("the judge died while it worked");
    if (cancelled.load(std::memory_order_relaxed) && !told) {
      tell(judge_cancel{number});
      told = true;
      heard = now_s();
    }
    if (!*bytes) {
      if (told && now_s() - heard > 1) // busy with the oracle: it will read on; what it answers is dropped by its number
        return error{errc::interrupted, "cancelled"};
      if (now_s() - heard > silence_s)
        return replace("the judge said nothing for " + std::to_string(static_cast<int>(silence_s)) + " s");
      continue;
    }
    auto reply = decode<judge_reply>(**bytes);
    if (!reply)
      return replace("the judge's reply cannot be read: " + reply.error().message);
    const std::uint64_t of = std::visit([](const auto& x) { return x.number; }, *reply);
    if (of != number)
      continue;
    heard = now_s();
    if (const auto* stage = std::get_if<judge_stage>(&*reply)) {
      on_stage(stage->name);
      if (stage->name == "measuring")
        tell(judge_go{number});
      continue;
    }
    if (told)
      return error{errc::interrupted, "cancelled"};
    return std::move(*reply);
  }
}

} // namespace kevolve::agent
