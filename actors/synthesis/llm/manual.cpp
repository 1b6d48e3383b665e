#include "actors/synthesis/llm/manual.hpp"

#include "actors/synthesis/llm/inbox.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <mutex>
#include <set>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace kevolve::llm {
namespace {

using clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr auto look_every = std::chrono::milliseconds(200);
constexpr auto settled_after = std::chrono::seconds(1); // an editor or a copy writes in pieces: what changed lately is not taken
constexpr unsigned most_prompts = 9'999'999;

std::string numbered(unsigned number) { return fmt::format("{:04}", number); }

/// "0007" of "0007.prompt.md".
std::optional<unsigned> number_of(const std::string& name) {
  const std::size_t dot = name.find('.');
  if (dot == 0 || dot == std::string::npos || dot > 7 || !std::all_of(name.begin(), name.begin() + static_cast<std::ptrdiff_t>(dot), [](unsigned char c) { return std::isdigit(c); }))
    return std::nullopt;
  return static_cast<unsigned>(std::stoul(name.substr(0, dot)));
}

std::string read_file(const fs::path& from, std::size_t most) {
  std::ifstream in(from, std::ios::binary);
  std::string text(most, '\0');
  in.read(text.data(), static_cast<std::streamsize>(most));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  return text;
}

struct waiting_prompt {
  left_request left;
  unsigned number = 0;
  moment began, until;
  off_t bytes = -1;                 // of the answer, when last looked at
  timespec changed{};
  moment since;                     // it looks like this
};

class manual_provider final : public provider {
public:
  explicit manual_provider(provider_settings from) : from_(std::move(from)), thread_([this] { run(); }) {}
  ~manual_provider() override {
    {
      std::lock_guard lock(mutex_);
      ending_ = woken_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  handle ask(request asked, reply_handler then) override {
    const handle which = inbox_.put(std::move(asked), std::move(then));
    wake();
    return which;
  }
  void cancel(handle which) override {
    inbox_.put_cancellation(which);
    wake();
  }

private:
  void wake() {
    {
      std::lock_guard lock(mutex_);
      woken_ = true;
    }
    wake_.notify_one();
  }

  void run() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        const auto something = [this] { return woken_; };
        if (waiting_.empty())
          wake_.wait(lock, something);
        else
          wake_.wait_for(lock, look_every, something);
        woken_ = false;
        if (ending_)
          break;
      }
      for (left_request& left : inbox_.take())
        left.then ? begin(std::move(left)) : withdraw(left.which);
      look();
    }
    // Prompts stay: the next process asks again and finds them.
    for (left_request& left : inbox_.take())
      if (left.then)
        fail(left, failure_kind::cancelled, "ended");
    for (waiting_prompt& w : waiting_)
      fail(w.left, failure_kind::cancelled, "ended");
  }

  fs::path file(unsigned number, const char* what) const { return from_.folder / (numbered(number) + "." + what + ".md"); }

