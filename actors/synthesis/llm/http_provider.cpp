#include "actors/synthesis/llm/http_provider.hpp"

#include "actors/synthesis/llm/course.hpp"
#include "actors/synthesis/llm/inbox.hpp"
#include "actors/synthesis/llm/secret.hpp"
#include "actors/synthesis/llm/transport.hpp"
#include "actors/synthesis/llm/wire.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <random>
#include <unordered_map>

namespace kevolve::llm {
namespace {

using clock = std::chrono::steady_clock;

// A stream wraps each token of about four bytes in 150 to 300 bytes of event; none of that is kept.
constexpr std::uint64_t stream_overhead = 64;

double seconds(moment at) { return at == moment::max() ? unlimited : std::chrono::duration<double>(at.time_since_epoch()).count(); }
moment moment_of(double at_s) {
  if (at_s > 1e15 || at_s == unlimited)
    return moment::max();
  return moment(std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(at_s)));
}
double unix_now_s() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::string key_header(const provider_settings& from, const secret& key) {
  return from.kind == provider_kind::anthropic && !from.bearer ? key.header_line("x-api-key: ") : key.header_line("Authorization: Bearer ");
}

class http_provider final : public provider, transport::client {
public:
  http_provider(provider_settings from, secret key, std::shared_ptr<transport> loop)
    : from_(std::move(from)), key_(std::move(key)), loop_(std::move(loop)), random_(std::random_device{}()) {
    course_.provider = from_.name;
    course_.rules.max_retries = from_.max_retries;
    course_.rules.max_in_flight = from_.max_in_flight;
    course_.rules.max_queued = from_.max_queued;
    course_.rules.requests_per_minute = from_.requests_per_minute;
    loop_->add(this);
  }
  ~http_provider() override {
    loop_->remove(this, [this] { end_all(); });
  }

  handle ask(request asked, reply_handler then) override {
    const handle which = inbox_.put(std::move(asked), std::move(then));
    loop_->wake();
    return which;
  }
  void cancel(handle which) override {
    inbox_.put_cancellation(which);
    loop_->wake();
  }

private:
  struct pending {
    request asked;
    reply_handler then;
    moment began;
    std::uint64_t transfer = 0;
    std::shared_ptr<stream_reader> stream; // of the attempt that flies
    std::optional<reply> got;
  };

  moment turn() override {
    for (left_request& left : inbox_.take()) {
      course_event e;
      e.which = left.which;
      if (!left.then) {
        e.kind = course_event::what::cancelled;
      } else {
        e.kind = course_event::what::asked;
        e.model = left.asked.model.name;
        e.tokens = static_cast<double>(most_input_tokens(left.asked)) / 4 + left.asked.output_limit(); // providers count what was allowed, too
        // Retries included; nobody waits for ever for a provider that has gone.
        e.deadline_s = std::min(seconds(left.asked.deadline), seconds(clock::now()) + 4 * from_.timeout_s);
        e.billable_attempts = left.asked.billable_attempts;
        pending_.emplace(left.which, pending{std::move(left.asked), std::move(left.then), clock::now(), 0, nullptr, std::nullopt});
      }
      apply(e);
    }
    apply({});
    return moment_of(next_wake(course_, seconds(clock::now())));
  }

  void apply(const course_event& event) {
    for (course_effect& effect : step(course_, event, seconds(clock::now()), random_)) {
      const auto at = pending_.find(effect.which);
      switch (effect.kind) {
        case course_effect::what::send: send(effect.which, at->second); break;
        case course_effect::what::abort: loop_->abort(at->second.transfer); break;
        case course_effect::what::succeed: {
          pending done = take(at);
          answer& a = **done.got;
          a.attempts = effect.attempts, a.unseen_attempts = effect.unseen_attempts;
          a.seconds = std::chrono::duration<double>(clock::now() - done.began).count();
          done.then(std::move(*done.got));
          break;
        }
        case course_effect::what::fail: take(at).then(std::move(effect.why)); break;
      }
    }
  }

  pending take(std::unordered_map<handle, pending>::iterator at) {
    pending p = std::move(at->second);
    pending_.erase(at);
    return p;
  }

  void send(handle which, pending& p) {
    http_call call;
    call.url = request_url(from_.kind, from_.base_url);
    call.header_lines = {"Content-Type: application/json", "User-Agent: kevolve"};
    if (from_.kind == provider_kind::anthropic)
      call.header_lines.push_back("anthropic-version: 2023-06-01");
    if (!p.asked.idempotency_key.empty())
      call.header_lines.push_back("Idempotency-Key: " + p.asked.idempotency_key);
    for (const auto& [name, value] : from_.headers)
      call.header_lines.push_back(name + ": " + value);
    if (!key_.empty())
      call.header_lines.push_back(key_header(from_, key_));
    call.body = request_body(from_.kind, p.asked);
    call.connect_timeout_s = from_.connect_timeout_s, call.idle_timeout_s = from_.idle_timeout_s;
    call.most_body_bytes = from_.max_answer_bytes, call.most_bytes = stream_overhead * from_.max_answer_bytes, call.ca_file = from_.ca_file;
    const moment limit = clock::now() + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(from_.timeout_s));
    call.until = std::min(p.asked.deadline, limit);
    p.stream.reset(), p.got.reset();
    p.transfer = loop_->post(
      std::move(call), [this, which](int status, const headers& fields, std::string_view bytes) { return take_bytes(which, status, fields, bytes); },
      [this, which](http_end end) { take_end(which, std::move(end)); });
  }

