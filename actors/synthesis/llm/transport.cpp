#include "actors/synthesis/llm/transport.hpp"

#include <algorithm>
#include <atomic>
#include <curl/curl.h>
#include <fmt/format.h>
#include <future>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace kevolve::llm {
namespace {

using clock = std::chrono::steady_clock;
constexpr std::size_t most_header_bytes = 64u << 10;
constexpr std::size_t most_header_lines = 200;
// Once an answer is complete its connection is read to the end of the response, to be used again; this is for servers that forget to end it.
constexpr auto linger = std::chrono::seconds(1);
constexpr long kept_connections = 256; // 200 requests in flight find theirs again

struct transfer {
  CURL* easy = nullptr;
  curl_slist* lines = nullptr;
  http_call call;
  on_bytes bytes;
  on_end then;
  headers fields;
  std::string body;
  std::uint64_t received = 0;
  std::size_t header_bytes = 0;
  bool too_large = false, enough = false, begun = false;
  moment last_byte;

  transfer() = default;
  transfer(const transfer&) = delete;
  transfer& operator=(const transfer&) = delete;
  ~transfer() {
    curl_easy_cleanup(easy);
    curl_slist_free_all(lines);
  }
  [[nodiscard]] int status() const {
    long code = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    return static_cast<int>(code);
  }
};

std::size_t take_header(char* data, std::size_t, std::size_t size, void* user) {
  auto& t = *static_cast<transfer*>(user);
  t.begun = true, t.last_byte = clock::now();
  std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {
    t.fields.clear(); // of a 100 before it
  } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    header h;
    for (char c : line.substr(0, colon))
      h.name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t'))
      value.remove_prefix(1);
    while (!value.empty() && (value.back() == '\r' || value.back() == '\n' || value.back() == ' '))
      value.remove_suffix(1);
    h.value = value;
    t.fields.push_back(std::move(h));
  }
  t.header_bytes += size;
  t.too_large = t.header_bytes > most_header_bytes || t.fields.size() > most_header_lines;
  return t.too_large ? 0 : size;
}

std::size_t take_body(char* data, std::size_t, std::size_t size, void* user) {
  auto& t = *static_cast<transfer*>(user);
  t.begun = true, t.last_byte = clock::now();
  t.received += size;
  if (t.enough)
    return size;
  if (t.received > t.call.most_bytes) {
    t.too_large = true;
    return 0;
  }
  const bytes_wanted wanted = t.bytes ? t.bytes(t.status(), t.fields, {data, size}) : bytes_wanted::keep;
  if (wanted == bytes_wanted::keep) {
    if (t.body.size() + size > t.call.most_body_bytes) {
      t.too_large = true;
      return 0;
    }
    t.body.append(data, size);
  }
  if (wanted == bytes_wanted::enough) {
    t.enough = true;
    t.call.until = std::min(t.call.until, t.last_byte + linger);
  }
  return size;
}

class curl_transport final : public transport {
public:
  explicit curl_transport(CURLM* multi) : multi_(multi), thread_([this] { run(); }) {}
  ~curl_transport() override {
    ending_ = true;
    curl_multi_wakeup(multi_);
    thread_.join();
    transfers_.clear();
    curl_multi_cleanup(multi_);
  }

  void add(client* which) override {
    {
      std::lock_guard lock(mutex_);
      changes_.push_back({which, false, {}, {}});
    }
    wake();
  }

  void remove(client* which, const std::function<void()>& last) override {
    std::promise<void> done;
    {
      std::lock_guard lock(mutex_);
      changes_.push_back({which, true, last, &done});
    }
    wake();
    done.get_future().wait();
  }

  void wake() override { curl_multi_wakeup(multi_); }

  std::uint64_t post(http_call what, on_bytes bytes, on_end then) override {
    auto t = std::make_unique<transfer>();
    t->call = std::move(what), t->bytes = std::move(bytes), t->then = std::move(then);
    t->easy = curl_easy_init();
    for (const std::string& line : t->call.header_lines)
      t->lines = curl_slist_append(t->lines, line.c_str());
    t->lines = curl_slist_append(t->lines, "Expect:"); // no round trip before large bodies
    const std::uint64_t which = ++last_;
    set_options(*t, which);
    curl_multi_add_handle(multi_, t->easy);
    transfers_.emplace(which, std::move(t));
    return which;
  }

  void abort(std::uint64_t which) override {
    if (const auto at = transfers_.find(which); at != transfers_.end()) {
      curl_multi_remove_handle(multi_, at->second->easy);
      transfers_.erase(at);
    }
  }

private:
  struct change {
    client* which;
    bool leaves;
    std::function<void()> last;
    std::promise<void>* done;
  };

