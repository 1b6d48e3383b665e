// Where a command's words go. With --json: one object on stdout and nothing else, people's text on stderr; without: reports on stdout,
// progress and remarks on stderr. Colour only on a terminal and never with NO_COLOR. Thread-safe.
#pragma once

#include <mutex>
#include <string>

namespace kevolve::scheduler {

class console {
public:
  explicit console(bool json) noexcept;

  [[nodiscard]] bool json() const noexcept { return json_; }
  [[nodiscard]] bool colour() const noexcept { return colour_; }

  /// A report or table for people; ends with a newline.
  void say(const std::string& text);
  /// A remark for people: stderr.
  void note(const std::string& text);
  /// The one JSON object (already serialised). Ignored without --json.
  void answer(const std::string& object);
  /// Rewrites the progress line on a terminal; elsewhere writes a line when `due`.
  void progress(const std::string& line, bool due);
  [[nodiscard]] bool live() const noexcept { return live_; }

private:
  void clear_line();

  std::mutex mutex_;
  bool json_;
  bool colour_;
  bool live_;          // stderr is a terminal: the line is rewritten
  bool line_open_ = false;
};

} // namespace kevolve::scheduler