  bytes_wanted take_bytes(handle which, int status, const headers& fields, std::string_view bytes) {
    pending& p = pending_.at(which);
    if (status != 200)
      return bytes_wanted::keep;
    if (!p.stream) {
      const std::string* type = find_header(fields, "content-type");
      if (!type || type->find("text/event-stream") == std::string::npos)
        return bytes_wanted::keep; // a server that does not stream
      p.stream = std::make_shared<stream_reader>(from_.kind, from_.name, from_.max_answer_bytes);
    }
    p.stream->feed(bytes);
    return p.stream->ended() ? bytes_wanted::enough : bytes_wanted::taken;
  }

  void take_end(handle which, http_end end) {
    pending& p = pending_.at(which);
    course_event e;
    e.kind = course_event::what::ended, e.which = which;
    e.end.limits = limits_in(end.fields, unix_now_s());
    e.end.should_retry = should_retry(end.fields);
    e.end.retry_after_s = retry_after_s(end.fields, unix_now_s());
    const std::string id = request_id(end.fields);
    reply got = outcome(p, end);
    if (got) {
      e.end.success = true;
      if (!id.empty())
        got->request_id = id;
      for (std::string* text : {&got->text, &got->reasoning, &got->request_id, &got->model})
        *text = key_.scrub(std::move(*text)); // a server may say the key back
      p.got = std::move(got);
    } else {
      e.end.kind = got.failure().kind;
      e.end.message = key_.scrub(got.failure().message + (id.empty() ? "" : " (request " + id + ")"));
      // A refusal costs nothing. After 200, or when the request went out and nothing came back, somebody may have worked for us.
      e.end.unseen = end.status == 200 || (end.status == 0 && end.sent);
      if (end.status == 200)
        e.end.should_retry.reset();
    }
    apply(e);
  }

  reply outcome(const pending& p, const http_end& end) {
    using fate = http_end::fate;
    const auto fail = [&](failure_kind kind, const std::string& why) { return failure{kind, fmt::format("provider '{}': {}", from_.name, why), 0, 0}; };
    if (end.how == fate::too_large)
      return fail(failure_kind::too_large, fmt::format("found an answer of more than {} bytes (max_answer_bytes)", from_.max_answer_bytes));
    if (end.how == fate::timed_out)
      return fail(failure_kind::timeout, end.why);
    if (p.stream && (end.how == fate::stopped || end.how == fate::answered))
      return p.stream->finish();
    if (end.how == fate::failed)
      return fail(failure_kind::network, fmt::format("{}: {}", end.status ? "the connection broke in the middle of an answer" : "no connection", end.why));
    if (end.status != 200)
      return failure_from_body(from_.name, end.status, end.body);
    return answer_from_body(from_.kind, from_.name, end.body);
  }

  void end_all() {
    for (left_request& left : inbox_.take())
      if (left.then)
        left.then(failure{failure_kind::cancelled, fmt::format("provider '{}': ended", from_.name), 0, 0});
    while (!course_.requests.empty()) {
      course_event e;
      e.kind = course_event::what::cancelled, e.which = course_.requests.begin()->first;
      course_.rules.max_in_flight = 0; // nothing new is sent
      apply(e);
    }
  }

  const provider_settings from_;
  const secret key_;
  const std::shared_ptr<transport> loop_;
  inbox inbox_;
  course_state course_; // from here on: the loop's thread
  rng random_;
  std::unordered_map<handle, pending> pending_;
};

} // namespace

result<std::shared_ptr<provider>> make_http(const provider_settings& from, surroundings& around) {
  const auto wrong = [&](const std::string& what) { return error{errc::configuration, fmt::format("provider '{}': {}", from.name, what)}; };
  if (!from.base_url.starts_with("http://") && !from.base_url.starts_with("https://"))
    return wrong(fmt::format("base_url: found '{}', expected https://… or http://…", from.base_url));
  for (const auto& [name, value] : from.headers)
    if (name.find_first_of("\r\n: ") != std::string::npos || value.find_first_of("\r\n") != std::string::npos)
      return wrong(fmt::format("headers: found a line break or a colon in '{}', expected a name and one line", name));
  KEVOLVE_TRY(key, read_secret(from.name, from.api_key_env, from.api_key_file, around.env));
  if (!around.http) {
    KEVOLVE_TRY(made, transport::make());
    around.http = std::move(made);
  }
  return std::shared_ptr<provider>(std::make_shared<http_provider>(from, std::move(key), around.http));
}

} // namespace kevolve::llm
