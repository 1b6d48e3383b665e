#include "actors/synthesis/llm/exec.hpp"

#include "actors/synthesis/llm/child.hpp"
#include "actors/synthesis/llm/inbox.hpp"
#include "actors/synthesis/llm/json_text.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <fmt/format.h>
#include <fstream>
#include <list>
#include <poll.h>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>

namespace kevolve::llm {
namespace {

using clock = std::chrono::steady_clock;

moment after(moment from, double seconds) {
  return from + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(seconds));
}

/// A directory of one request's own, gone afterwards.
struct scratch {
  std::filesystem::path at;
  scratch() = default;
  scratch(scratch&& other) noexcept : at(std::exchange(other.at, {})) {}
  scratch& operator=(scratch&&) = delete;
  ~scratch() {
    std::error_code ignored;
    if (!at.empty())
      std::filesystem::remove_all(at, ignored);
  }
};

struct running_command {
  left_request left;
  scratch folder;
  child process;
  moment began, until;
};

class exec_provider final : public provider {
public:
  exec_provider(provider_settings from, std::vector<std::string> environment, int wake)
    : from_(std::move(from)), environment_(std::move(environment)), wake_(wake), thread_([this] { run(); }) {}
  ~exec_provider() override {
    ending_ = true;
    wake();
    thread_.join();
    ::close(wake_);
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
    const std::uint64_t one = 1;
    (void)!::write(wake_, &one, sizeof one);
  }

  void run() {
    while (!ending_) {
      take_inbox();
      give_up_late();
      while (running_.size() < from_.max_in_flight && !waiting_.empty())
        start_next();
      wait();
      collect();
    }
    take_inbox();
    for (left_request& left : waiting_)
      fail(left, failure_kind::cancelled, "ended");
    for (running_command& r : running_)
      fail(r.left, failure_kind::cancelled, "ended", 1);
    running_.clear();
  }

  void take_inbox() {
    for (left_request& left : inbox_.take()) {
      if (!left.then)
        cancel_now(left.which);
      else if (waiting_.size() >= from_.max_queued)
        fail(left, failure_kind::queue_full, fmt::format("{} requests wait already (max_queued)", waiting_.size()));
      else
        waiting_.push_back(std::move(left));
    }
  }

  void cancel_now(handle which) {
    if (const auto at = std::find_if(waiting_.begin(), waiting_.end(), [&](const left_request& l) { return l.which == which; }); at != waiting_.end()) {
      fail(*at, failure_kind::cancelled, "cancelled");
      waiting_.erase(at);
    } else if (const auto r = std::find_if(running_.begin(), running_.end(), [&](const running_command& c) { return c.left.which == which; }); r != running_.end()) {
      fail(r->left, failure_kind::cancelled, "cancelled", 1);
      running_.erase(r);
    }
  }

  void give_up_late() {
    const moment now = clock::now();
    std::erase_if(waiting_, [&](left_request& l) {
      if (l.asked.deadline > now)
        return false;
      fail(l, failure_kind::timeout, "its deadline passed before a command could be started");
      return true;
    });
    for (auto r = running_.begin(); r != running_.end();) {
      if (r->until > now) {
        ++r;
        continue;
      }
      fail(r->left, failure_kind::timeout, fmt::format("'{}' was killed after {:.1f} s{}", from_.command.arguments[0],
                                                       std::chrono::duration<double>(now - r->began).count(), said(r->process)), 1);
      r = running_.erase(r);
    }
  }

  void start_next() {
    left_request left = std::move(waiting_.front());
    waiting_.pop_front();
    std::string path = (std::filesystem::temp_directory_path() / "kevolve-exec-XXXXXX").string();
    scratch folder;
    if (!::mkdtemp(path.data()))
      return fail(left, failure_kind::unavailable, fmt::format("no directory can be made in {}: {}", std::filesystem::temp_directory_path().string(), std::strerror(errno)));
    folder.at = path;
    const std::string prompt = prompt_text(left.asked);
    const std::string prompt_file = path + "/prompt.md", output_file = path + "/answer";
    const bool by_file = std::any_of(from_.command.arguments.begin(), from_.command.arguments.end(),
                                     [](const std::string& a) { return a.find("{prompt_file}") != std::string::npos; });
    if (by_file && !(std::ofstream(prompt_file, std::ios::binary) << prompt << std::flush))
      return fail(left, failure_kind::unavailable, prompt_file + " cannot be written");
    child_command what;
    what.arguments = filled_arguments(from_.command.arguments, {{"prompt_file", prompt_file},
                                                                {"output_file", output_file},
                                                                {"model", left.asked.model.name},
                                                                {"effort", left.asked.model.reasoning_effort},
                                                                {"max_output_tokens", std::to_string(left.asked.output_limit())}});
    what.environment = environment_;
    what.directory = folder.at;
    what.input = by_file ? "" : prompt;
    what.output_bytes = from_.max_answer_bytes;
    auto started = child::start(what);
    if (!started)
      return fail(left, failure_kind::unavailable, started.error().message);
    const moment now = clock::now();
    const moment until = std::min(left.asked.deadline, after(now, from_.timeout_s));
    running_.push_back({std::move(left), std::move(folder), *std::move(started), now, until});
  }

