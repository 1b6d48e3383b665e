#include "actors/program_shelf.hpp"

#include "protocol/limits.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace kevolve {
namespace {

constexpr std::size_t most_known = 4096;

} // namespace

void program_shelf::add(const blob_reference& what, std::filesystem::path file) {
  std::lock_guard lock(mutex_);
  if (known_.insert_or_assign(what.hash, program{std::move(file), what.bytes}).second)
    order_.push_back(what.hash);
  if (order_.size() > most_known) {
    known_.erase(order_.front());
    order_.pop_front();
  }
}

blob_piece program_shelf::piece(const blob_wanted& what) const {
  blob_piece piece{what.hash, what.offset, {}, what.to};
  program from;
  {
    std::lock_guard lock(mutex_);
    const auto found = known_.find(what.hash);
    if (found == known_.end())
      return piece;
    from = found->second;
  }
  if (what.bytes == 0 || what.bytes > limits::piece_bytes || what.offset >= from.bytes || what.bytes > from.bytes - what.offset)
    return piece;
  const int file = ::open(from.file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0)
    return piece;
  piece.content.resize(what.bytes);
  if (::pread(file, piece.content.data(), what.bytes, static_cast<off_t>(what.offset)) != static_cast<ssize_t>(what.bytes))
    piece.content.clear();
  ::close(file);
  return piece;
}

} // namespace kevolve
