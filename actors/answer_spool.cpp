#include "actors/answer_spool.hpp"

#include "kb/lmdb.hpp"
#include "protocol/codec.hpp"
#include "protocol/failpoint.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <sys/file.h>
#include <fcntl.h>
#include <unistd.h>

namespace kevolve {
namespace {

namespace fs = std::filesystem;
namespace lmdb = kb::lmdb;

/// One record: when it was kept, and the answer.
struct kept_answer {
  double at_s = 0; // Unix time
  evaluation answer;
  std::optional<written> writing = std::nullopt; // instead
};
template <class Inspector>
bool inspect(Inspector& f, kept_answer& x) {
  return f.object(x).fields(f.field("at_s", x.at_s), f.field("answer", x.answer), f.field("writing", x.writing));
}

double unix_now_s() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

class lmdb_spool final : public answer_spool {
public:
  lmdb_spool(int lock, const fs::path& folder, lmdb::environment env, const spool_bounds& bounds) : lock_(lock), name_("the spool in '" + folder.string() + "'"), env_(std::move(env)), bounds_(bounds) {}
  lmdb_spool(const lmdb_spool&) = delete;
  lmdb_spool& operator=(const lmdb_spool&) = delete;
  ~lmdb_spool() override {
    {
      std::lock_guard lock(mutex_);
      (void)write({}, {});
    }
    env_.reset();
    ::close(lock_);
  }

  /// Reads what lies there; what cannot be read goes.
  result<void> load() {
    lmdb::transaction txn;
    if (int code = lmdb::transaction::begin(env_.get(), 0, txn))
      return lmdb::failure(code, name_);
    if (int code = mdb_dbi_open(txn.get(), nullptr, 0, &table_))
      return lmdb::failure(code, "the table of " + name_);
    {
      lmdb::cursor all;
      if (int code = lmdb::cursor::open(txn.get(), table_, all))
        return lmdb::failure(code, "the table of " + name_);
      std::string_view key, value;
      for (int code = all.get(key, value, MDB_FIRST); code != MDB_NOTFOUND; code = all.get(key, value, MDB_NEXT)) {
        if (code)
          return lmdb::failure(code, "reading " + name_);
        auto got = decode<kept_answer>(value);
        if (!got || unix_now_s() - got->at_s > bounds_.age_s)
          dropped_.insert(std::string(key));
        else
          ages_[std::string(key)] = got->at_s;
      }
    }
    if (int code = txn.commit())
      return lmdb::failure(code, name_);
    std::lock_guard lock(mutex_);
    return write({}, {});
  }

  result<void> keep(const std::string& print, const evaluation& answer) override { return keep(print, kept_answer{unix_now_s(), answer}); }
  result<void> keep(const std::string& print, const written& answer) override { return keep(print, kept_answer{unix_now_s(), {}, answer}); }

  result<void> keep(const std::string& print, const kept_answer& what) {
    std::lock_guard lock(mutex_);
    while (ages_.size() >= bounds_.answers)
      drop(std::min_element(ages_.begin(), ages_.end(), [](const auto& a, const auto& b) { return a.second < b.second; })->first);
    KEVOLVE_TRY_VOID(write(print, encode(what)));
    dropped_.erase(print);
    ages_[print] = what.at_s;
    return {};
  }

  std::optional<lease_answer> find(const std::string& print) override {
    std::lock_guard lock(mutex_);
    if (!ages_.contains(print))
      return std::nullopt;
    lmdb::transaction txn;
    MDB_val key = lmdb::as_value(print), value{};
    if (lmdb::transaction::begin(env_.get(), MDB_RDONLY, txn) || mdb_get(txn.get(), table_, &key, &value))
      return std::nullopt;
    auto got = decode<kept_answer>(lmdb::as_view(value));
    if (!got)
      return std::nullopt;
    return got->writing ? lease_answer(std::move(*got->writing)) : lease_answer(std::move(got->answer));
  }

  void forget(const std::string& print) override {
    std::lock_guard lock(mutex_);
    drop(print);
    if (dropped_.size() >= 64) // otherwise with the next answer, or at the end
      (void)write({}, {});
  }