  void wait() {
    std::vector<pollfd> fds{{wake_, POLLIN, 0}};
    moment next = clock::now() + std::chrono::seconds(3600);
    for (const running_command& r : running_) {
      fds.push_back({r.process.ended(), POLLIN, 0});
      fds.push_back({r.process.out(), POLLIN, 0});
      fds.push_back({r.process.err(), POLLIN, 0});
      next = std::min(next, r.until);
    }
    for (const left_request& l : waiting_)
      next = std::min(next, l.asked.deadline);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - clock::now()).count();
    ::poll(fds.data(), fds.size(), static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000)));
    std::uint64_t count;
    if (fds[0].revents)
      (void)!::read(wake_, &count, sizeof count);
    std::size_t i = 1;
    for (running_command& r : running_) {
      ended_.push_back(fds[i].revents != 0);
      if (fds[i + 1].revents || fds[i + 2].revents)
        r.process.read();
      i += 3;
    }
  }

  void collect() {
    std::size_t i = 0;
    for (auto r = running_.begin(); r != running_.end(); ++i) {
      if (r->process.flooded()) {
        fail(r->left, failure_kind::too_large, fmt::format("'{}' wrote more than {} bytes (max_answer_bytes)", from_.command.arguments[0], from_.max_answer_bytes), 1);
        r = running_.erase(r);
      } else if (ended_[i]) {
        finish(*r);
        r = running_.erase(r);
      } else {
        ++r;
      }
    }
    ended_.clear();
  }

  void finish(running_command& r) {
    const std::string end = r.process.finish();
    if (!end.empty())
      return fail(r.left, failure_kind::unavailable, fmt::format("'{}' {}{}", from_.command.arguments[0], end, said(r.process)), 1);
    std::string written = std::move(r.process.output);
    if (from_.command.answer_from == "file") {
      std::error_code failed;
      const std::filesystem::path file = r.folder.at / "answer";
      if (const auto size = std::filesystem::file_size(file, failed); failed || size > from_.max_answer_bytes)
        return fail(r.left, failed ? failure_kind::malformed : failure_kind::too_large,
                    failed ? fmt::format("'{}' wrote no {{output_file}}{}", from_.command.arguments[0], said(r.process))
                           : fmt::format("'{}' wrote {} bytes to its {{output_file}}, expected at most {}", from_.command.arguments[0], size, from_.max_answer_bytes), 1);
      std::ifstream in(file, std::ios::binary);
      written.assign(std::istreambuf_iterator<char>(in), {});
    }
    reply r2 = answer_of_command(from_, written);
    if (r2) {
      if (r2->model.empty())
        r2->model = r.left.asked.model.name;
      r2->seconds = std::chrono::duration<double>(clock::now() - r.began).count();
    } else {
      r2.failure().attempts = r2.failure().unseen_attempts = 1;
    }
    r.left.then(std::move(r2));
  }

  /// The last line of its complaints.
  static std::string said(child& process) {
    process.read();
    std::string text = process.errors;
    while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
      text.pop_back();
    text = text.substr(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1).substr(0, 400);
    return text.empty() ? "" : "; it said: " + text;
  }

  void fail(left_request& left, failure_kind kind, const std::string& why, std::uint32_t attempts = 0) {
    left.then(failure{kind, fmt::format("provider '{}': {}", from_.name, why), attempts, attempts});
  }

  const provider_settings from_;
  const std::vector<std::string> environment_;
  const int wake_;
  inbox inbox_;
  std::atomic<bool> ending_{false};
  std::deque<left_request> waiting_;
  std::list<running_command> running_;
  std::vector<bool> ended_;
  std::thread thread_;
};

json::json_pointer pointer_of(const std::string& text) { return json::json_pointer(text); }

const json* at_pointer(const json& value, const std::string& pointer) {
  const auto where = pointer_of(pointer);
  return value.contains(where) ? &value.at(where) : nullptr;
}

bool is_pointer(const std::string& text) {
  try {
    pointer_of(text);
    return true;
  } catch (const json::exception&) {
    return false;
  }
}

