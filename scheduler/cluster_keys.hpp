// The keys of the cluster whose scheduler keeps its data in a directory: DATA/keys/scheduler.key, and DATA/keys/allowed, the list of who may come in.
#pragma once

#include "actors/keys.hpp"

#include <filesystem>
#include <memory>

namespace kevolve::scheduler {

struct cluster_keys {
  key_file own;
  std::shared_ptr<allow_list> allowed;

  /// Makes the scheduler's key where there is none yet.
  static result<cluster_keys> open(const std::filesystem::path& data);
};

} // namespace kevolve::scheduler
