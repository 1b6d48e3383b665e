// What an agent has finished and no scheduler has counted yet, kept by the work's print until it is: across losing the scheduler, and across the
// agent's own restart. Work that is asked for again is then answered from here, under whatever lease. Thread-safe.
#pragma once

#include "protocol/message.hpp"
#include "protocol/result.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kevolve {

class answer_spool {
public:
  virtual ~answer_spool() = default;
  /// On the disk when it returns. Errors: full, io; the answer can still be sent.
  virtual result<void> keep(const std::string& print, const evaluation& answer) = 0;
  virtual result<void> keep(const std::string& print, const written& answer) = 0;
  /// An evaluation or a writing.
  virtual std::optional<lease_answer> find(const std::string& print) = 0;
  /// The scheduler has it on its own disk. Lost with a crash: then it is kept longer.
  virtual void forget(const std::string& print) = 0;
  /// Newest first.
  virtual std::vector<std::string> prints() = 0;
};

struct spool_bounds {
  std::size_t answers = 1000;            // the oldest go first
  std::size_t map_bytes = 256u << 20;    // of the database
  double age_s = 7 * 86400.0;            // nobody has asked again for a week: nobody will
};

/// An LMDB environment in `folder`, made where there is none; one process at a time (errc::busy). A file that is no database is put aside under
/// another name and said in `remark`: the spool saves work, it is no truth.
result<std::unique_ptr<answer_spool>> open_spool(const std::filesystem::path& folder, std::string& remark, const spool_bounds& bounds = {});
/// The first free one of `folder`/`agent`, `agent`.2, …: several agents of one name may run on a host, and one that starts again finds its own.
result<std::unique_ptr<answer_spool>> open_free_spool(const std::filesystem::path& folder, std::string agent, std::string& remark);

} // namespace kevolve