/// A whole document, or the last line that is one: commands that stream events write one object a line.
std::optional<json> document_of(const std::string& written) {
  if (auto whole = parse_json(written))
    return whole;
  std::string_view rest = written;
  while (!rest.empty()) {
    const std::size_t line = rest.find_last_of('\n');
    const std::string_view last = line == std::string_view::npos ? rest : rest.substr(line + 1);
    if (!last.empty())
      if (auto value = parse_json(last); value && value->is_object())
        return value;
    rest = line == std::string_view::npos ? std::string_view() : rest.substr(0, line);
  }
  return std::nullopt;
}

} // namespace

std::vector<std::string> filled_arguments(const std::vector<std::string>& from, const std::map<std::string, std::string>& values) {
  std::vector<std::string> filled;
  for (const std::string& a : from) {
    std::string text;
    for (std::size_t i = 0; i < a.size();) {
      const std::size_t close = a[i] == '{' ? a.find('}', i) : std::string::npos;
      const auto value = close == std::string::npos ? values.end() : values.find(a.substr(i + 1, close - i - 1));
      if (value == values.end()) {
        text += a[i++];
      } else {
        text += value->second;
        i = close + 1;
      }
    }
    filled.push_back(std::move(text));
  }
  return filled;
}

reply answer_of_command(const provider_settings& from, const std::string& written) {
  const command_settings& how = from.command;
  answer a;
  a.provider = from.name;
  a.counted = false;
  const bool counts = !how.input_tokens_pointer.empty() || !how.cached_input_tokens_pointer.empty() || !how.output_tokens_pointer.empty() || !how.cost_pointer.empty();
  if (how.answer_pointer.empty())
    a.text = written;
  if (how.answer_pointer.empty() && !counts)
    return a;
  const auto document = document_of(written);
  if (!document)
    return failure{failure_kind::malformed, fmt::format("provider '{}': found no JSON in what '{}' wrote, expected some to look {} up in", from.name, how.arguments[0],
                                                        how.answer_pointer.empty() ? "its usage" : how.answer_pointer), 0, 0};
  if (!how.answer_pointer.empty()) {
    const json* text = at_pointer(*document, how.answer_pointer);
    if (!text || !text->is_string())
      return failure{failure_kind::malformed, fmt::format("provider '{}': answer_pointer {}: found {}, expected text", from.name, how.answer_pointer,
                                                          text ? text->type_name() : "nothing"), 0, 0};
    a.text = text->get<std::string>();
  }
  a.counted = !how.input_tokens_pointer.empty() && !how.output_tokens_pointer.empty();
  for (const auto& [pointer, into] : {std::pair{&how.input_tokens_pointer, &a.used.input}, {&how.cached_input_tokens_pointer, &a.used.cached_input}, {&how.output_tokens_pointer, &a.used.output}})
    if (const json* count = pointer->empty() ? nullptr : at_pointer(*document, *pointer); count && count->is_number_unsigned())
      *into = count->get<std::uint64_t>();
  if (const json* cost = how.cost_pointer.empty() ? nullptr : at_pointer(*document, how.cost_pointer); cost && cost->is_number() && cost->get<double>() >= 0)
    a.cost_usd = cost->get<double>();
  return a;
}

result<std::shared_ptr<provider>> make_exec(const provider_settings& from, const surroundings& around) {
  const command_settings& how = from.command;
  const auto wrong = [&](const std::string& what) { return error{errc::configuration, fmt::format("provider '{}': {}", from.name, what)}; };
  if (how.arguments.empty())
    return wrong("command is empty, expected a program and its arguments");
  if (how.answer_from != "stdout" && how.answer_from != "file")
    return wrong(fmt::format("answer_from: found '{}', expected stdout or file", how.answer_from));
  const bool names_output = std::any_of(how.arguments.begin(), how.arguments.end(), [](const std::string& a) { return a.find("{output_file}") != std::string::npos; });
  if (how.answer_from == "file" && !names_output)
    return wrong("answer_from = \"file\": found no {output_file} in command, expected it as an argument");
  for (const std::string* pointer : {&how.answer_pointer, &how.input_tokens_pointer, &how.cached_input_tokens_pointer, &how.output_tokens_pointer, &how.cost_pointer})
    if (!is_pointer(*pointer))
      return wrong(fmt::format("found '{}', expected a JSON pointer such as /result", *pointer));
  std::vector<std::string> environment;
  std::vector<std::string> names{"PATH", "HOME", "LANG", "TMPDIR"};
  names.insert(names.end(), how.environment.begin(), how.environment.end());
  for (const std::string& name : names)
    if (const auto value = around.env(name))
      environment.push_back(name + "=" + *value);
  const int wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0)
    return error{errc::io, fmt::format("provider '{}': eventfd: {}", from.name, std::strerror(errno))};
  return std::shared_ptr<provider>(std::make_shared<exec_provider>(from, std::move(environment), wake));
}

} // namespace kevolve::llm
