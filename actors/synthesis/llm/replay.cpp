// The replay provider and the recording one: a thread each, which calls back.
#include "actors/synthesis/llm/inbox.hpp"
#include "actors/synthesis/llm/record.hpp"

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <fmt/format.h>
#include <mutex>
#include <thread>
#include <unistd.h>
#include <unordered_map>

namespace kevolve::llm {
namespace {

/// A thread that waits for something to do. `work` is called with everything that was left, and once more, with `last`, at the end.
class worker {
public:
  explicit worker(std::function<void(bool last)> work) : thread_([this, work = std::move(work)] {
      for (bool last = false; !last;) {
        {
          std::unique_lock lock(mutex_);
          wake_.wait(lock, [this] { return woken_ || ending_; });
          woken_ = false;
          last = ending_;
        }
        work(last);
      }
    }) {}
  ~worker() {
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  void wake() {
    {
      std::lock_guard lock(mutex_);
      woken_ = true;
    }
    wake_.notify_one();
  }

private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false, ending_ = false;
  std::thread thread_;
};

failure cancelled() { return {failure_kind::cancelled, "cancelled", 0, 0}; }

class replay_provider final : public provider {
public:
  replay_provider(provider_settings from, recorded_replies replies)
    : from_(std::move(from)), replies_(std::move(replies)), worker_([this](bool last) { work(last); }) {}

  handle ask(request asked, reply_handler then) override {
    const handle which = inbox_.put(std::move(asked), std::move(then));
    worker_.wake();
    return which;
  }
  void cancel(handle) override {} // its reply is on its way already

private:
  void work(bool last) {
    for (left_request& left : inbox_.take())
      left.then(last ? reply(cancelled()) : answer_to(left.asked));
  }

  reply answer_to(const request& asked) {
    const std::string hash = prompt_hash(asked);
    if (const reply* found = replies_.next(hash, asked.idempotency_key))
      return *found;
    return failure{failure_kind::unavailable,
                   fmt::format("provider '{}': {} has no answer to this prompt ({}); it has {} answers: was it recorded with the same operator, seed and model?",
                               from_.name, from_.file.string(), hash.substr(0, 12), replies_.size()), 1, 0};
  }

  const provider_settings from_;
  recorded_replies replies_;
  inbox inbox_;
  worker worker_; // last: it ends before what it uses
};

/// The recording's file: lines that are appended durably, and read again by what they answer.
class record_file {
public:
  explicit record_file(std::filesystem::path path) : path_(std::move(path)) {}
  record_file(const record_file&) = delete;
  record_file& operator=(const record_file&) = delete;
  ~record_file() {
    if (fd_ >= 0)
      ::close(fd_);
  }

  result<void> open() {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ < 0)
      return problem("answers cannot be recorded there");
    KEVOLVE_TRY(whole, read_record(path_, [this](recorded_reply r, line_place at) { note(r, at); }));
    end_ = whole;
    return ::ftruncate(fd_, static_cast<off_t>(end_)) == 0 ? result<void>{} : problem("an unfinished last line cannot be removed");
  }

  std::optional<reply> find(const std::string& prompt, const std::string& key) const {
    const auto at = key.empty() ? places_.end() : places_.find(prompt + key);
    if (at == places_.end())
      return std::nullopt;
    std::string line(at->second.bytes, '\0');
    if (::pread(fd_, line.data(), line.size(), static_cast<off_t>(at->second.offset)) != static_cast<ssize_t>(line.size()))
      return std::nullopt;
    auto parsed = recorded_reply_from_line(line);
    return parsed ? std::optional<reply>(parsed->what) : std::nullopt;
  }

