// What confines a judge's untrusted processes, made and tested on itself when the judge starts: users of their own, namespaces, control groups,
// limits, a system call filter, Landlock, no descriptors. A layer that this host does not give is said, in every evaluation. One thread.
#pragma once

#include "node-agent/cgroup.hpp"
#include "node-agent/defence.hpp"
#include "node-agent/namespaces.hpp"
#include "node-agent/program.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kevolve::agent {

class sandbox {
public:
  struct layer {
    defence what;
    bool holds = false;
    std::string detail; // how it is done here, or why it is missing
  };

  sandbox(std::filesystem::path harness, defences_off off, const interruption& stop);

  /// Starts a harness in cell `cell`, confined and ready to load. Cells are users and groups: two processes that live at once are in two of them.
  result<std::unique_ptr<program>> start(unsigned cell, const program_settings& settings);

  [[nodiscard]] const std::vector<layer>& layers() const { return layers_; }
  /// "full", or "reduced: no …" with each missing layer.
  [[nodiscard]] std::string level() const;
  /// Our child that holds the namespaces; -1: none.
  [[nodiscard]] int keeper() const { return inside_ ? inside_->keeper() : -1; }
  [[nodiscard]] defences_off off() const { return off_; }

private:
  void test(defence what);
  result<std::unique_ptr<program>> launch(unsigned cell, program_settings settings, defences_off off);
  std::filesystem::path harness_;
  defences_off off_; // switched off, or missing
  interruption stop_;
  unsigned identity_ = 0; // of cell 0; 0: no drop
  std::string filter_;
  std::unique_ptr<namespaces> inside_;
  std::map<unsigned, std::unique_ptr<control_group>> groups_;
  std::vector<layer> layers_;
};

/// A block of 64 user ids that no other live judge or compile pool of this host uses; 0 where we are not root or cannot change users.
unsigned pick_identity();

} // namespace kevolve::agent
