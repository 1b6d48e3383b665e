#include "scheduler/campaign.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <unistd.h>

namespace kevolve::scheduler {

using object = nlohmann::ordered_json;

result<campaign> campaign::open(const std::filesystem::path& file, const object& identity) {
  campaign opened;
  opened.file_ = file;
  std::error_code failure;
  std::filesystem::create_directories(file.parent_path(), failure);
  std::ifstream in(file);
  std::string line, whole;
  bool first = true;
  while (std::getline(in, line)) {
    if (in.eof())
      break; // no newline: torn while it was written
    const object value = object::parse(line, nullptr, false);
    if (value.is_discarded())
      break;
    if (first && value != identity)
      return error{errc::refused, fmt::format("{}: holds another campaign ({}); move it away or repeat that one", file.string(), line)};
    if (!first)
      opened.trials_.push_back(value);
    first = false;
    whole += line + "\n";
  }
  in.close();
  std::ofstream(file, std::ios::trunc) << whole;
  if (first)
    KEVOLVE_TRY_VOID(opened.append(identity));
  return opened;
}

result<void> campaign::add(const object& trial) {
  KEVOLVE_TRY_VOID(append(trial));
  trials_.push_back(trial);
  return {};
}

result<void> campaign::append(const object& line) {
  const std::string text = line.dump(-1, ' ', false, object::error_handler_t::replace) + "\n";
  const int out = ::open(file_.c_str(), O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0644);
  const bool good = out >= 0 && write(out, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(out) == 0;
  const int reason = errno;
  if (out >= 0)
    close(out);
  if (!good)
    return error{errc::io, fmt::format("cannot write {}: {}", file_.string(), std::strerror(reason))};
  return {};
}

} // namespace kevolve::scheduler
