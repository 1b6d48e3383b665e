#include "scheduler/console.hpp"

#include <cstdio>
#include <cstdlib>
#include <sys/ioctl.h>
#include <unistd.h>

namespace kevolve::scheduler {

namespace {

bool wants_colour(int descriptor) {
  const char* forbidden = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return isatty(descriptor) && !(forbidden && *forbidden) && !(terminal && std::string(terminal) == "dumb");
}

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

} // namespace

console::console(bool json) noexcept
    : json_(json), colour_(wants_colour(json ? STDERR_FILENO : STDOUT_FILENO)), live_(isatty(STDERR_FILENO) != 0) {}

void console::clear_line() {
  if (line_open_)
    std::fputs("\r\033[K", stderr);
  line_open_ = false;
}

void console::say(const std::string& text) {
  const std::scoped_lock lock(mutex_);
  clear_line();
  FILE* out = json_ ? stderr : stdout;
  std::fputs(text.c_str(), out);
  if (text.empty() || text.back() != '\n')
    std::fputc('\n', out);
  std::fflush(out);
}

void console::note(const std::string& text) {
  const std::scoped_lock lock(mutex_);
  clear_line();
  std::fprintf(stderr, "kevolve: %s\n", text.c_str());
}

void console::answer(const std::string& object) {
  if (!json_)
    return;
  const std::scoped_lock lock(mutex_);
  clear_line();
  std::fputs(object.c_str(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

void console::progress(const std::string& line, bool due) {
  const std::scoped_lock lock(mutex_);
  if (!live_) {
    if (due)
      std::fprintf(stderr, "%s\n", line.c_str());
    return;
  }
  const std::string shown = line.substr(0, terminal_width() - 1);
  std::fprintf(stderr, "\r\033[K%s", shown.c_str());
  std::fflush(stderr);
  line_open_ = true;
}

} // namespace kevolve::scheduler