  void begin(left_request left) {
    if (waiting_.size() >= from_.max_queued)
      return fail(left, failure_kind::queue_full, fmt::format("{} prompts wait already (max_queued)", waiting_.size()));
    const std::string hash = prompt_hash(left.asked);
    unsigned number = earlier(hash, left.asked.idempotency_key);
    if (number == 0) {
      auto written = write_prompt(hash, left.asked);
      if (!written)
        return fail(left, failure_kind::unavailable, written.error().message);
      number = *written;
    }
    const moment now = clock::now();
    const moment limit = now + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(from_.timeout_s));
    const moment until = std::min(left.asked.deadline, limit);
    waiting_.push_back({std::move(left), number, now, until, -1, {}, now});
  }

  /// The prompt of the same step from before, or 0. Without a key only one that nobody has answered.
  unsigned earlier(const std::string& hash, const std::string& key) const {
    std::set<unsigned> mine;
    for (const waiting_prompt& w : waiting_)
      mine.insert(w.number);
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(from_.folder, failed)) {
      const std::string name = entry.path().filename().string();
      const auto number = number_of(name);
      if (!number || name != numbered(*number) + ".prompt.md" || mine.contains(*number) || (key.empty() && fs::exists(file(*number, "answer"))))
        continue;
      const std::string first = manual_first_line(numbered(*number), hash, key);
      if (read_file(entry.path(), first.size()) == first)
        return *number;
    }
    return 0;
  }

  /// Whole or not at all, and never over another one: two processes may share the folder.
  result<unsigned> write_prompt(const std::string& hash, const request& asked) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(from_.folder, failed))
      if (const auto number = number_of(entry.path().filename().string()))
        last_ = std::max(last_, *number);
    const fs::path draft = from_.folder / fmt::format(".prompt.{}.{}", ::getpid(), static_cast<const void*>(this));
    while (last_ < most_prompts) {
      const std::string number = numbered(++last_);
      std::ofstream out(draft, std::ios::binary | std::ios::trunc);
      if (!(out << manual_first_line(number, hash, asked.idempotency_key) << "\n" << prompt_text(asked) << std::flush))
        return error{errc::io, fmt::format("{}: the prompt cannot be written: {}", from_.folder.string(), std::strerror(errno))};
      out.close();
      const int linked = ::link(draft.c_str(), file(last_, "prompt").c_str());
      const int why = errno;
      ::unlink(draft.c_str());
      if (linked == 0)
        return last_;
      if (why != EEXIST)
        return error{errc::io, fmt::format("{}: the prompt cannot be written: {}", from_.folder.string(), std::strerror(why))};
    }
    return error{errc::full, fmt::format("{}: found {} prompts, expected fewer: empty the folder", from_.folder.string(), last_)};
  }

  void withdraw(handle which) {
    const auto at = std::find_if(waiting_.begin(), waiting_.end(), [&](const waiting_prompt& w) { return w.left.which == which; });
    if (at == waiting_.end())
      return;
    drop(*at);
    fail(at->left, failure_kind::cancelled, "cancelled");
    waiting_.erase(at);
  }

  /// Nobody need answer it any more.
  void drop(const waiting_prompt& w) const {
    std::error_code ignored;
    fs::rename(file(w.number, "prompt"), file(w.number, "withdrawn"), ignored);
  }

  void look() {
    const moment now = clock::now();
    std::erase_if(waiting_, [&](waiting_prompt& w) {
      if (answered(w, now))
        return true;
      if (w.until > now)
        return false;
      drop(w);
      fail(w.left, failure_kind::timeout, fmt::format("nobody wrote {} in time", file(w.number, "answer").string()));
      return true;
    });
  }

  bool answered(waiting_prompt& w, moment now) {
    struct stat status {};
    if (::stat(file(w.number, "answer").c_str(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0)
      return false;
    if (status.st_size != w.bytes || status.st_mtim.tv_sec != w.changed.tv_sec || status.st_mtim.tv_nsec != w.changed.tv_nsec) {
      w.bytes = status.st_size, w.changed = status.st_mtim, w.since = now;
      return false;
    }
    if (now - w.since < settled_after)
      return false;
    if (static_cast<std::uint64_t>(status.st_size) > from_.max_answer_bytes) {
      fail(w.left, failure_kind::too_large, fmt::format("{} has {} bytes, expected at most {} (max_answer_bytes)", file(w.number, "answer").string(), status.st_size, from_.max_answer_bytes));
      return true;
    }
    answer a;
    a.text = read_file(file(w.number, "answer"), static_cast<std::size_t>(status.st_size));
    a.provider = from_.name, a.model = w.left.asked.model.name, a.request_id = numbered(w.number);
    a.cost_usd = 0, a.counted = true;
    a.seconds = std::chrono::duration<double>(now - w.began).count();
    w.left.then(std::move(a));
    return true;
  }

  void fail(left_request& left, failure_kind kind, const std::string& why) {
    left.then(failure{kind, fmt::format("provider '{}': {}", from_.name, why), 0, 0});
  }

  const provider_settings from_;
  inbox inbox_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false, ending_ = false;
  std::vector<waiting_prompt> waiting_; // the thread's
  unsigned last_ = 0;
  std::thread thread_;
};

} // namespace

std::string manual_first_line(const std::string& number, const std::string& prompt_hash, const std::string& key) {
  return fmt::format("<!-- kevolve asks: write your answer into {}.answer.md; prompt {}{} -->\n", number, prompt_hash.substr(0, 16), key.empty() ? "" : ", step " + key);
}

result<std::shared_ptr<provider>> make_manual(const provider_settings& from) {
  std::error_code failed;
  fs::create_directories(from.folder, failed);
  if (from.folder.empty() || !fs::is_directory(from.folder, failed) || ::access(from.folder.c_str(), W_OK | X_OK) != 0)
    return error{errc::configuration, fmt::format("provider '{}': folder: found '{}', expected a folder that prompts can be written to", from.name, from.folder.string())};
  return std::shared_ptr<provider>(std::make_shared<manual_provider>(from));
}

} // namespace kevolve::llm
