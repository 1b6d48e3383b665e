#include "scheduler/interruption.hpp"

#include "protocol/check.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <unistd.h>

namespace kevolve::scheduler {

namespace {

std::atomic<int> signal_received{0};
std::atomic<int> wake_descriptor{-1};

extern "C" void take_signal(int number) {
  int none = 0;
  if (!signal_received.compare_exchange_strong(none, number)) {
    // The second: die of it, as the shell expects.
    std::signal(number, SIG_DFL);
    std::raise(number);
    return;
  }
  const int saved = errno;
  const char byte = 's';
  if (const int out = wake_descriptor.load(); out >= 0)
    [[maybe_unused]] const auto written = write(out, &byte, 1);
  errno = saved;
}

void install(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

} // namespace

interruption::interruption() {
  signal_received = 0;
  KEVOLVE_CHECK(pipe2(wake_, O_CLOEXEC) == 0);
  wake_descriptor = wake_[1];
  install(take_signal);
}

interruption::~interruption() {
  install(SIG_DFL);
  wake_descriptor = -1;
  const char byte = 'q';
  [[maybe_unused]] const auto written = write(wake_[1], &byte, 1);
  if (watcher_.joinable())
    watcher_.join();
  close(wake_[0]);
  close(wake_[1]);
}

void interruption::on_signal(std::function<void(int)> react) {
  {
    const std::scoped_lock lock(mutex_);
    react_ = std::move(react);
  }
  if (!watcher_.joinable())
    watcher_ = std::thread([this] { watch(); });
}

void interruption::ignore_from_now() {
  const std::scoped_lock lock(mutex_);
  react_ = nullptr;
}

int interruption::received() const noexcept { return signal_received.load(); }

void interruption::watch() {
  char byte = 0;
  for (;;) {
    const auto got = read(wake_[0], &byte, 1);
    if (got < 0 && errno == EINTR)
      continue;
    if (got != 1 || byte == 'q')
      return;
    const std::scoped_lock lock(mutex_);
    if (react_)
      react_(received());
  }
}

} // namespace kevolve::scheduler