  std::vector<std::string> prints() override {
    std::lock_guard lock(mutex_);
    std::vector<std::pair<double, std::string>> ordered;
    for (const auto& [print, at] : ages_)
      ordered.emplace_back(-at, print);
    std::sort(ordered.begin(), ordered.end());
    std::vector<std::string> newest;
    for (auto& each : ordered)
      newest.push_back(std::move(each.second));
    return newest;
  }

private:
  void drop(std::string print) {
    if (ages_.erase(print))
      dropped_.insert(std::move(print));
  }

  /// One transaction, synced: what was dropped goes, and the answer (unless `print` is empty) comes.
  result<void> write(const std::string& print, const std::string& bytes) {
    if (print.empty() && dropped_.empty())
      return {};
    lmdb::transaction txn;
    if (int code = lmdb::transaction::begin(env_.get(), 0, txn))
      return lmdb::failure(code, name_);
    for (const auto& gone : dropped_) {
      MDB_val key = lmdb::as_value(gone);
      if (int code = mdb_del(txn.get(), table_, &key, nullptr); code && code != MDB_NOTFOUND)
        return lmdb::failure(code, name_);
    }
    if (!print.empty()) {
      MDB_val key = lmdb::as_value(print), value = lmdb::as_value(bytes);
      if (int code = mdb_put(txn.get(), table_, &key, &value, 0))
        return lmdb::failure(code, "keeping an answer in " + name_);
      pass(failpoint::spool_before_commit);
    }
    if (int code = txn.commit())
      return lmdb::failure(code, "keeping an answer in " + name_);
    dropped_.clear();
    return {};
  }

  const int lock_;
  const std::string name_; // for people
  lmdb::environment env_;
  const spool_bounds bounds_;
  MDB_dbi table_ = 0;
  std::mutex mutex_; // guards what follows
  std::map<std::string, double> ages_;  // print -> when it was kept
  std::set<std::string> dropped_;       // still in the database
};

result<std::unique_ptr<answer_spool>> open_at(int lock, const fs::path& folder, const spool_bounds& bounds) {
  auto env = lmdb::open_environment(folder, 0, bounds.map_bytes);
  if (!env) {
    ::close(lock);
    return env.error();
  }
  auto made = std::make_unique<lmdb_spool>(lock, folder, std::move(*env), bounds);
  KEVOLVE_TRY_VOID(made->load());
  return std::unique_ptr<answer_spool>(std::move(made));
}

result<int> locked(const fs::path& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  const fs::path file = folder / "owner";
  const int lock = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0)
    return error{errc::io, "the spool's '" + file.string() + "': " + std::strerror(errno)};
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return error{errc::busy, "the spool in '" + folder.string() + "' belongs to another agent that runs: give each its own --cache"};
  }
  return lock;
}

} // namespace

result<std::unique_ptr<answer_spool>> open_spool(const fs::path& folder, std::string& remark, const spool_bounds& bounds) {
  KEVOLVE_TRY(lock, locked(folder));
  auto opened = open_at(lock, folder, bounds);
  if (opened || opened.error().code != errc::damaged)
    return opened;
  const fs::path aside = folder / ("damaged-" + std::to_string(static_cast<long>(unix_now_s())) + ".mdb");
  std::error_code failed;
  fs::rename(folder / "data.mdb", aside, failed);
  if (failed)
    return opened;
  remark = opened.error().message + ": put aside as '" + aside.string() + "', a new spool is begun";
  KEVOLVE_TRY(again, locked(folder));
  return open_at(again, folder, bounds);
}

result<std::unique_ptr<answer_spool>> open_free_spool(const fs::path& folder, std::string agent, std::string& remark) {
  constexpr int agents_of_one_name = 64;
  for (char& c : agent)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && (c != '.' || &c == agent.data()))
      c = '_';
  for (int n = 1;; ++n) {
    auto opened = open_spool(folder / (n == 1 ? agent : agent + '.' + std::to_string(n)), remark);
    if (opened || opened.error().code != errc::busy || n == agents_of_one_name)
      return opened;
  }
}

} // namespace kevolve
