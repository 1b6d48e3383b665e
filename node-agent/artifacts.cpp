#include "node-agent/artifacts.hpp"

#include "node-agent/workspace.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <unistd.h>
#include <vector>

namespace kevolve::agent {

namespace fs = std::filesystem;

namespace {

constexpr auto in_use = std::chrono::minutes(15);
constexpr auto abandoned = std::chrono::hours(24); // a partial file whose writer is long gone

bool is_partial(const fs::path& file) { return file.extension().string().starts_with(".part"); }
bool is_artifact(const fs::path& file) {
  const fs::path ending = file.extension();
  return ending == ".so" || ending == ".vec" || ending == ".made";
}

} // namespace

artifact_store::artifact_store(const fs::path& cache, std::uint64_t most_bytes) : folder_(cache / "artifacts"), most_bytes_(most_bytes) {}

fs::path artifact_store::file(const std::string& key, const char* ending) const { return folder_ / key.substr(0, 2) / (key + ending); }

bool artifact_store::find(const fs::path& file) const {
  std::error_code failed;
  if (!fs::exists(file, failed))
    return false;
  fs::last_write_time(file, fs::file_time_type::clock::now(), failed);
  return fs::exists(file, failed); // it may have gone while we looked
}

result<void> artifact_store::keep(const fs::path& file, std::string_view content) {
  static std::atomic<unsigned> number{0};
  const fs::path partial = fs::path(file).replace_extension(".part" + std::to_string(::getpid()) + "-" + std::to_string(++number));
  std::error_code failed;
  if (auto written = write_file(partial, content); !written) {
    fs::remove(partial, failed); // a disk that is full is not filled further
    return written;
  }
  fs::rename(partial, file, failed);
  if (failed)
    return error{failed == std::errc::no_space_on_device ? errc::full : errc::io, "cannot keep '" + file.string() + "': " + failed.message()};
  std::lock_guard lock(mutex_);
  held_bytes_ += content.size();
  if (most_bytes_ > 0 && (!counted_ || held_bytes_ > most_bytes_))
    tidy();
  return {};
}

void artifact_store::tidy() {
  struct known {
    fs::path file;
    std::uint64_t bytes;
    fs::file_time_type used;
  };
  std::vector<known> all;
  const auto now = fs::file_time_type::clock::now();
  std::error_code failed;
  held_bytes_ = 0;
  counted_ = true;
  for (fs::recursive_directory_iterator each(folder_, fs::directory_options::skip_permission_denied, failed), end; !failed && each != end; each.increment(failed)) {
    std::error_code gone; // another process tidies, too
    if (!each->is_regular_file(gone) || each->is_symlink(gone))
      continue;
    known k{each->path(), each->file_size(gone), each->last_write_time(gone)};
    if (gone)
      continue;
    if (is_partial(k.file) && now - k.used > abandoned)
      fs::remove(k.file, gone);
    else if (is_artifact(k.file))
      held_bytes_ += k.bytes, all.push_back(std::move(k));
  }
  if (held_bytes_ <= most_bytes_)
    return;
  std::sort(all.begin(), all.end(), [](const known& a, const known& b) { return a.used < b.used; });
  for (const known& k : all) {
    if (held_bytes_ <= most_bytes_ / 5 * 4 || now - k.used < in_use)
      break;
    if (fs::last_write_time(k.file, failed) == k.used && !failed && fs::remove(k.file, failed)) // not if somebody asked for it meanwhile
      held_bytes_ -= k.bytes;
  }
}

} // namespace kevolve::agent
