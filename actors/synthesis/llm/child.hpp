// One command as a child process: no shell, a process group of its own, a cleared environment, no inherited descriptor. Reading its output
// never blocks and is bounded. Killed, group and all, when this object goes. One thread owns it; that thread must outlive the child, which
// is killed with it.
#pragma once

#include "protocol/result.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace kevolve::llm {

struct child_command {
  std::vector<std::string> arguments;   // [0] is looked up in our PATH
  std::vector<std::string> environment; // KEY=VALUE, all that it gets
  std::filesystem::path directory;
  std::string input;                    // stdin; "": /dev/null
  std::size_t output_bytes = 0;         // kept of stdout; more is a failure that `flooded` tells
};

class child {
public:
  static result<child> start(const child_command& what);
  child(child&& other) noexcept { *this = std::move(other); }
  child& operator=(child&& other) noexcept;
  ~child() { kill(); }

  /// Descriptors to poll for reading; -1 once closed.
  [[nodiscard]] int out() const { return out_; }
  [[nodiscard]] int err() const { return err_; }
  [[nodiscard]] int ended() const { return watch_; } // readable when the command itself has ended
  /// Reads what is there.
  void read();
  [[nodiscard]] bool flooded() const { return flooded_; }
  /// Reaps the command once it has ended, reads what the pipes still hold and kills what it left running. "" or "exited with status 1".
  std::string finish();
  void kill();

  std::string output, errors;           // errors: the last 4 KiB

private:
  child() = default;
  void drain(int& fd, std::string& into, std::size_t most, bool keep_last);
  int pid_ = -1, watch_ = -1, out_ = -1, err_ = -1;
  std::size_t output_bytes_ = 0;
  bool flooded_ = false;
};

/// A command by name in PATH, or as given where it holds a slash; empty: not found.
std::filesystem::path find_program(const std::string& name, const std::string& path_variable);

} // namespace kevolve::llm