  static void set_options(transfer& t, std::uint64_t which) {
    CURL* e = t.easy;
    curl_easy_setopt(e, CURLOPT_URL, t.call.url.c_str());
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L); // a redirect could carry the key elsewhere
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, t.lines);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, t.call.body.data());
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(t.call.body.size()));
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(t.call.connect_timeout_s * 1000));
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    // Rather a stream of an HTTP/2 connection that is coming up than one more; without TLS it would wait for the first answer to learn that
    // there is no HTTP/2.
    curl_easy_setopt(e, CURLOPT_PIPEWAIT, t.call.url.starts_with("https:") ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
    if (!t.call.ca_file.empty())
      curl_easy_setopt(e, CURLOPT_CAINFO, t.call.ca_file.c_str());
    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); // a proxy's are no response
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, &take_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, &t);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, &take_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(e, CURLOPT_PRIVATE, reinterpret_cast<char*>(which)); // NOLINT: a number in a pointer, as curl wants it
  }

  void run() {
    while (!ending_) {
      take_changes();
      moment next = clock::now() + std::chrono::seconds(60);
      for (client* c : clients_)
        next = std::min(next, c->turn());
      int running = 0;
      curl_multi_perform(multi_, &running);
      const bool ended = collect();
      next = std::min(next, end_late());
      if (ended)
        continue; // clients have something new to do
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - clock::now()).count();
      curl_multi_poll(multi_, nullptr, 0, static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)), nullptr);
    }
    take_changes();
  }

  void take_changes() {
    std::vector<change> changes;
    {
      std::lock_guard lock(mutex_);
      changes.swap(changes_);
    }
    for (change& c : changes) {
      if (!c.leaves) {
        clients_.push_back(c.which);
        continue;
      }
      c.last();
      std::erase(clients_, c.which);
      c.done->set_value();
    }
  }

  bool collect() {
    bool any = false;
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE)
        continue;
      char* which = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &which);
      finish(reinterpret_cast<std::uint64_t>(which), message->data.result, nullptr);
      any = true;
    }
    return any;
  }

  /// Ends what has taken too long; returns when the next one will have.
  moment end_late() {
    const moment now = clock::now();
    moment next = moment::max();
    std::vector<std::pair<std::uint64_t, std::string>> late;
    for (const auto& [which, t] : transfers_) {
      const moment idle = t->begun ? t->last_byte + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(t->call.idle_timeout_s)) : moment::max();
      if (t->call.until <= now)
        late.emplace_back(which, t->begun ? "the answer was not complete in time (timeout_s)" : "no answer in time (timeout_s)");
      else if (idle <= now)
        late.emplace_back(which, fmt::format("nothing came for {:.0f} s in the middle of an answer (idle_timeout_s)", t->call.idle_timeout_s));
      else
        next = std::min({next, t->call.until, idle});
    }
    for (const auto& [which, why] : late)
      finish(which, CURLE_OPERATION_TIMEDOUT, why.c_str());
    return late.empty() ? next : now;
  }

  void finish(std::uint64_t which, CURLcode code, const char* late) {
    const auto at = transfers_.find(which);
    if (at == transfers_.end())
      return;
    std::unique_ptr<transfer> t = std::move(at->second);
    transfers_.erase(at);
    http_end end;
    end.status = t->status();
    curl_off_t uploaded = 0;
    curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    end.sent = t->begun || (uploaded > 0 && static_cast<std::size_t>(uploaded) >= t->call.body.size());
    end.how = t->too_large                      ? http_end::fate::too_large
              : t->enough                       ? http_end::fate::stopped
              : code == CURLE_OK                ? http_end::fate::answered
              : late                            ? http_end::fate::timed_out
                                                : http_end::fate::failed;
    end.why = late ? late : code == CURLE_OPERATION_TIMEDOUT ? fmt::format("no connection within {:.1f} s (connect_timeout_s)", t->call.connect_timeout_s) : curl_easy_strerror(code);
    end.fields = std::move(t->fields), end.body = std::move(t->body);
    curl_multi_remove_handle(multi_, t->easy);
    if (t->then)
      t->then(std::move(end));
  }

  CURLM* const multi_;
  std::atomic<bool> ending_{false};
  std::mutex mutex_;
  std::vector<change> changes_;
  std::vector<client*> clients_;
  std::unordered_map<std::uint64_t, std::unique_ptr<transfer>> transfers_;
  std::uint64_t last_ = 0;
  std::thread thread_;
};

} // namespace

result<std::shared_ptr<transport>> transport::make() {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  CURLM* multi = ready == CURLE_OK ? curl_multi_init() : nullptr;
  if (!multi)
    return error{errc::io, "libcurl cannot be initialised"};
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, kept_connections);
  curl_multi_setopt(multi, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
  return std::shared_ptr<transport>(std::make_shared<curl_transport>(multi));
}

} // namespace kevolve::llm
