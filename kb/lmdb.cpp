#include "kb/lmdb.hpp"

#include <cerrno>

namespace kevolve::kb::lmdb {
namespace {

errc kind_of(int code) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case MDB_MAP_FULL: return errc::full;
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOTDIR: return errc::configuration;
    case EBUSY:
    case EAGAIN:
    case MDB_READERS_FULL: return errc::busy;
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_CURSOR_FULL:
    case MDB_INCOMPATIBLE:
    case MDB_VERSION_MISMATCH: return errc::damaged;
    default: return errc::io;
  }
}

} // namespace

error failure(int code, const std::string& doing) { return {kind_of(code), doing + ": " + mdb_strerror(code)}; }

result<environment> open_environment(const std::filesystem::path& directory, unsigned flags, std::size_t map_bytes) {
  MDB_env* handle = nullptr;
  if (int code = mdb_env_create(&handle))
    return failure(code, "LMDB");
  environment env(handle);
  mdb_env_set_maxdbs(handle, 16);
  mdb_env_set_maxreaders(handle, 1024); // read-only commands and threads at one time; 64 bytes each
  if (int code = mdb_env_set_mapsize(handle, map_bytes))
    return failure(code, "LMDB map of " + std::to_string(map_bytes) + " bytes");
  if (int code = mdb_env_open(handle, directory.c_str(), flags | MDB_NOTLS, 0644))
    return failure(code, (directory / "data.mdb").string());
  return env;
}

} // namespace kevolve::kb::lmdb