  /// All or nothing: what was written in part is taken back.
  result<void> append(const std::vector<const recorded_reply*>& replies) {
    std::string lines;
    std::vector<line_place> places;
    for (const recorded_reply* r : replies) {
      const std::string line = to_line(*r);
      places.push_back({end_ + lines.size(), line.size()});
      lines += line + "\n";
    }
    for (std::size_t done = 0; done < lines.size();) {
      const ssize_t n = ::pwrite(fd_, lines.data() + done, lines.size() - done, static_cast<off_t>(end_ + done));
      if (n < 0 && errno != EINTR)
        return give_up();
      done += n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    if (!lines.empty() && ::fdatasync(fd_) != 0)
      return give_up();
    end_ += lines.size();
    for (std::size_t i = 0; i < replies.size(); ++i)
      note(*replies[i], places[i]);
    return {};
  }

private:
  void note(const recorded_reply& r, line_place at) {
    if (!r.key.empty() && r.what)
      places_[r.prompt + r.key] = at;
  }
  error problem(const std::string& what) const { return {errc::io, fmt::format("{}: {}: {}", path_.string(), what, std::strerror(errno))}; }
  error give_up() {
    const error why = problem("the answer cannot be recorded");
    (void)!::ftruncate(fd_, static_cast<off_t>(end_));
    return why;
  }

  const std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t end_ = 0;
  std::unordered_map<std::string, line_place> places_; // prompt and idempotency key -> its line
};

class recording_provider final : public provider {
public:
  recording_provider(std::shared_ptr<provider> inner, std::unique_ptr<record_file> file)
    : inner_(std::move(inner)), file_(std::move(file)), worker_([this](bool) { work(); }) {}
  ~recording_provider() override {
    inner_.reset(); // its last replies still come through the worker
  }

  handle ask(request asked, reply_handler then) override {
    std::string prompt = prompt_hash(asked), key = asked.idempotency_key;
    std::optional<reply> had;
    {
      std::lock_guard lock(file_mutex_);
      had = file_->find(prompt, key);
    }
    std::unique_lock lock(mutex_);
    const handle which = ++last_;
    if (had) {
      arrived_.push_back({{std::move(prompt), std::move(key), *std::move(had)}, std::move(then)});
      worker_.wake();
      return which;
    }
    asked_.emplace(which, 0);
    lock.unlock();
    const handle inside = inner_->ask(std::move(asked), [this, which, prompt, key, then = std::move(then)](reply r) mutable {
      std::lock_guard hold(mutex_);
      asked_.erase(which);
      arrived_.push_back({{std::move(prompt), std::move(key), std::move(r)}, std::move(then)});
      worker_.wake();
    });
    lock.lock();
    if (const auto at = asked_.find(which); at != asked_.end())
      at->second = inside;
    return which;
  }

  void cancel(handle which) override {
    handle inside = 0;
    {
      std::lock_guard lock(mutex_);
      if (const auto at = asked_.find(which); at != asked_.end())
        inside = at->second;
    }
    if (inside)
      inner_->cancel(inside);
  }

private:
  struct arrival {
    recorded_reply what;
    reply_handler then;
  };

  /// Writes all that arrived, syncs once, then tells.
  void work() {
    std::deque<arrival> batch;
    {
      std::lock_guard lock(mutex_);
      batch.swap(arrived_);
    }
    std::vector<const recorded_reply*> fresh;
    for (const arrival& a : batch)
      if (a.what.what && !a.what.what->recorded)
        fresh.push_back(&a.what);
    result<void> written;
    {
      std::lock_guard lock(file_mutex_); // a sync takes milliseconds; the inner provider's thread does not wait for it
      written = file_->append(fresh);
    }
    for (arrival& a : batch) {
      reply& r = a.what.what;
      if (!written && r && !r->recorded)
        r = failure{failure_kind::unavailable, written.error().message, r->attempts, r->unseen_attempts + 1};
      a.then(std::move(r));
    }
  }

  std::shared_ptr<provider> inner_;
  std::mutex file_mutex_;
  std::unique_ptr<record_file> file_;
  std::mutex mutex_;
  std::unordered_map<handle, handle> asked_; // ours -> inner's
  std::deque<arrival> arrived_;
  handle last_ = 0;
  worker worker_;
};

} // namespace

result<std::shared_ptr<provider>> make_replay(const provider_settings& from) {
  recorded_replies replies;
  if (auto bytes = read_record(from.file, [&](recorded_reply r, line_place) { replies.add(std::move(r)); }); !bytes)
    return error{errc::configuration, fmt::format("provider '{}': {}", from.name, bytes.error().message)};
  return std::shared_ptr<provider>(std::make_shared<replay_provider>(from, std::move(replies)));
}

result<std::shared_ptr<provider>> make_recording(std::shared_ptr<provider> inner, const std::filesystem::path& file) {
  auto opened = std::make_unique<record_file>(file);
  KEVOLVE_TRY_VOID(opened->open());
  return std::shared_ptr<provider>(std::make_shared<recording_provider>(std::move(inner), std::move(opened)));
}

} // namespace kevolve::llm
