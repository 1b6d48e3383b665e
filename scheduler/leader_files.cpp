#include "scheduler/leader_files.hpp"

#include "protocol/source_text.hpp"
#include "protocol/trace_format.hpp"
#include "scheduler/quantity.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>

namespace kevolve::scheduler {

namespace {

result<void> write_file(const std::filesystem::path& file, const std::string& content) {
  std::error_code failure;
  std::filesystem::create_directories(file.parent_path(), failure);
  const std::filesystem::path beside = file.string() + ".new";
  std::ofstream out(beside, std::ios::binary | std::ios::trunc);
  out << content;
  out.close();
  if (!out)
    return error{errc::io, fmt::format("cannot write {}: {}", beside.string(), std::strerror(errno))};
  std::filesystem::rename(beside, file, failure);
  if (failure)
    return error{errc::io, fmt::format("cannot write {}: {}", file.string(), failure.message())};
  return {};
}

} // namespace

result<std::filesystem::path> write_candidate(const std::filesystem::path& folder, const candidate& what, const std::string& hardware) {
  std::filesystem::path entry;
  const std::string entry_file = what.build.entry_point.substr(0, what.build.entry_point.find("::"));
  for (const source_file& source : what.sources) {
    const std::filesystem::path relative(source.path);
    if (!is_source_path(source.path))
      return error{errc::specification, fmt::format("candidate {}: source path: found '{}', expected a relative path without ..", short_id(what.id), source.path)};
    KEVOLVE_TRY_VOID(write_file(folder / relative, source.content));
    if (source.path == entry_file)
      entry = folder / relative;
  }
  KEVOLVE_TRY_VOID(write_file(folder / "solution.json", to_json(what, {hardware.empty() ? "cpu" : hardware}).dump(2) + "\n"));
  return entry.empty() ? folder / "solution.json" : entry;
}

std::filesystem::path leader_folder(const std::filesystem::path& data, const candidate& what) {
  std::string name = what.definition;
  for (char& c : name)
    c = c == '/' || c == '\0' ? '_' : c;
  return data / "leaders" / (name.empty() || name == "." || name == ".." ? "unnamed" : name) / short_id(what.id);
}

} // namespace kevolve::scheduler
